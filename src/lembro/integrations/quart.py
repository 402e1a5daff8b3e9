"""Quart: ``quart.session``, in requests and WebSockets."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from contextlib import suppress
from functools import partial
from typing import Any, TypeAlias, cast

from .. import asgi
from .._core.session import Session
from .._core.state import OPEN
from . import _adapter
from ._adapter import ANSWERED_ERRORS, Exchange, Runner, error_response_for

try:
    import quart
    from quart.sessions import SessionInterface, SessionMixin
    from quart.wrappers.base import BaseRequestWebsocket
    from werkzeug.local import LocalProxy
    from werkzeug.sansio.response import Response as BaseResponse
    from werkzeug.wrappers import Response as WerkzeugResponse

    from ._flask_session import FlaskSession
    from ._flask_shared import (
        Extension,
        FlaskResponse,
        LazyManager,
        NoSession,
        answer_errors,
        error_page,
        typed_session,
    )
except ImportError as _missing:  # pragma: no cover
    raise ImportError(
        "lembro.integrations.quart needs Quart: pip install 'lembro[quart]'"
    ) from _missing

__all__ = ["Lembro", "LembroSessionInterface", "QuartSession", "session"]

QuartSession: TypeAlias = FlaskSession
"""The type of ``quart.session``."""


# -- the exchange ----------------------------------------------------------------------------------


class QuartExchange(Exchange):
    """A request without lembro's middleware around it: a test client's ``session_transaction``.

    Every other request has the exchange of the middleware. This one refers to its session only
    while it responds, so that it leaves no reference cycle.
    """

    __slots__ = ("_cookies", "_https", "_path")

    def __init__(self, runner: Runner, request: BaseRequestWebsocket) -> None:
        self.runner = runner
        self.session: Any = None
        self._cookies = _adapter.encoded("; ".join(request.headers.getlist("Cookie")))
        self._https = request.scheme in ("https", "wss")
        self._path: str = request.path

    def cookie_headers(self) -> list[bytes]:
        """Return the Cookie headers of the request."""
        return self._cookies

    def https(self) -> bool:
        """Return whether the request came over https."""
        return self._https

    def path(self) -> str:
        """Return the path of the request."""
        return self._path

    async def respond(self, session: QuartSession, response: FlaskResponse) -> None:
        """Commit the session, and add its headers to the response.

        An error of the commit is raised to the test, not answered.
        """
        await self.runner.acommit(session, failed=response.status() >= 500)
        self.session = session
        _adapter.add_headers(self, response)
        self.close()


class LembroSessionInterface(LazyManager, SessionInterface):
    """Gives Quart the session of each request and WebSocket; made by :class:`Lembro`."""

    null_session_class = NoSession
    _request = quart.request

    async def open_session(
        self, app: quart.Quart, request: BaseRequestWebsocket
    ) -> QuartSession | None:
        """Return the session of a connection; None on an excluded path.

        The middleware around the connection has made it, and commits it.
        """
        runner = self._runner or self._made()
        scope = request.scope
        outer = scope.get("session")
        if isinstance(outer, Session) and outer._transport.runner is runner:
            return _adapter.as_kind(outer, QuartSession)
        if self._exclude and _adapter.path_of_scope(scope).startswith(self._exclude):
            return None
        session = QuartSession(QuartExchange(runner, request))
        if runner.preloads:
            await runner.preload(session)
        return session

    async def save_session(
        self,
        app: quart.Quart,
        session: SessionMixin | None,
        response: quart.Response | WerkzeugResponse | None,
    ) -> None:
        """Prepare the session for the commit, which follows when the response begins."""
        if not isinstance(session, QuartSession) or session._phase is not OPEN:
            return
        session._drop_changes()
        if response is None:
            return
        exchange, adapted = session._transport, FlaskResponse(response)
        if isinstance(exchange, QuartExchange):
            if not session._is_unused():
                await exchange.respond(session, adapted)
        elif session._failed:
            # The middleware would treat a 401 as a success, and store the changes.
            served = cast("Exchange", exchange)
            error = await served.acommit(500)
            if error is None:
                _adapter.add_headers(served, adapted)
            else:
                adapted.replace(error)

    async def regenerate(self, session: QuartSession) -> None:
        """Give the session a new ID, as Quart-Session's interface does."""
        session.regenerate_id()


# -- the application -------------------------------------------------------------------------------


class Lembro(Extension[quart.Quart]):
    _kind = quart.Quart

    def _install(self, app: quart.Quart) -> None:
        interface = LembroSessionInterface(app, self._given)
        app.session_interface = interface  # type: ignore[assignment]  # typed as Quart's own
        answer_errors(app, _answer)
        # Inside of other middlewares around ``app.asgi_app``, which may correct the scheme.
        http: Any = _WithSessions(interface, app.asgi_http_class)
        websocket: Any = _WithSessions(interface, app.asgi_websocket_class)
        app.asgi_http_class, app.asgi_websocket_class = http, websocket

        async def start() -> None:
            await interface.manager.aopen()

        async def stop() -> None:
            await interface.manager.aclose()

        app.before_serving(start)
        app.after_serving(stop)
        process: Any = _answering(app.process_response)
        app.process_response = process  # type: ignore[method-assign]

    def _current_app(self) -> Any:
        return quart.current_app


async def _answer(error: Exception) -> WerkzeugResponse | None:
    """Answer an error that a view raised. Changes are dropped, and a logout takes effect."""
    current = _session()
    response = error_response_for(error)
    if not quart.has_websocket_context():
        if isinstance(current, QuartSession):
            current._failed = True
        return error_page(response)
    if isinstance(current, QuartSession) and current._phase is OPEN:
        await cast("Exchange", current._transport).acommit(500)
    with suppress(RuntimeError):  # the view has closed it
        await quart.websocket.close(response.close_code, response.phrase)
    return None


def _answering(process: Callable[..., Awaitable[Any]]) -> Callable[..., Awaitable[Any]]:
    """Answer errors of ``after_request`` functions, for which Quart would answer 500."""

    async def process_response(*args: Any) -> Any:
        try:
            return await process(*args)
        except ANSWERED_ERRORS as error:
            # The second argument; before Quart 0.23 the first.
            response: Any = next(arg for arg in args if isinstance(arg, BaseResponse))
            FlaskResponse(response).replace(error_response_for(error))
            return response

    return process_response


class _WithSessions:
    """Wraps Quart's class that serves a connection in the middleware."""

    def __init__(self, interface: LembroSessionInterface, inner: Any) -> None:
        self._interface = interface
        self._inner = inner
        self._middleware: asgi.SessionMiddleware | None = None

    def __call__(
        self, app: quart.Quart, scope: asgi.Scope
    ) -> Callable[[asgi.Receive, asgi.Send], Awaitable[None]]:
        if self._middleware is None:
            served = partial(_serve, app, self._inner)
            self._middleware = asgi.SessionMiddleware(
                served, self._interface.manager, exclude=self._interface.exclude
            )
        return partial(self._middleware, scope)


async def _serve(
    app: quart.Quart, inner: Any, scope: asgi.Scope, receive: asgi.Receive, send: asgi.Send
) -> None:
    await inner(app, scope)(receive, send)


# -- the typed session -----------------------------------------------------------------------------


def _session() -> SessionMixin:
    return cast("LocalProxy[SessionMixin]", quart.session)._get_current_object()


def _typed() -> QuartSession:
    return typed_session(_session())


session: QuartSession = cast("QuartSession", LocalProxy(_typed))
"""``quart.session``, with its type: type checkers know ``session.login(...)``."""
