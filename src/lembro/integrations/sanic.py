"""Sanic: ``request.ctx.session``."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Iterable
from copy import copy
from typing import Any, Final, Unpack
from weakref import ref

from .. import asgi
from .._core.session import Session
from .._core.state import OPEN
from ..errors import UsageError
from ..options import OptionKeywords, SessionOptions
from ..stores.base import AsyncStore, Store
from ._adapter import (
    ANSWERED_ERRORS,
    ErrorResponse,
    Exchange,
    RequestHeaders,
    Runner,
    SessionManager,
    already_installed,
    arespond,
    begin_unused,
    check_app,
    error_response_for,
    manager_of,
    no_session,
    path_prefixes,
    runner_of,
)

try:
    from sanic import Request, Sanic
    from sanic.response import BaseHTTPResponse, HTTPResponse
except ImportError as _missing:  # pragma: no cover
    raise ImportError(
        "lembro.integrations.sanic needs Sanic: pip install 'lembro[sanic]'"
    ) from _missing

__all__ = ["Lembro", "get_session"]

_NONE: Final[list[str]] = []
_SCHEMES: Final = ("SERVER_NAME", "FORWARDED_SECRET", "REAL_IP_HEADER", "PROXIES_COUNT")
"""The settings by which Sanic takes the scheme from elsewhere than the connection."""


# -- the exchange ----------------------------------------------------------------------------------


class _Exchange(Exchange):
    """One request of Sanic, and its response.

    It refers to the request weakly, and to its session only while the response is made. A handler
    may be cancelled without a signal, and a reference cycle would then be left.
    """

    __slots__ = ("_request",)

    def __init__(self, runner: Runner, request: Request[Any, Any]) -> None:
        self.runner = runner
        self.session = None
        self._request = ref(request)

    def request(self) -> Request[Any, Any]:
        """Return the request, which has the session in its ``ctx``."""
        request = self._request()
        if request is None:
            raise UsageError(
                "the session must be accessed before its request ends. Access it before you pass "
                "it to a background task"
            )
        return request

    def cookie_headers(self) -> list[bytes]:
        cookies = self.request().headers.getall("cookie", _NONE)
        return [cookie.encode("utf-8", "surrogateescape") for cookie in cookies]

    def https(self) -> bool:
        return _is_https(self.request())

    def path(self) -> str:
        path: str = self.request().path
        return path

    def client(self) -> str | None:
        return self.request().client_ip or None

    def headers(self) -> RequestHeaders:
        return self.request().headers


def _is_https(request: Request[Any, Any]) -> bool:
    """Return whether the request came over https.

    Sanic's ``scheme`` takes a tenth of the time of a read. It is the connection's, unless a setting
    or the application's request class says otherwise.
    """
    scope = getattr(request.transport, "scope", None)  # of an ASGI server, where Sanic says http
    if scope is not None and asgi.is_https(scope):
        return True
    if any(map(request.app.config.get, _SCHEMES)) or type(request).scheme is not Request.scheme:
        return request.scheme in ("https", "wss")
    return request.conn_info is not None and request.conn_info.ssl


async def _commit(
    request: Request[Any, Any], session: Session, response: BaseHTTPResponse
) -> BaseHTTPResponse:
    """Commit the session, and return the response to send."""
    stream: Any = request.stream
    exchange: Exchange = session._transport  # type: ignore[assignment]
    exchange.session = session
    try:
        adapter = _Response(exchange, stream, response)
        stored = await arespond(exchange, adapter)
    finally:
        exchange.close()
    response = adapter.response
    if stored:
        sent: Any = _Stream(session, stream)
        response.stream = sent
    return response


# -- the response ----------------------------------------------------------------------------------


class _Response:
    """A response of Sanic, or the one that replaces it."""

    __slots__ = ("_exchange", "_headers", "_stream", "response")

    def __init__(self, exchange: Exchange, stream: Any, response: BaseHTTPResponse) -> None:
        self._exchange = exchange
        self._stream = stream
        self._headers: Any = None
        self.response = response

    def status(self) -> int:
        return self.response.status or 200

    def lines(self, name: str) -> list[str]:
        lines: list[str] = self._writable().getall(name, _NONE)
        return lines

    def set(self, name: str, value: str) -> None:
        self._writable()[name] = value

    def add(self, name: str, value: str) -> None:
        self._writable().add(name, value)

    def replace(self, error: ErrorResponse) -> None:
        self.response = self._stream.respond(_ErrorPage(error))

    def _writable(self) -> Any:
        """Return the headers; a copy if there will be a cookie.

        The application may send the same response object to another visitor.
        """
        if self._headers is None:
            if self._exchange.session._cookie is not None:
                response = copy(self.response)
                response.headers = response.headers.copy()
                response._cookies = None
                self.response = self._stream.respond(response)
            self._headers = self.response.headers
        return self._headers


class _Stream:
    """Sends a response, and reports late changes at its end.

    Sanic's signal for the end cannot be used: another application of the process can disable it.
    """

    __slots__ = ("_session", "_stream")

    def __init__(self, session: Session, stream: Any) -> None:
        self._session: Session | None = session
        self._stream = stream

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)

    @property
    def send(self) -> Any:
        """None once the response has ended."""
        return None if self._stream.send is None else self._send

    def _send(self, data: bytes, end_stream: bool) -> Awaitable[None]:
        session = self._session
        if end_stream and session is not None:
            self._session = None  # Sanic may end a response twice
            session._transport.runner.report_late_changes(session)
        sending: Awaitable[None] = self._stream.send(data, end_stream=end_stream)
        return sending


class _ErrorPage(HTTPResponse):
    """A response that is sent instead of the application's."""

    def __init__(self, error: ErrorResponse) -> None:
        headers = error.text_headers
        super().__init__(error.body, error.status, headers, headers.pop("Content-Type"))
        self._sent = False

    async def send(self, data: Any = None, end_stream: bool | None = None) -> None:
        """Send this page, once, whatever the application wants to send."""
        if not self._sent:
            self._sent = True
            await super().send(end_stream=True)


def _with_sessions(base: type[Request[Any, Any]], lembro: Lembro) -> type[Request[Any, Any]]:
    """Add the session and its commit to a request class.

    Middlewares are not enough: Sanic skips those of a response if an earlier one returns a
    response. They also take longer: a request that does not use its ``ctx`` needs no session.
    """

    class SessionRequest(base):  # type: ignore[misc,valid-type]
        __slots__ = ()

        def make_context(self) -> Any:  # pyright: ignore[reportIncompatibleMethodOverride]
            """Make the ``ctx`` of the request, with the session. Sanic calls this once."""
            ctx = super().make_context()
            lembro._begin(self, ctx)
            return ctx

        async def respond(self, response: Any = None, **keywords: Any) -> Any:
            """Respond. Sanic calls this for every response, after the response middlewares."""
            response = await super().respond(response, **keywords)
            session = getattr(self._ctx, "lembro", None)
            if session is None or session._phase is not OPEN:
                return response
            if not isinstance(response, BaseHTTPResponse):  # a ResponseStream calls this
                return response
            if begin_unused(session):
                return response
            return await _commit(self, session, response)

    return SessionRequest


def _answer(request: Request[Any, Any], error: Exception) -> HTTPResponse:
    """Answer an error of a session that a handler raised."""
    return _ErrorPage(error_response_for(error))


# -- a WebSocket -----------------------------------------------------------------------------------


async def _accepted(request: Request[Any, Any], websocket: object) -> None:
    """Commit: Sanic accepts a WebSocket before it calls the handler, and no cookie can be set."""
    session: Session | None = getattr(request.ctx, "lembro", None)
    if session is None:  # a middleware around the application commits it, or the path is excluded
        return
    needs_cookie = not session._is_unused() and (
        session._key is None or session._login or session._regenerate
    )
    exchange: Exchange = session._transport  # type: ignore[assignment]
    exchange.session = session
    try:
        await exchange.acommit(500 if needs_cookie else 200)
    finally:
        exchange.close()
    # Sanic has no signal for the end of a WebSocket that the client closes.
    task = asyncio.current_task()
    assert task is not None
    task.add_done_callback(lambda _: exchange.runner.report_late_changes(session))


async def _socket_failed(
    request: Request[Any, Any], websocket: Any, exception: BaseException
) -> None:
    """Close a WebSocket whose handler raised an error of a session."""
    if isinstance(exception, ANSWERED_ERRORS):
        answer = error_response_for(exception)
        await websocket.close(answer.close_code, answer.phrase)


# -- the entry point -------------------------------------------------------------------------------


class Lembro:
    """Add sessions to an application: ``Lembro(app)``.

    It extends the application's ``request_class``. Add the middlewares that use the session after
    it.

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
        app: Sanic[Any, Any],
        manager: SessionManager | None = None,
        *,
        store: Store | AsyncStore | str | None = None,
        options: SessionOptions | None = None,
        exclude: Iterable[str] = (),
        **keywords: Unpack[OptionKeywords],
    ) -> None:
        check_app(app, Sanic, "Sanic")
        self.manager: SessionManager = manager_of(manager, store, options, keywords)
        self._runner = runner_of(self.manager)
        self._exclude = path_prefixes(exclude)
        self._answers = False  # whether the errors are answered
        if hasattr(app.ctx, "lembro"):
            raise already_installed()
        app.ctx.lembro = self

        async def start(app: Sanic[Any, Any]) -> None:
            await self._runner.aopen()

        async def stop(app: Sanic[Any, Any]) -> None:
            await self._runner.aclose()

        async def preload(request: Request[Any, Any]) -> None:
            session: Session | None = getattr(request.ctx, "lembro", None)
            # Sanic calls the middlewares again for an error, even if a response has begun.
            if session is not None and session._phase is OPEN:
                await self._runner.preload(session)

        app.before_server_start(start)
        app.after_server_stop(stop)
        if self._runner.preloads:
            app.on_request(preload)
        app.request_class = _with_sessions(app.request_class, self)
        app.signal("websocket.handler.before")(_accepted)
        app.signal("websocket.handler.exception")(_socket_failed)

    def _begin(self, request: Request[Any, Any], ctx: Any) -> None:
        """Add the session to the context of a request, unless its path is excluded."""
        if not self._answers:
            self._answer_errors(request.app)
        runner = self._runner
        scope = getattr(request.transport, "scope", None)  # under an ASGI server
        outer = None if scope is None else scope.get("session")
        if outer is not None and runner.owns(outer, https=_is_https(request)):
            ctx.session = outer
            return
        if self._exclude and request.path.startswith(self._exclude):
            return
        session = ctx.session = ctx.lembro = Session(_Exchange(runner, request))
        if request.responded:
            begin_unused(session)

    def _answer_errors(self, app: Sanic[Any, Any]) -> None:
        """Add the error handlers, except those that the application has added itself.

        Called at the first request, when the application has added its handlers.

        Sanic refuses a second handler for the same error.
        """
        self._answers = True
        for error in ANSWERED_ERRORS:
            if (error, None) not in app.error_handler.cached_handlers:
                app.error_handler.add(error, _answer)


# -- the typed accessor ----------------------------------------------------------------------------


def get_session(request: Request[Any, Any]) -> Session:
    """Return ``request.ctx.session``, typed.

    Raises:
        ConfigError: the request has no session.
    """
    session: object = getattr(request.ctx, "session", None)
    if not isinstance(session, Session):
        raise no_session("Lembro(app), before the middlewares that use the session are added")
    return session
