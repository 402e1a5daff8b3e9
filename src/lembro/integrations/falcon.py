"""Falcon, WSGI and ASGI: ``req.context.session``."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Iterable, Iterator
from types import MethodType
from typing import TYPE_CHECKING, Any, Final, Unpack, cast

from .. import asgi, wsgi
from .._core.session import Session
from .._core.state import OPEN
from ..options import OptionKeywords, SessionOptions
from ..stores.base import AsyncStore, Store
from ._adapter import (
    ANSWERED_ERRORS,
    ErrorResponse,
    Exchange,
    SessionManager,
    already_installed,
    arespond,
    check_app,
    error_response_for,
    finish,
    manager_of,
    no_session,
    path_prefixes,
    preload,
    respond,
    runner_of,
)

try:
    import falcon
    import falcon.asgi
except ImportError as _missing:  # pragma: no cover
    raise ImportError(
        "lembro.integrations.falcon needs Falcon: pip install 'lembro[falcon]'"
    ) from _missing

if TYPE_CHECKING:
    from falcon.asgi_spec import AsgiEvent

__all__ = ["Lembro", "get_session"]

_FAILURES: Final = frozenset((1011, *range(3500, 3600)))
"""The codes that Falcon closes a WebSocket with if its responder raised an error or a 5xx."""


# -- the exchange: that of lembro.wsgi or lembro.asgi ----------------------------------------------

# Falcon does not call its middlewares if a responder is cancelled or an error handler fails. So an
# exchange refers to its session only while the response is made, and leaves no reference cycle.


def _exchange_of(session: Session) -> Exchange:
    exchange = cast("Exchange", session._transport)
    exchange.session = session
    return exchange


def _asgi_scope(req: falcon.asgi.Request) -> asgi.Scope:
    """Return the scope of a request, with its headers.

    Some test clients give an iterator of headers, which Falcon has used up.
    """
    scope: Any = req.scope
    if isinstance(scope["headers"], list | tuple):
        return scope  # type: ignore[no-any-return]
    headers = [
        (name.lower().encode("latin-1"), value.encode("latin-1", "replace"))
        for name, value in req.headers.items()
    ]
    return {**scope, "headers": headers}


async def _send(session: Session, message: Any) -> None:
    """Send a message of a WebSocket; commit before it is accepted or refused.

    The exchange is not notified when the client closes the WebSocket; see above.
    """
    exchange = cast("asgi.ASGIExchange", _exchange_of(session))
    closes = message["type"] == "websocket.close"
    try:
        if closes and session._phase is OPEN and message["code"] in _FAILURES:
            await exchange.acommit(500)
        await exchange.send(message)
    finally:
        exchange.session = None  # type: ignore[assignment]
    if closes:
        exchange.session = session
        finish(exchange)


# -- the response ----------------------------------------------------------------------------------


class _Response:
    """A response of Falcon, of either kind."""

    __slots__ = ("_resp",)

    def __init__(self, resp: falcon.Response) -> None:
        self._resp = resp

    def status(self) -> int:
        return self._resp.status_code

    def lines(self, name: str) -> list[str]:
        value = self._resp.get_header(name)
        return [] if value is None else [value]

    def set(self, name: str, value: str) -> None:
        self._resp.set_header(name, value)

    def add(self, name: str, value: str) -> None:
        self._resp.append_header(name, value)

    def replace(self, error: ErrorResponse) -> None:
        resp = self._resp
        resp.status = error.status
        resp.text = resp.media = resp.stream = None
        if isinstance(resp, falcon.asgi.Response):
            resp.sse = None
        resp.data = error.body
        resp.set_headers(error.text_headers)


def _until_the_end(session: Session, stream: Any) -> Iterator[bytes]:
    """Send a stream, and then report late changes."""
    try:
        yield from stream
    finally:
        close: Callable[[], object] | None = getattr(stream, "close", None)
        if close is not None:
            close()
        session._transport.runner.report_late_changes(session)


async def _auntil_the_end(session: Session, stream: Any) -> AsyncIterator[Any]:
    """Send a stream in an event loop; see :func:`_until_the_end`."""
    try:
        async for item in stream:
            yield item
    finally:
        close = getattr(stream, "aclose", None) or getattr(stream, "close", None)
        if close is not None:
            await close()
        session._transport.runner.report_late_changes(session)


def _answer(req: falcon.Request, resp: falcon.Response, error: Any, params: dict[str, Any]) -> None:
    """Answer an error of a session that a responder raised."""
    _Response(resp).replace(error_response_for(error))


async def _aanswer(
    req: falcon.asgi.Request,
    resp: falcon.asgi.Response | None,
    error: Any,
    params: dict[str, Any],
    *,
    ws: falcon.asgi.WebSocket | None = None,
) -> None:
    """Answer an error of a session in a falcon.asgi.App; close a WebSocket."""
    answer = error_response_for(error)
    if resp is not None:
        _Response(resp).replace(answer)
        return
    assert ws is not None
    await ws.close(answer.close_code, answer.phrase)


# -- the entry point -------------------------------------------------------------------------------


class Lembro:
    """Add sessions to a ``falcon.App`` or a ``falcon.asgi.App``: ``Lembro(app)``.

    It adds a middleware, and error handlers for StoreError (503) and LoginRequired (401). After it,
    add the middlewares that use the session, and your own handlers for these errors.

    Args:
        app: The application.
        manager: The manager, if you have made one.
        store: A store or its URL; default: ``LEMBRO_STORE`` in the environment, or a MemoryStore.
        options: The options; ``keywords`` replace single ones.
        exclude: Path prefixes without a session.
        keywords: The fields of :class:`~lembro.SessionOptions`.

    Raises:
        ConfigError: an argument cannot work, or the application already has lembro's sessions.
    """

    def __init__(
        self,
        app: falcon.App[Any, Any],
        manager: SessionManager | None = None,
        *,
        store: Store | AsyncStore | str | None = None,
        options: SessionOptions | None = None,
        exclude: Iterable[str] = (),
        **keywords: Unpack[OptionKeywords],
    ) -> None:
        check_app(app, falcon.App, "Falcon")
        self.manager: SessionManager = manager_of(manager, store, options, keywords)
        self._runner = runner_of(self.manager)
        self._exclude = path_prefixes(exclude)
        if any(isinstance(middleware, Lembro) for middleware in app._unprepared_middleware):
            raise already_installed()
        if isinstance(app, falcon.asgi.App):
            app.add_middleware(self)
            app.add_error_handler(ANSWERED_ERRORS, _aanswer)
            return
        self._runner.require_sync("a falcon.App (unlike a falcon.asgi.App)")
        self._runner.open_permanently()
        app.add_middleware(self)
        app.add_error_handler(ANSWERED_ERRORS, _answer)

    # -- a falcon.App ------------------------------------------------------------------------------

    def process_request(self, req: falcon.Request, resp: falcon.Response) -> None:
        """Begin a session, before the request is routed."""
        env = req.env
        outer = self._outer(req, env.get(wsgi.KEY), https=wsgi.is_https(env))
        if outer is not None:
            req.context.session = outer
        elif not (self._exclude and req.path.startswith(self._exclude)):
            session = Session(wsgi.EnvironExchange(self._runner, env))
            req.context.lembro = session  # to be committed here
            req.context.session = session

    def process_response(
        self, req: falcon.Request, resp: falcon.Response, resource: object, req_succeeded: bool
    ) -> None:
        """Commit the session, after the responder or the error handler."""
        session = self._to_commit(req)
        if session is None:
            return
        exchange = _exchange_of(session)
        try:
            if resp.media is not None and not session._is_unused():
                try:
                    resp.render_body()  # Falcon keeps it; if it cannot be rendered, that is a 500
                except BaseException:
                    exchange.commit(500)
                    raise
            if not respond(exchange, _Response(resp)):
                return
        finally:
            exchange.close()
        if resp.stream is not None and not hasattr(resp.stream, "read"):
            resp.stream = _until_the_end(session, resp.stream)

    # -- a falcon.asgi.App -------------------------------------------------------------------------

    async def process_startup(self, scope: dict[str, Any], event: AsgiEvent) -> None:
        """Open the store, before the first request."""
        await self._runner.aopen()

    async def process_shutdown(self, scope: dict[str, Any], event: AsgiEvent) -> None:
        """Close the store, after the last request."""
        await self._runner.aclose()

    async def process_request_async(
        self, req: falcon.asgi.Request, resp: falcon.asgi.Response
    ) -> None:
        """Begin a session, before the request is routed."""
        await self._begin(req, asgi.discard)

    async def process_request_ws(self, req: falcon.asgi.Request, ws: falcon.asgi.WebSocket) -> None:
        """Begin the session of a WebSocket, before it is routed."""
        session = await self._begin(req, cast("asgi.Send", ws._asgi_send))
        if session is not None:
            # A WebSocket has __slots__: only its send can be replaced.
            ws._asgi_send = MethodType(_send, session)

    async def _begin(self, req: falcon.asgi.Request, send: asgi.Send) -> Session | None:
        """Begin a session. Return it if it is to be committed here."""
        scope: Any = req.scope
        outer = self._outer(req, scope.get("session"), https=asgi.is_https(scope))
        if outer is not None:
            req.context.session = outer
            return None
        if self._exclude and req.path.startswith(self._exclude):
            return None
        exchange = asgi.PathExchange(self._runner, _asgi_scope(req), send)
        session = exchange.session
        try:
            await preload(exchange)
        finally:
            exchange.session = None  # type: ignore[assignment]
        req.context.lembro = session  # to be committed here
        req.context.session = session
        return session

    async def process_response_async(
        self,
        req: falcon.asgi.Request,
        resp: falcon.asgi.Response,
        resource: object,
        req_succeeded: bool,
    ) -> None:
        """Commit the session, after the responder or the error handler."""
        session = self._to_commit(req)
        if session is None:
            return
        exchange = _exchange_of(session)
        try:
            if resp.media is not None and not session._is_unused():
                try:
                    await resp.render_body()
                except BaseException:
                    await exchange.acommit(500)
                    raise
            if not await arespond(exchange, _Response(resp)):
                return
        finally:
            exchange.close()
        if resp.sse is not None:
            resp.sse = _auntil_the_end(session, resp.sse)
        elif resp.stream is not None and not hasattr(resp.stream, "read"):
            resp.stream = _auntil_the_end(session, resp.stream)

    # -- both --------------------------------------------------------------------------------------

    def _outer(self, req: falcon.Request, outer: object, *, https: bool) -> Session | None:
        """Return the session that the request has already, if it is this manager's."""
        outer = getattr(req.context, "session", outer)
        if outer is not None and self._runner.owns(outer, https=https):
            return cast("Session", outer)
        return None

    def _to_commit(self, req: falcon.Request) -> Session | None:
        session: Session | None = getattr(req.context, "lembro", None)
        return session if session is not None and session._phase is OPEN else None


# -- the typed accessor ----------------------------------------------------------------------------


def get_session(req: falcon.Request) -> Session:
    """Return ``req.context.session``, typed.

    Raises:
        ConfigError: the request has no session.
    """
    session: object = getattr(req.context, "session", None)
    if not isinstance(session, Session):
        raise no_session("Lembro(app), before the middlewares that use the session are added")
    return session
