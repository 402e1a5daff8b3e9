"""The reader of Django's sessions."""

from __future__ import annotations

import time
from datetime import datetime
from importlib import import_module
from typing import Any, cast

from ..errors import ConfigError
from ..ids import SessionID
from ..options import DAY, CookieOptions, Seconds
from ._reader import StoreReader, User, needs, refuse_if_older
from .source import LegacySession, Refused

_SIGNED = "signed_cookies"


class DjangoSessionReader(StoreReader):
    """Reads Django's sessions through one of its session engines, which must still be set up.

    A SESSION_SERIALIZER that pickles is refused. An engine that keeps sessions in a cache reads
    Django's cache, which pickles its values.

    Args:
        engine: The SESSION_ENGINE of the legacy sessions.
        cookie: The SESSION_COOKIE_NAME, or CookieOptions; see :class:`Reader`.
        lifetime: The SESSION_COOKIE_AGE: seconds, or a timedelta.
        user: The key of the user ID in the data, or a function that takes the data and returns it.

    Raises:
        ConfigError: an argument cannot work.
    """

    def __init__(
        self,
        engine: str = "django.contrib.sessions.backends.db",
        *,
        cookie: str | CookieOptions = "sessionid",
        lifetime: Seconds = 14 * DAY,
        user: User = "_auth_user_id",
    ) -> None:
        if not isinstance(engine, str) or "." not in engine or engine.startswith("lembro."):
            raise ConfigError(
                f"engine must be the SESSION_ENGINE of the legacy sessions, got {engine!r}. "
                f'Example: engine="django.contrib.sessions.backends.db"'
            )
        self._engine = engine
        self._signs = engine.endswith(_SIGNED)
        super().__init__(
            self._load_from_engine,
            cookie=cookie,
            lifetime=lifetime,
            user=user,
            form=r"[ -~]{8,8192}" if self._signs else r"[a-z0-9]{32}",
            blocking=not self._signs,
        )

    async def aread(self, value: str) -> LegacySession | None:
        """Read the session in an event loop, in the thread that has Django's connections."""
        from asgiref.sync import sync_to_async  # noqa: PLC0415

        value = SessionID(value)
        old: Any = await sync_to_async(self.read)(value)
        return old  # type: ignore[no-any-return]

    def _load_from_engine(self, session_key: str) -> dict[str, Any] | None:
        session_key = SessionID(session_key)
        try:
            from django.conf import settings  # noqa: PLC0415
        except ImportError as missing:
            raise needs("django", "DjangoSessionReader") from missing
        if "pickle" in settings.SESSION_SERIALIZER.lower():
            raise ConfigError(
                f"SESSION_SERIALIZER must not pickle, got {settings.SESSION_SERIALIZER!r}. "
                f"Pickled sessions cannot be migrated; remove DjangoSessionReader"
            )
        store = import_module(self._engine).SessionStore(str(session_key))
        data: dict[str, Any] = store.load()
        return data or None

    def made_of(self, data: dict[str, Any], session_id: str) -> LegacySession:
        from django.conf import settings  # noqa: PLC0415

        expiry = data.get("_session_expiry")
        until_closed = settings.SESSION_EXPIRE_AT_BROWSER_CLOSE if expiry is None else expiry == 0
        identity = self.identity_of(session_id)
        lifetime = max(float(settings.SESSION_COOKIE_AGE), _seconds_of(expiry))
        if self._signs:
            identity = session_id.rpartition(":")[0]
            _refuse_if_expired(expiry, identity.rpartition(":")[2])
        return self.session(data, identity, remember=not until_closed, lifetime=lifetime)


def _seconds_of(expiry: object) -> float:
    """Return how many seconds a session is valid by its ``set_expiry``; 0 without a call of it."""
    if isinstance(expiry, str):
        return datetime.fromisoformat(expiry).timestamp() - time.time()
    return float(cast("float", expiry or 0))


def _refuse_if_expired(expiry: object, signed_at: str) -> None:
    """Refuse a signed session whose ``set_expiry`` has passed, which Django's engine ignores."""
    from django.core.signing import b62_decode  # noqa: PLC0415

    seconds = _seconds_of(expiry)
    if isinstance(expiry, str) and seconds <= 0:
        raise Refused("it has expired")
    if expiry and not isinstance(expiry, str):
        refuse_if_older(b62_decode(signed_at), seconds)
