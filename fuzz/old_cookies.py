"""The target for ``lembro.migrate``: whatever the browsers bring, and whatever the application
before has signed or stored.

Without Django's and starsessions' readers, which hand the value on to these.
"""

from __future__ import annotations

import hashlib
import hmac
from base64 import b64encode, urlsafe_b64encode
from collections.abc import Callable
from contextlib import suppress
from functools import cache
from typing import Any, Final, NamedTuple
from urllib.parse import quote
from zlib import compress

from itsdangerous import Signer, TimestampSigner, URLSafeTimedSerializer

from lembro import CodecError
from lembro._core import codec
from lembro.migrate import (
    BeakerCookieReader,
    BeakerReader,
    ExpressSessionReader,
    FlaskCookieReader,
    FlaskSessionReader,
    LegacySession,
    Reader,
    StarletteCookieReader,
)
from lembro.migrate.source import LONGEST, Rejection, Source
from lembro.options import DAY

from .corpus import CORPUS

KEY: Final = "the key of the application before"
_AGES: Final = 90 * 365 * DAY  # what is in the corpus does not expire

Sign = Callable[[bytes], bytes]


class Known(NamedTuple):
    """A reader, and how the application before would have signed any bytes (None: not at all)."""

    source: Source
    sign: Sign | None
    stored: bytes = b""
    """A cookie whose session is looked up."""


class Held:
    """Where the sessions of old are: under every id there are the same bytes."""

    value: bytes | None = None

    def get(self, key: str) -> bytes | None:
        return self.value


HELD: Final = Held()


@cache
def readers() -> list[Known]:
    load: Any = HELD.get
    flask: Any = FlaskCookieReader(KEY, max_age=_AGES)._serializer
    assert isinstance(flask, URLSafeTimedSerializer)
    signer = Signer(KEY, salt="flask-session", key_derivation="hmac")
    session_id = b"0123456789abcdef" * 2
    plain: dict[str, Any] = {"user": "user_id", "blocking": False}

    def known(reader: Reader, sign: Sign | None, stored: bytes = b"") -> Known:
        return Known(Source(reader), sign, stored)

    return [
        known(StarletteCookieReader(KEY, max_age=None, user="user_id"), TimestampSigner(KEY).sign),
        known(FlaskCookieReader(KEY, max_age=_AGES), flask.make_signer(flask.salt).sign),
        known(FlaskSessionReader(load, blocking=False), None, session_id),
        known(
            FlaskSessionReader(load, secret_key=KEY, blocking=False),
            signer.sign,
            signer.sign(session_id),
        ),
        known(BeakerReader(load, timeout=_AGES, **plain), None, session_id),
        known(BeakerReader(load, secret=KEY, **plain), _by_beaker, _by_beaker(session_id)),
        known(BeakerCookieReader(KEY, user="user_id"), _by_beaker),
        known(
            ExpressSessionReader(load, ["newer", KEY], **plain),
            _by_express,
            _by_express(session_id),
        ),
    ]


def _by_beaker(data: bytes) -> bytes:
    return hmac.new(KEY.encode(), data, hashlib.sha1).hexdigest().encode() + data


def _by_express(data: bytes) -> bytes:
    mac = b64encode(hmac.digest(KEY.encode(), data, "sha256")).rstrip(b"=")
    return quote(b"s:" + data + b"." + mac, safe="").encode()


@cache
def issued() -> list[set[str | bytes]]:
    """For each reader, the identities of the cookies of the corpus that it accepts."""
    HELD.value = b"{}"
    return [
        {
            old.identity
            for seed in CORPUS["old_cookie"]
            if isinstance(old := known.source.read(seed), LegacySession)
        }
        for known in readers()
    ]


def old_cookie(data: bytes) -> None:
    """What a reader is given it accepts, as a session that can be stored or is refused as any other
    that can't be, or it says why not. Nothing else is raised, which would be a 503. Without the key
    nothing is accepted but what was signed with it, and by the same name."""
    for known, accepted in zip(readers(), issued(), strict=True):
        HELD.value = b"{}"
        old = _read(known.source, data)
        if old is not None and known.sign is not None:
            assert old.identity in accepted, (known, data)
        HELD.value = data
        if known.stored:
            _read(known.source, known.stored)
        if known.sign is not None:
            base64 = urlsafe_b64encode(data).rstrip(b"=")
            for inner in (data, b64encode(data), base64, b64encode(compress(data))):
                _read(known.source, known.sign(inner))


def _read(source: Source, value: bytes) -> LegacySession | None:
    if not 0 < len(value) <= LONGEST:  # it is not looked at
        return None
    old = source.read(value)
    if isinstance(old, Rejection):
        assert source.name in old.reason
        assert KEY not in old.reason
        return None
    assert old.user is None or (isinstance(old.user, str) and old.user)
    assert source.identity(old, value)
    with suppress(CodecError):  # as of any session that cannot be stored
        codec.decode(codec.encode({}, dict(old.data)))
    return old
