"""ExpressManager: sessions that an Express application shares."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Final, Never, TypedDict, Unpack, cast

from .._core.lifecycle import Lifecycle
from .._core.session import Session
from .._device import Visitor
from .._http.cookie import Presented, SessionCookie
from .._runtime.exchange import session_by_id
from .._runtime.runner import Runner
from ..errors import ConfigError, UsageError
from ..manager import SessionManager
from ..options import Load, Seconds, SessionOptions, from_keywords
from .cookie import SignedCookie, secrets_of
from .formats import store_of
from .ids import is_id
from .lifecycle import ExpressLifecycle
from .options import ExpressCookie
from .store import ExpressStore
from .users import ReadUser, WriteUser
from .verbs import NO_INDEX

_REFUSED: Final = {
    "rotation_grace": "Express would read a note about the new ID as a session. An old ID ends at "
    "once",
    "max_sessions_per_user": NO_INDEX,
    "at_max_sessions": NO_INDEX,
    "anonymous_idle_timeout": "express-session has one lifetime for visitors and users",
    "migrate_from": "a session of Express needs no migration. Give migrate_from to a "
    "SessionManager, when no Express application is left",
}
"""The options of other managers that an ExpressManager cannot have, and why."""


class ExpressKeywords(TypedDict, total=False):
    """The fields of :class:`~lembro.SessionOptions` that an ExpressManager has too."""

    remember_timeout: Seconds | None
    passive: str | Sequence[str]
    describe: Callable[[Visitor], str] | None
    store_address: bool
    load: Load


class ExpressManager(SessionManager):
    """The sessions of an Express application: its cookie, and its store.

    Pass it as ``manager`` to an integration. A user who logs in on one side is logged in on the
    other. Example: ``ExpressManager("redis://localhost:6379/0", secret="keyboard cat")``.

    Args:
        store: The URL of the store, or a store such as :class:`~lembro.express.ConnectRedis`.
        secret: The ``secret`` of express-session, or several. The first signs, all are accepted.
        format: The npm package of the store, if it does not follow from the URL:
            ``connect-redis``, ``connect-pg-simple``, ``express-mysql-session``, ``connect-mongo``
            or ``connect-mongodb-session``. Only with a URL.
        user: The path of the user ID in the session's data, or a function that takes the data and
            returns the ID. Default: ``passport.user``. Only with a URL.
        set_user: A function that takes the data and a user ID, and notes the login in the data.
            Only if ``user`` is a function.
        user_type: The type of the ID at the path: str or int. Only with a URL.
        cookie: The ``cookie`` and the ``name`` of express-session, or only the name.
        rolling: The ``rolling`` of express-session: every response that used the session sends
            the cookie.
        idle_timeout: The ``ttl`` of the store: seconds that a session lives after its last use, if
            its cookie has no ``maxAge``. Default: the cookie's ``max_age``, or the store's default.
        absolute_timeout: The longest life of a session, in seconds, if lembro added it or logged
            its user in. None: no limit, as in Express.
        keywords: Other fields of :class:`~lembro.SessionOptions`.

    Raises:
        ConfigError: an argument cannot work, or Express cannot keep what it asks for.
    """

    def __init__(
        self,
        store: ExpressStore | str,
        *,
        secret: str | list[str] | tuple[str, ...],
        format: str | None = None,
        user: ReadUser | None = None,
        set_user: WriteUser | None = None,
        user_type: type[str] | type[int] | None = None,
        cookie: ExpressCookie | str | None = None,
        rolling: bool = False,
        idle_timeout: Seconds | None = None,
        absolute_timeout: Seconds | None = None,
        **keywords: Unpack[ExpressKeywords],
    ) -> None:
        secrets = secrets_of(secret)
        sent = _cookie_of(cookie)
        made = store_of(store, format, user=user, set_user=set_user, user_type=user_type)
        for name in keywords:
            if name in _REFUSED:
                raise ConfigError(f"an ExpressManager has no {name}: {_REFUSED[name]}")
        if not isinstance(rolling, bool):
            raise ConfigError(f"rolling must be True or False, got {rolling!r}")
        if idle_timeout is None:
            idle_timeout = made.lifetime if sent.max_age is None else sent.max_age
        fixed: dict[str, Any] = {
            "cookie": sent.as_options(),
            "idle_timeout": idle_timeout,
            "absolute_timeout": absolute_timeout,
            "rotation_grace": 0,
            "max_sessions_per_user": None,
        }
        options = from_keywords({**fixed, **keywords})
        super().__init__(cast("Any", made), options)
        self._runner: Runner = ExpressRunner(
            made, options, SignedCookie(sent, secrets), rolling=rolling
        )

    def _session(self, session_id: str | None) -> Session:
        if session_id is not None and not isinstance(session_id, str):
            return super()._session(session_id)  # raises
        known = session_id is not None and is_id(session_id)
        return session_by_id(self._runner, Presented(session_id if known else None))


class ExpressRunner(Runner):
    """A runner with the cookie and the lifecycle of Express."""

    def __init__(
        self, store: ExpressStore, options: SessionOptions, cookie: SignedCookie, *, rolling: bool
    ) -> None:
        super().__init__(cast("Any", store), options)
        self.cookie: SessionCookie = cookie
        self.lifecycle: Lifecycle = ExpressLifecycle(
            options, cookie.express, store.users, rolling=rolling
        )

    def require(self, verb: str) -> str:
        if verb in ("of_user", "destroy_user"):
            _refuse()
        return super().require(verb)


def _refuse() -> Never:
    raise UsageError(NO_INDEX)


def _cookie_of(given: Any) -> ExpressCookie:
    if given is None:
        return ExpressCookie()
    if isinstance(given, str):
        return ExpressCookie(name=given)
    if not isinstance(given, ExpressCookie):
        raise ConfigError(
            f"cookie must be an ExpressCookie, or the name of the cookie, got {given!r}. "
            f'Example: cookie=ExpressCookie(name="connect.sid", max_age=3600)'
        )
    return given
