"""The target for ``lembro.migrate``: any cookie, and any data that the old application signed or
stored.

Django's and starsessions' readers are left out, because they pass the value on to the others.
"""

from __future__ import annotations

import hashlib
import hmac
from base64 import b64encode, urlsafe_b64encode
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from functools import cache
from typing import Any, Final, NamedTuple
from urllib.parse import quote, unquote_to_bytes
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
    StoreReader,
)
from lembro.migrate.source import LONGEST, Rejection, Source
from lembro.options import DAY

from .corpus import CORPUS

KEY: Final = "the key of the application before"
_AGES: Final = 90 * 365 * DAY  # so that the cookies of the corpus do not expire

Sign = Callable[[bytes], bytes]


class Known(NamedTuple):
    """A reader, and how the old application would have signed any bytes (None: not at all)."""

    source: Source
    sign: Sign | None
    stored: bytes = b""
    """A cookie whose session is in a store."""

    def __repr__(self) -> str:
        return f"<Known {self.source.name}, {self.stored!r}>"


STORED: Final = b'{"user_id": 7, "_user_id": "7", "_accessed_time": 1600000000}'


class Held:
    """The store of the legacy sessions.

    Attributes:
        value: The stored data.
        key: The key of the data, in any case and with any hyphens. None: every key.
    """

    value: bytes | None = None
    key: str | None = None

    def get(self, key: str) -> bytes | None:
        known = self.key is None or _letters(key) == _letters(self.key)
        return self.value if known else None


def _letters(key: str) -> str:
    return "".join(filter(str.isalnum, key)).casefold()


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
    """Return the identities of the cookies of the corpus that each reader accepts."""
    HELD.value = STORED
    return [
        {
            old.identity
            for seed in CORPUS["legacy_cookie"]
            if isinstance(old := known.source.read(seed), LegacySession)
        }
        for known in readers()
    ]


def genuine(known: Known) -> set[bytes]:
    """Return the cookies of the corpus that a reader accepts."""
    HELD.value, HELD.key = STORED, None
    return {
        seed
        for seed in (*CORPUS["legacy_cookie"], known.stored)
        if seed and isinstance(known.source.read(seed), LegacySession)
    }


_BASE64: Final = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"


def _with_other_spare_bits(value: bytes) -> bytes:
    at = _BASE64.find(value[-1:])
    return value if at < 0 or not value else value[:-1] + _BASE64[at ^ 1 : (at ^ 1) + 1]


REWRITES: Final[list[Callable[[bytes], bytes]]] = [
    lambda value: b'"' + value + b'"',
    lambda value: b'""' + value + b'""',
    lambda value: value + b"=",
    lambda value: value + b"==",
    lambda value: value + b" trailing",
    lambda value: value + b",trailing",
    lambda value: value + b"\xe9",
    lambda value: value + b'"',
    lambda value: b" " + value + b"\t",
    lambda value: value.upper(),
    lambda value: value.lower(),
    lambda value: value.rstrip(b"="),
    lambda value: value.replace(b"-", b"+").replace(b"_", b"/"),
    lambda value: value.replace(b"+", b"-").replace(b"/", b"_"),
    lambda value: quote(value, safe="").encode(),
    unquote_to_bytes,
    lambda value: b"".join(b"%%%02x" % byte for byte in value),
    lambda value: b"".join(b"\\%03o" % byte for byte in value),
    _with_other_spare_bits,
    lambda value: value[:-4] + b"\xc3\xa9" + value[-4:],
    lambda value: value[:40] + b"\\" + value[40:],
]
"""Ways to write a cookie that some parser reads the same."""


@contextmanager
def knowing(known: Known, legacy: LegacySession) -> Iterator[None]:
    """Let the store contain only this session."""
    reader: Any = known.source._read.__self__
    if isinstance(reader, StoreReader):
        HELD.key = reader.key_of(str(legacy.identity))
    try:
        yield
    finally:
        HELD.key = None


def _check_rewritten(known: Known, data: bytes) -> None:
    """Check that a rewritten cookie has the same identity, or is refused."""
    for seed in genuine(known):
        before = known.source.read(seed)
        assert isinstance(before, LegacySession)
        value = seed
        for byte in data[:3]:
            value = REWRITES[byte % len(REWRITES)](value)
        value += data[3:]
        with knowing(known, before):
            after = _read(known.source, value)
        assert after is None or after.identity == before.identity, (known, value)


def legacy_cookie(data: bytes) -> None:
    """Check that a reader accepts a cookie, or refuses it with a reason.

    An accepted session can be stored, or is refused like any other that cannot. No other error is
    raised, which would be a 503. Without the key, only cookies that were signed with it are
    accepted, and only under the same name.
    """
    for known, accepted in zip(readers(), issued(), strict=True):
        _check_rewritten(known, data)
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
    if not 0 < len(value) <= LONGEST:  # it is not checked
        return None
    old = source.read(value)
    if isinstance(old, Rejection):
        assert source.name in old.reason
        assert KEY not in old.reason
        return None
    assert old.user is None or (isinstance(old.user, str) and old.user)
    assert old.identity
    with suppress(CodecError):  # like any session that cannot be stored
        codec.decode(codec.encode({}, dict(old.data)))
    return old
