"""Readers of the sessions of Flask, Quart and Flask-Session."""

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

    Args:
        secret_key: The SECRET_KEY. With SECRET_KEY_FALLBACKS, give all keys in a list.
        cookie: The SESSION_COOKIE_NAME, or CookieOptions; see :class:`Reader`.
        max_age: The PERMANENT_SESSION_LIFETIME: seconds, or a timedelta.
        salt: The salt of Flask's session interface.
        user: The key of the user ID in the data, or a function that takes the data and returns it.
            The default is Flask-Login's key.

    Raises:
        ConfigError: an argument cannot work.
        ImportError: Flask is not installed.
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
            from flask.sessions import SecureCookieSessionInterface  # noqa: PLC0415
            from itsdangerous import URLSafeTimedSerializer  # noqa: PLC0415
        except ImportError as missing:
            raise needs("flask", "FlaskCookieReader") from missing
        super().__init__(cookie=cookie, lifetime=max_age, user=user)
        self._max_age = int(seconds("max_age", max_age))
        self._serializer = URLSafeTimedSerializer(
            _keys(secret_key, "FlaskCookieReader"),
            salt=salt,
            serializer=SecureCookieSessionInterface.serializer,
            signer_kwargs={
                "key_derivation": SecureCookieSessionInterface.key_derivation,
                "digest_method": SecureCookieSessionInterface.digest_method,
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
            raise Refused("its signed data cannot be read") from None
        # One signature has several spellings that are all accepted, but the signed part has one.
        signed = value.rpartition(".")[0]
        return self.session(data, signed, remember=_is_permanent(data))


class FlaskSessionReader(StoreReader):
    """Reads the sessions of Flask-Session: ``FlaskSessionReader(redis.get)``.

    Pickled sessions are not read: those in cachelib or the file system, or of releases before 0.7.

    Args:
        load: ``load(key)`` returns the value under the key ``"session:" + id``: msgpack (since
            Flask-Session 0.7) or JSON. It may be ``async def``.
        cookie: The SESSION_COOKIE_NAME, or CookieOptions; see :class:`Reader`.
        lifetime: The PERMANENT_SESSION_LIFETIME: seconds, or a timedelta.
        prefix: The SESSION_KEY_PREFIX.
        secret_key: The SECRET_KEY, if SESSION_USE_SIGNER was on.
        user: The key of the user ID in the data, or a function that takes the data and returns it.
            The default is Flask-Login's key.
        blocking: False if ``load`` does no I/O. Otherwise async code calls it in a thread.

    Raises:
        ConfigError: an argument cannot work.
        ImportError: there is a ``secret_key``, and itsdangerous is not installed.
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
                raise needs("itsdangerous", "FlaskSessionReader") from missing
            (key,) = _keys(secret_key, "FlaskSessionReader")
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
        raise Refused("its stored data are neither msgpack nor JSON")

    def made_of(self, data: dict[str, Any], session_id: str) -> LegacySession:
        return self.session(data, self.identity_of(session_id), remember=_is_permanent(data))


def _keys(given: Key | Sequence[Key] | None, reader: str) -> list[bytes]:
    keys = [given] if isinstance(given, str | bytes) else list(given or ())
    if not keys or not all(isinstance(key, str | bytes) and key for key in keys):
        raise ConfigError(
            f"{reader} needs the secret_key that signed the cookies, got none or an empty one. "
            f"Write the SECRET_KEY of the application"
        )
    return [key.encode() if isinstance(key, str) else key for key in keys]


def _is_permanent(data: object) -> bool:
    return isinstance(data, dict) and data.get("_permanent") is True
