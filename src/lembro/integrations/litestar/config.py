"""A session config of Litestar's, its backend, and its middleware."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, Literal, Unpack, cast

from litestar.datastructures import MutableScopeHeaders
from litestar.enums import ScopeType
from litestar.middleware import DefineMiddleware
from litestar.middleware.session.base import (
    BaseBackendConfig,
    BaseSessionBackend,
    SessionMiddleware,
)
from litestar.serialization.msgspec_hooks import DEFAULT_TYPE_ENCODERS
from litestar.types import Scope, Scopes

from ... import asgi
from ..._core.session import Session
from ..._http.headers import with_session
from ...options import OptionKeywords, SessionOptions, seconds, take_cookie_keywords
from ...stores.base import AsyncStore, Store
from .._adapter import SessionManager, manager_of, preload, runner_of
from .exchange import ConnectionExchange, InnerApp, expect_clear, replace_data

if TYPE_CHECKING:
    from litestar.connection import ASGIConnection
    from litestar.types import Message, Receive, Send

# In Litestar's types request.session is a dict, so a handler may return it.
cast("dict[Any, Any]", DEFAULT_TYPE_ENCODERS)[Session] = dict

_SESSION: Final = "lembro.session"  # the backend's session, in the scope


class LembroSessionBackend(BaseSessionBackend["LembroSessionConfig"]):
    """The backend of Litestar's test client and of Litestar's own session middleware.

    The middleware of :class:`LembroSessionConfig` does not call it, because it loads lazily.
    """

    def get_session_id(self, connection: ASGIConnection[Any, Any, Any, Any]) -> None:
        """Return None, because the session ID is a secret. Use ``session.handle`` instead."""

    async def load_from_connection(
        self, connection: ASGIConnection[Any, Any, Any, Any]
    ) -> dict[str, Any]:
        """Return a copy of the data of the connection's session."""
        return dict(await self._session(connection))

    async def store_in_message(
        self,
        scope_session: Any,  # a dict, a model, Empty or None
        message: Message,
        connection: ASGIConnection[Any, Any, Any, Any],
    ) -> None:
        """Replace the data of the connection's session, and add its headers to the message.

        Raises:
            StoreError, SessionTooLarge, CodecError, TooManySessions: nothing was stored.
        """
        session = await self._session(connection)
        replace_data(session, scope_session, connection.scope)
        exchange: ConnectionExchange = session._transport  # type: ignore[assignment]
        await exchange.runner.acommit(session)
        exchange.session = session
        headers = MutableScopeHeaders.from_message(message).headers
        headers[:] = with_session(headers, exchange.set_cookies())
        exchange.close()

    async def _session(self, connection: ASGIConnection[Any, Any, Any, Any]) -> Session:
        scope: Any = connection.scope
        session: Session | None = scope.get(_SESSION)
        if session is None:
            exchange = ConnectionExchange(runner_of(self.config.manager), connection)
            exchange.session = session = scope[_SESSION] = Session(exchange)
            expect_clear(scope)
            try:
                await preload(exchange)
            finally:
                exchange.close()
        return session


class ConfigKeywords(OptionKeywords, total=False):
    """The keywords that :class:`LembroPlugin` passes to :class:`LembroSessionConfig`."""

    exclude_opt_key: str
    scopes: Scopes | None
    key: str | None
    max_age: int | None
    path: str | None
    domain: str | None
    secure: bool | None
    httponly: bool | None
    samesite: Literal["lax", "strict", "none"] | None


class LembroSessionConfig(BaseBackendConfig[LembroSessionBackend]):
    """A session config that can replace Litestar's ``ServerSideSessionConfig``.

    For ``middleware=[config.middleware]``, for ``SessionAuth`` and for the test client.

    Args:
        manager: The manager, if you have made one. Otherwise one is made from ``store``,
            ``options`` and ``keywords``.
        store: A store or its URL; default: ``LEMBRO_STORE`` in the environment, or a MemoryStore.
        options: The options; ``keywords`` replace single ones.
        exclude: Regular expressions of paths without a session, as Litestar's middlewares take
            them: ``"^/static"``.
        exclude_opt_key: The key of a handler's ``opt`` that excludes it from sessions.
        scopes: The kinds of connections that have a session; HTTP and WebSocket by default.
        key: The cookie's name.
        max_age: The idle timeout and the cookie's Max-Age, in seconds.
        path: The cookie's Path.
        domain: The cookie's Domain.
        secure: The cookie's Secure; over https only by default.
        httponly: The cookie's HttpOnly.
        samesite: The cookie's SameSite.
        keywords: The fields of :class:`~lembro.SessionOptions`.

    Raises:
        ConfigError: an argument cannot work.
    """

    _backend_class = LembroSessionBackend

    def __init__(
        self,
        manager: SessionManager | None = None,
        *,
        store: Store | AsyncStore | str | None = None,
        options: SessionOptions | None = None,
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
        **keywords: Unpack[OptionKeywords],
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
        if manager is not None:  # report a conflict by the names that were given
            given = {"key" if name == "name" else name: cookie[name] for name in cookie}
            manager_of(manager, store, options, {**given, **keywords})
        take_cookie_keywords(keywords, cookie)
        self.manager: SessionManager = manager_of(manager, store, options, keywords)
        self.exclude: str | list[str] | None = exclude
        self.exclude_opt_key: str = exclude_opt_key
        self.scopes: Scopes = {ScopeType.HTTP, ScopeType.WEBSOCKET} if scopes is None else scopes
        # Litestar's SessionAuth, for example, reads these of every config.
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
        """The middleware, for any layer. The plugin adds it to the application."""
        return DefineMiddleware(LembroSessionMiddleware, backend=LembroSessionBackend(self))


class LembroSessionMiddleware(SessionMiddleware[LembroSessionBackend]):
    """The middleware of ``LembroSessionConfig.middleware``."""

    def __init__(self, app: Any, backend: LembroSessionBackend) -> None:
        super().__init__(app, backend)
        self._serve: Any = asgi.SessionMiddleware(InnerApp(app), backend.config.manager)

    def __call__(self, scope: Scope, receive: Receive, send: Send) -> Any:
        """Serve one connection, unless Litestar has found that it is excluded."""
        return self._serve(scope, receive, send)
