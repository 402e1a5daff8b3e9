"""Readers of the sessions of Starlette and starsessions."""

from __future__ import annotations

import json
from base64 import b64decode
from typing import Any, Final

from ..errors import ConfigError
from ..ids import SessionID
from ..options import DAY, CookieOptions, Seconds, seconds
from ._reader import NEVER, Reader, StoreReader, User, needs, refuse_if_older
from .source import LegacySession, Refused

_YEAR: Final = 360 * DAY  # how long starsessions keeps a session with a lifetime of 0


class StarletteCookieReader(Reader):
    """Reads the cookie of ``starlette.middleware.sessions.SessionMiddleware``.

    Args:
        secret_key: The ``secret_key`` of that middleware.
        cookie: Its ``session_cookie``, or CookieOptions; see :class:`Reader`.
        max_age: Its ``max_age``: seconds, or a timedelta. None: the cookies never expire.
        user: The key of the user ID in the data, or a function that takes the data and returns it.

    Raises:
        ConfigError: an argument cannot work.
        ImportError: itsdangerous is not installed.
    """

    def __init__(
        self,
        secret_key: object,
        *,
        cookie: str | CookieOptions = "session",
        max_age: Seconds | None = 14 * DAY,
        user: User = None,
    ) -> None:
        try:
            from itsdangerous import TimestampSigner  # noqa: PLC0415
        except ImportError as missing:
            raise needs("itsdangerous", "StarletteCookieReader") from missing
        if not secret_key:
            raise ConfigError(
                "StarletteCookieReader needs the secret_key that signed the cookies, got none or "
                "an empty one. Write the secret_key of Starlette's SessionMiddleware"
            )
        lifetime = NEVER if max_age is None else max_age
        super().__init__(cookie=cookie, lifetime=lifetime, user=user)
        self._max_age = None if max_age is None else seconds("max_age", max_age)
        self._signer = TimestampSigner(str(secret_key))

    def read(self, value: str) -> LegacySession | None:
        signed = _signed_part(value)
        data = json.loads(b64decode(_unsigned(self._signer, value, self._max_age)))
        return self.session(data, signed, remember=self._max_age is not None)


class StarsessionsReader(StoreReader):
    """Reads the sessions of starsessions through their store. Works in async code only.

    Args:
        store: The store of starsessions.
        cookie: The ``cookie_name`` of its middleware, or CookieOptions; see :class:`Reader`.
        lifetime: The ``lifetime`` of its middleware: seconds, or a timedelta. 0: until the browser
            is closed.
        rolling: The ``rolling`` of its middleware.
        serializer: The ``serializer`` of its middleware; by default JSON.
        user: The key of the user ID in the data, or a function that takes the data and returns it.

    Raises:
        ConfigError: an argument cannot work.
        ImportError: starsessions is not installed.
    """

    def __init__(
        self,
        store: Any,
        *,
        cookie: str | CookieOptions = "session",
        lifetime: Seconds = 0,
        rolling: bool = False,
        serializer: Any = None,
        user: User = None,
    ) -> None:
        try:
            from starsessions import CookieStore, JsonSerializer  # noqa: PLC0415
        except ImportError as missing:
            raise needs("starsessions", "StarsessionsReader") from missing
        whole = int(seconds("lifetime", lifetime)) if lifetime else 0
        self._signed = isinstance(store, CookieStore)
        self._rolling = rolling
        self._whole = whole

        async def load(session_id: str) -> bytes | None:
            session_id = SessionID(session_id)
            held: bytes = await store.read(session_id=str(session_id), lifetime=whole)
            return held or None

        super().__init__(
            load,
            cookie=cookie,
            lifetime=whole or _YEAR,
            user=user,
            form=r"[ -~]{1,8192}" if self._signed else r"[0-9a-f]{32}",
            remember=whole > 0,
        )
        self._serializer = JsonSerializer() if serializer is None else serializer

    def decode(self, held: bytes) -> object:
        return self._serializer.deserialize(held)

    def made_of(self, data: dict[str, Any], session_id: str) -> LegacySession:
        times = data.pop("__metadata__", None)
        if self._whole and times is not None:  # an InMemoryStore keeps expired sessions
            refuse_if_older(times["last_access" if self._rolling else "created"], self._whole)
        # A signed cookie has several spellings that are all accepted.
        identity = _signed_part(session_id) if self._signed else self.identity_of(session_id)
        return self.session(data, identity, remember=self._remember)


def _signed_part(value: str) -> str:
    """Return the part of the value that itsdangerous has signed.

    The signature itself has several spellings that are all accepted, because the last bits of its
    base64 are ignored.
    """
    return value.rpartition(".")[0]


def _unsigned(signer: Any, value: str, max_age: float | None) -> bytes:
    from itsdangerous import BadSignature, SignatureExpired  # noqa: PLC0415

    try:
        unsigned: bytes = signer.unsign(value, max_age=max_age)
    except SignatureExpired:
        raise Refused("it has expired") from None
    except BadSignature:
        raise Refused("the signature does not match") from None
    return unsigned
