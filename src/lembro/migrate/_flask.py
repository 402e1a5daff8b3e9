"""Flask's own sessions (Quart's are the same), and Flask-Session."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import msgspec

from ..errors import ConfigError
from ..options import DAY, CookieOptions, Seconds, seconds
from ._reader import Load, Reader, StoreReader, User, needs
from .source import LegacySession, Refused

Key = str | bytes


class FlaskCookieReader(Reader):
    """Reads the cookie of Flask or Quart: ``FlaskCookieReader(app.secret_key)``.

    With SECRET_KEY_FALLBACKS, give all keys in a list. ``max_age`` is PERMANENT_SESSION_LIFETIME.

    ``user`` is by default where Flask-Login has it.
    """

    def __init__(
        self,
        secret_key: Key | Sequence[Key] | None,
        *,
        cookie: str | CookieOptions = "session",
        max_age: Seconds = 31 * DAY,
        salt: str = "cookie-session",
        user: User = "_user_id",
    ) -> None:
        try:
            from flask.sessions import SecureCookieSessionInterface as Flasks  # noqa: PLC0415
            from itsdangerous import URLSafeTimedSerializer  # noqa: PLC0415
        except ImportError as missing:
            raise needs("flask", "FlaskCookieReader") from missing
        super().__init__(cookie=cookie, lifetime=max_age, user=user)
        self._max_age = int(seconds("max_age", max_age))
        self._serializer = URLSafeTimedSerializer(
            _keys(secret_key, "FlaskCookieReader"),
            salt=salt,
            serializer=Flasks.serializer,
            signer_kwargs={
                "key_derivation": Flasks.key_derivation,
                "digest_method": Flasks.digest_method,
            },
        )

    def read(self, value: str) -> LegacySession | None:
        from itsdangerous import BadData, BadSignature, SignatureExpired  # noqa: PLC0415

        try:
            data = self._serializer.loads(value, max_age=self._max_age)
        except SignatureExpired:
            raise Refused("it has expired") from None
        except BadSignature:
            raise Refused("the signature does not match") from None
        except BadData:
            raise Refused("what is signed cannot be read") from None
        # The signature can be written in several ways, what it signs only in one.
        signed = value.rpartition(".")[0]
        return self.session(data, signed, remember=_is_permanent(data))


class FlaskSessionReader(StoreReader):
    """The sessions of Flask-Session: ``FlaskSession(redis.get)``.

    ``load(key)`` returns what is stored under ``"session:" + id``: msgpack, as since 0.7, or JSON.
    What is pickled (cachelib, the file system, releases before 0.7) is not read. ``secret_key`` if
    SESSION_USE_SIGNER was on; ``lifetime``: the PERMANENT_SESSION_LIFETIME.
    """

    def __init__(
        self,
        load: Load,
        *,
        cookie: str | CookieOptions = "session",
        lifetime: Seconds = 31 * DAY,
        prefix: str = "session:",
        secret_key: Key | None = None,
        user: User = "_user_id",
        blocking: bool = True,
    ) -> None:
        super().__init__(load, cookie=cookie, lifetime=lifetime, user=user, blocking=blocking)
        self._prefix = prefix
        self._signer: Any = None
        if secret_key is not None:
            try:
                from itsdangerous import Signer  # noqa: PLC0415
            except ImportError as missing:
                raise needs("itsdangerous", "FlaskSession") from missing
            (key,) = _keys(secret_key, "FlaskSession")
            self._signer = Signer(key, salt="flask-session", key_derivation="hmac")

    def id_in(self, value: str) -> str:
        if self._signer is None:
            return value
        from itsdangerous import BadSignature  # noqa: PLC0415

        try:
            session_id: bytes = self._signer.unsign(value)
        except BadSignature:
            raise Refused("the signature does not match") from None
        return session_id.decode()

    def key_of(self, session_id: str) -> str:
        return self._prefix + session_id

    def decode(self, held: bytes) -> object:
        for decode in (msgspec.msgpack.decode, msgspec.json.decode):
            try:
                return decode(held)
            except (msgspec.DecodeError, UnicodeDecodeError):
                continue
        raise Refused("what is stored is neither msgpack nor JSON")

    def made_of(self, data: dict[str, Any], session_id: str) -> LegacySession:
        return self.session(data, session_id, remember=_is_permanent(data))


def _keys(given: Key | Sequence[Key] | None, reader: str) -> list[bytes]:
    keys = [given] if isinstance(given, str | bytes) else list(given or ())
    if not keys or not all(isinstance(key, str | bytes) and key for key in keys):
        raise ConfigError(f"{reader} needs the secret_key that signed the cookies")
    return [key.encode() if isinstance(key, str) else key for key in keys]


def _is_permanent(data: object) -> bool:
    return isinstance(data, dict) and data.get("_permanent") is True
