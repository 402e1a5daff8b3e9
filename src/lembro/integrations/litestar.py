"""Litestar: ``request.session``, by a plugin or as a session backend, and a ``Store``."""

from __future__ import annotations

import sys
from collections.abc import Awaitable, Mapping
from typing import TYPE_CHECKING, Any, Final, Literal, Unpack

from .. import asgi
from .._core.session import Session
from .._core.state import NOT_LOADED, OPEN
from .._http.error_response import COMMIT_ERRORS
from .._log import log
from ..errors import ConfigError, StoreError
from ..events import Event
from ..manager import SessionManager, manager_of
from ..options import OptionKeywords, seconds, take_cookie_keywords
from ..stores.base import AsyncStore, Store
from . import _adapter

try:
    from litestar.datastructures import MutableScopeHeaders
    from litestar.di import NamedDependency, Provide
    from litestar.enums import ScopeType
    from litestar.middleware import DefineMiddleware
    from litestar.middleware.session.base import (
        BaseBackendConfig,
        BaseSessionBackend,
        SessionMiddleware,
    )
    from litestar.plugins import InitPlugin
    from litestar.types import Empty, Scope, Scopes

    from ..caches.litestar import LembroStore
except ImportError as _missing:  # pragma: no cover
    raise ImportError(
        "lembro.integrations.litestar needs Litestar: pip install 'lembro[litestar]'"
    ) from _missing

if TYPE_CHECKING:
    from litestar.config.app import AppConfig
    from litestar.connection import ASGIConnection
    from litestar.types import Message, Receive, Send

__all__ = [
    "LembroPlugin",
    "LembroSessionBackend",
    "LembroSessionConfig",
    "LembroStore",
    "SessionDep",
    "get_session",
]

_FAILED: Final = 4500  # the code with which Litestar closes a WebSocket whose handler has raised
_KEPT: Final = "lembro.session"  # where in the scope

SessionDep = NamedDependency[Session]
"""``async def page(session: SessionDep)``, for HTTP and WebSocket handlers alike."""


def get_session(connection: ASGIConnection[Any, Any, Any, Any]) -> Session:
    """``request.session`` or ``socket.session``, typed; as a parameter: ``session: SessionDep``.

    Raises ConfigError where there is none.
    """
    return _session_of(connection.scope)


def _session_of(scope: Scope) -> Session:
    session = scope.get("session")
    if not isinstance(session, Session):
        raise ConfigError(
            "there is no lembro session here: Litestar(plugins=[LembroPlugin(sessions)]); after "
            "set_session() and clear_session() it is what these have put in its place"
        )
    return session


class LembroSessionBackend(BaseSessionBackend["LembroSessionConfig"]):
    """What the test client's ``get_session_data`` and ``set_session_data`` call. Requests go
    through lembro's own middleware, which does no work for a session that is not looked at."""

    def get_session_id(self, connection: ASGIConnection[Any, Any, Any, Any]) -> None:
        """None: an id is a secret of the browser's. ``session.handle`` is a name for lists."""

    async def load_from_connection(
        self, connection: ASGIConnection[Any, Any, Any, Any]
    ) -> dict[str, Any]:
        """The data of the session whose cookie the connection has."""
        return dict(await self._session(connection))

    async def store_in_message(
        self,
        scope_session: Any,  # as Litestar has it: a dict, a model, Empty or None
        message: Message,
        connection: ASGIConnection[Any, Any, Any, Any],
    ) -> None:
        """Make this the data of the session, and set the cookie if it needs one."""
        session = await self._session(connection)
        _replace(session, scope_session, connection.scope)
        await session._manager.acommit(session)
        client = connection.client
        cookie = session._manager.set_cookie(
            session, client.host if client else None, https=asgi._is_https(connection.scope)
        )
        if cookie is not None:
            MutableScopeHeaders.from_message(message).add("Set-Cookie", cookie.decode("ascii"))

    async def _session(self, connection: ASGIConnection[Any, Any, Any, Any]) -> Session:
        scope: Any = connection.scope
        session = scope.get(_KEPT)
        if session is None:
            cookies = "; ".join(f"{name}={value}" for name, value in connection.cookies.items())
            https = asgi._is_https(connection.scope)
            session = await _adapter.abegin(self.config.manager, cookies, https=https)
            scope[_KEPT] = session
        return session  # type: ignore[no-any-return]


class LembroSessionConfig(BaseBackendConfig[LembroSessionBackend]):
    """``LembroSessionConfig(sessions)``, or with a store and options, or with the keywords of
    Litestar's ``ServerSideSessionConfig``, in whose place it can stand: as
    ``middleware=[config.middleware]``, for ``SessionAuth`` and for the test client.

    ``max_age`` (seconds) is the idle timeout and the cookie's Max-Age. Raises ConfigError.
    """

    _backend_class = LembroSessionBackend

    def __init__(
        self,
        manager: SessionManager | None = None,
        *,
        store: Store | AsyncStore | None = None,
        exclude: str | list[str] | None = None,
        exclude_opt_key: str = "skip_session",
        scopes: Scopes | None = None,
        key: str | None = None,
        max_age: int | None = None,
        path: str | None = None,
        domain: str | None = None,
        secure: bool | None = None,
        httponly: bool | None = None,
        samesite: Literal["lax", "strict", "none"] | None = None,
        **options: Unpack[OptionKeywords],
    ) -> None:
        cookie: dict[str, Any] = {
            "name": key,
            "max_age": max_age,
            "path": path,
            "domain": domain,
            "secure": secure,
            "httponly": httponly,
            "samesite": samesite,
        }
        cookie = {name: value for name, value in cookie.items() if value is not None}
        if manager is not None:  # raises what is to be raised, in the words that were given
            given = {"key" if name == "name" else name: cookie[name] for name in cookie}
            manager_of(manager, store, {**given, **options})
        take_cookie_keywords(options, cookie)
        self.manager: SessionManager = manager_of(manager, store, options)
        self.exclude: str | list[str] | None = exclude
        self.exclude_opt_key: str = exclude_opt_key
        self.scopes: Scopes = {ScopeType.HTTP, ScopeType.WEBSOCKET} if scopes is None else scopes
        # What others ask a config of Litestar's for.
        using = self.manager.options.cookie
        self.key: str = using.name_over(https=False)
        self.max_age: int = int(seconds("idle_timeout", self.manager.options.idle_timeout))
        self.path: str = using.path
        self.domain: str | None = using.domain
        self.secure: bool = using.is_secure(https=True)
        self.httponly: bool = using.httponly
        self.samesite: Literal["lax", "strict", "none"] = using.samesite

    @property
    def middleware(self) -> DefineMiddleware:
        """For the ``middleware`` of any layer; the plugin adds it to the application."""
        return DefineMiddleware(LembroSessionMiddleware, backend=LembroSessionBackend(self))


class LembroSessionMiddleware(SessionMiddleware[LembroSessionBackend]):
    """Made by ``LembroSessionConfig.middleware``."""

    def __init__(self, app: Any, backend: LembroSessionBackend) -> None:
        super().__init__(app, backend)
        self._serve: Any = asgi.SessionMiddleware(_Inner(app), backend.config.manager)

    def __call__(self, scope: Scope, receive: Receive, send: Send) -> Any:
        return self._serve(scope, receive, send)  # a coroutine; Litestar has looked at exclude


class LembroPlugin(InitPlugin):
    """``Litestar(plugins=[LembroPlugin(sessions)])``, or with what LembroSessionConfig takes
    instead, or with one (``config=``).

    Handlers have ``request.session``, and get it typed as a parameter ``session: SessionDep``;
    ``session_dependency_key`` is another name for that, None: no such parameter. ``plugin.config``
    is for ``SessionAuth`` and the test client. Raises ConfigError.
    """

    def __init__(
        self,
        manager: SessionManager | None = None,
        *,
        config: LembroSessionConfig | None = None,
        session_dependency_key: str | None = "session",
        **keywords: Any,
    ) -> None:
        if config is not None and (manager is not None or keywords):
            given = ", ".join([*(["manager"] if manager is not None else []), *keywords])
            raise ConfigError(f"{given} beside config: give these to LembroSessionConfig(...)")
        self.config: LembroSessionConfig = config or LembroSessionConfig(manager, **keywords)
        self.session_dependency_key: str | None = session_dependency_key

    @property
    def manager(self) -> SessionManager:
        return self.config.manager

    def on_app_init(self, app_config: AppConfig) -> AppConfig:
        if sum(isinstance(plugin, LembroPlugin) for plugin in app_config.plugins) > 1:
            raise ConfigError("two LembroPlugins in one application: its sessions come from one")
        app_config.middleware.insert(0, self.config.middleware)  # around all others
        # A handler may return it, as the dict that Litestar's types say it is.
        app_config.type_encoders = {Session: dict, **(app_config.type_encoders or {})}
        app_config.on_startup.append(self.manager.astart)
        app_config.on_shutdown.append(self.manager.astop)
        if self.session_dependency_key is not None:
            app_config.dependencies.setdefault(
                self.session_dependency_key, Provide(_provide_session, sync_to_thread=False)
            )
        return app_config


def _provide_session(scope: Scope) -> Session:
    return _session_of(scope)


class _Inner:
    """The application within the middleware: what Litestar does with a session in its own ways is
    made known to the session before that is committed."""

    def __init__(self, app: Any) -> None:
        self._app = app

    async def __call__(self, scope: Any, receive: asgi.Receive, send: asgi.Send) -> None:
        session: Session = scope["session"]

        def send_with_session(message: asgi.Message) -> Awaitable[None]:
            if session._phase is OPEN and (
                scope["session"] is not session
                or message.get("status") == 500
                or message.get("code") == _FAILED
            ):
                return _begin(session, scope, send, message)
            return send(message)

        try:
            await self._app(scope, receive, send_with_session)
        finally:
            if session._phase is OPEN:  # there was no response; an end is honoured
                _settle(session, scope)
            elif not isinstance(scope["session"], Session):
                _say_too_late(session)


async def _begin(session: Session, scope: Any, send: asgi.Send, message: asgi.Message) -> None:
    """A response that says more than a response does."""
    try:
        _settle(session, scope)
    except COMMIT_ERRORS as error:
        if not await asgi._app_failed(session, error):
            await asgi._answer(session, error)
        return
    # What a handler raises is answered by Litestar within its middleware, which see a response.
    raised = sys.exception()
    unavailable = isinstance(raised, StoreError) and message.get("status") == 500
    if unavailable or (raised is not None and message.get("code") == _FAILED):
        assert raised is not None
        if await asgi._app_failed(session, raised):
            return
    await send(message)


def _settle(session: Session, scope: Any) -> None:
    """``set_session()`` and ``clear_session()`` put something in the place of the session."""
    value = scope["session"]
    if not isinstance(value, Session):  # another one is that of a middleware within this one
        scope["session"] = session
        _replace(session, value, scope)


def _replace(session: Session, value: Any, scope: Scope) -> None:
    """Make ``value`` the data of the session."""
    if value is Empty or value is None:
        session.destroy()
        return
    if not isinstance(value, Mapping):  # a model: as Litestar's own backends store it
        stored = BaseSessionBackend.serialize_data(value, scope)
        value = BaseSessionBackend.deserialize_data(stored)
    for key in session.keys() - value.keys():
        del session[key]
    session.update(value)


def _say_too_late(session: Session) -> None:
    log.error(
        "set_session() or clear_session() was called after the response had begun; it has no "
        "effect: write inside `async with session.edit():`"
    )
    if session._loaded is not NOT_LOADED:
        handle, user = session._current_handle(), session._current_user()
        session._manager._emit([Event("dropped", handle, user, "changed too late")])
