"""The reader of express-session's sessions, for an application that was written for Node."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any, Final
from urllib.parse import unquote

from .._http.signature import is_signed
from ..errors import ConfigError
from ..options import DAY, CookieOptions, Seconds
from ._reader import Load, StoreReader, User
from .source import LegacySession, Refused

_PREFIX: Final = "s:"


class ExpressSessionReader(StoreReader):
    """Reads the sessions of express-session: ``ExpressSessionReader(redis.get, secret)``.

    Args:
        load: ``load(key)`` returns the JSON under the key ``"sess:" + id``, for example from Redis,
            where connect-redis stored it. It may be ``async def``.
        secret: The ``secret`` of express-session, one or several.
        cookie: The ``name`` of express-session, or CookieOptions; see :class:`Reader`.
        lifetime: The ``cookie.maxAge``, or the store's lifetime: seconds (not milliseconds), or a
            timedelta.
        prefix: The prefix of the store's keys.
        user: The key of the user ID in the data, or a function that takes the data and returns it.
        rolling: The ``rolling`` of express-session. If True, ``load`` must return None for a
            session that has expired, as Redis does: express-session then extends sessions without
            changing ``cookie.expires`` in the store, which is therefore not checked.
        blocking: False if ``load`` does no I/O. Otherwise async code calls it in a thread.

    Raises:
        ConfigError: an argument cannot work.
    """

    def __init__(
        self,
        load: Load,
        secret: str | Sequence[str],
        *,
        cookie: str | CookieOptions = "connect.sid",
        lifetime: Seconds = DAY,
        prefix: str = "sess:",
        user: User = None,
        rolling: bool = False,
        blocking: bool = True,
    ) -> None:
        super().__init__(load, cookie=cookie, lifetime=lifetime, user=user, blocking=blocking)
        secrets = [secret] if isinstance(secret, str) else list(secret)
        if not secrets or not all(isinstance(one, str) and one for one in secrets):
            raise ConfigError(
                "ExpressSessionReader needs the secret that signed the cookies: a str that is not "
                "empty, or several. Write the secret of express-session"
            )
        self._secrets = [one.encode() for one in secrets]
        self._prefix = prefix
        self._rolling = rolling

    def id_in(self, value: str) -> str:
        plain = unquote(value, errors="strict")
        session_id, dot, signature = plain.removeprefix(_PREFIX).rpartition(".")
        if not plain.startswith(_PREFIX) or not dot:
            raise Refused("it is not signed")
        if not is_signed(session_id, signature, self._secrets):
            raise Refused("the signature does not match")
        return session_id

    def key_of(self, session_id: str) -> str:
        return self._prefix + session_id

    def made_of(self, data: dict[str, Any], session_id: str) -> LegacySession:
        data.pop("lembro", None)  # the metadata of an ExpressManager, which shared the session
        given = data.pop("cookie", None)
        cookie: dict[str, Any] = given if isinstance(given, dict) else {}
        expires = cookie.get("expires")
        lifetime = float(cookie.get("originalMaxAge") or 0) / 1000  # each request restarts it
        if expires is not None and not self._rolling:
            lifetime = max(lifetime, _seconds_left(expires))
        return self.session(
            data, self.identity_of(session_id), remember=expires is not None, lifetime=lifetime
        )


def _seconds_left(expires: object) -> float:
    """Return how long a session may still be used, or raise Refused."""
    if isinstance(expires, str):  # in JSON; a MongoDB driver returns a datetime
        expires = datetime.fromisoformat(expires)
    if not isinstance(expires, datetime):
        raise Refused(f"its cookie.expires is a {type(expires).__name__}, not a date")
    if expires.tzinfo is None:
        expires = expires.replace(tzinfo=UTC)
    left = (expires - datetime.now(UTC)).total_seconds()
    if left <= 0:
        raise Refused("it has expired")
    return left
