"""Quart: ``quart.session``, in requests and WebSockets."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from functools import partial
from typing import Any, TypeAlias, cast

from .. import asgi
from .._core.session import Session
from .._core.state import OPEN
from .._http.error_response import error_response_for
from ..errors import ConfigError, StoreError
from . import _adapter

try:
    import quart
    from quart.sessions import SessionInterface, SessionMixin
    from quart.wrappers.base import BaseRequestWebsocket
    from werkzeug.local import LocalProxy
    from werkzeug.sansio.response import Response as BaseResponse
    from werkzeug.wrappers import Response as WerkzeugResponse

    from ._flask import Extension, FlaskSession, LazyManager, add_to_headers, replace
except ImportError as _missing:  # pragma: no cover
    raise ImportError(
        "lembro.integrations.quart needs Quart: pip install 'lembro[quart]'"
    ) from _missing

__all__ = ["Lembro", "LembroSessionInterface", "QuartSession", "session"]

QuartSession: TypeAlias = FlaskSession
"""What ``quart.session`` is."""


class LembroSessionInterface(LazyManager, SessionInterface):
    """What Quart asks for the session of a request or WebSocket; made by :class:`Lembro`."""

    _request = quart.request

    async def open_session(self, app: quart.Quart, request: BaseRequestWebsocket) -> QuartSession:
        """The session of the middleware, which also commits it. Where there is none around (a test
        client's ``session_transaction``) one by itself."""
        manager = self._made or self.manager
        outer = request.scope.get("session")
        if isinstance(outer, Session) and outer._manager is manager:
            return _adapter.as_kind(outer, QuartSession)
        cookies = "; ".join(request.headers.getlist("Cookie"))
        source = (manager, cookies, request.scheme in ("https", "wss"))
        session = QuartSession(manager, _adapter.read, source, None, True)
        session._owner = self
        if manager.preloads:
            await manager.apreload(session)
        return session

    async def save_session(
        self,
        app: quart.Quart,
        session: SessionMixin | None,
        response: quart.Response | WerkzeugResponse | None,
    ) -> None:
        """The response is complete."""
        if not isinstance(session, QuartSession) or session._phase is not OPEN:
            return
        session._give_up()
        if session._owner is not self or response is None or session._is_unused():
            return
        await session._manager.acommit(session, failed=response.status_code >= 500)
        add_to_headers(session, response.headers, session._source[2], None)

    async def regenerate(self, session: QuartSession) -> None:
        """As of Quart-Session: ``session.regenerate_id()``."""
        session.regenerate_id()


class Lembro(Extension[quart.Quart]):
    _kind = quart.Quart

    def _set_up(self, app: quart.Quart) -> None:
        interface = LembroSessionInterface(app, *self._given)
        app.session_interface = interface  # type: ignore[assignment]  # typed as Quart's own
        # Inside of whatever else is around ``app.asgi_app``, such as what corrects the scheme.
        http: Any = _Around(interface, app.asgi_http_class)
        websocket: Any = _Around(interface, app.asgi_websocket_class)
        app.asgi_http_class, app.asgi_websocket_class = http, websocket

        async def start() -> None:
            await interface.manager.astart()

        async def stop() -> None:
            await interface.manager.astop()

        app.before_serving(start)
        app.after_serving(stop)
        process: Any = _answering(app.process_response)
        app.process_response = process  # type: ignore[method-assign]

    def _current_app(self) -> Any:
        return quart.current_app


def _answering(process: Callable[..., Awaitable[Any]]) -> Callable[..., Awaitable[Any]]:
    """Quart answers 500 where a function fails that is called after the view."""

    async def process_response(*args: Any) -> Any:
        try:
            return await process(*args)
        except StoreError as error:
            # Its second argument, which before Quart 0.23 was the first.
            response: Any = next(arg for arg in args if isinstance(arg, BaseResponse))
            replace(response, error_response_for(error))
            return response

    return process_response


class _Around:
    """In place of the class that serves a connection: the middleware around what it makes."""

    def __init__(self, interface: LembroSessionInterface, inner: Any) -> None:
        self._interface = interface
        self._inner = inner
        self._middleware: asgi.SessionMiddleware | None = None

    def __call__(
        self, app: quart.Quart, scope: asgi.Scope
    ) -> Callable[[asgi.Receive, asgi.Send], Awaitable[None]]:
        if self._middleware is None:
            served = partial(_serve, app, self._inner)
            self._middleware = asgi.SessionMiddleware(served, self._interface.manager)
        return partial(self._middleware, scope)


async def _serve(
    app: quart.Quart, inner: Any, scope: asgi.Scope, receive: asgi.Receive, send: asgi.Send
) -> None:
    await inner(app, scope)(receive, send)


def _current() -> QuartSession:
    current = cast("LocalProxy[SessionMixin]", quart.session)._get_current_object()
    if isinstance(current, QuartSession):
        return current
    raise ConfigError(
        "quart.session is not lembro's here: call Lembro(app, ...) for this application"
    )


session: QuartSession = cast("QuartSession", LocalProxy(_current))
"""``quart.session``, with its type: ``session.login(...)`` is known to type checkers."""
