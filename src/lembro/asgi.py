"""Sessions for any ASGI application: ``scope["session"]``."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable, Mapping, MutableMapping
from functools import lru_cache
from typing import Any, Unpack

from ._core.session import Session
from ._core.state import COMMITTED, NOT_LOADED, OPEN, REQUEST_FAILED, RESPONSE_BEGUN
from ._http.arguments import check_application
from ._http.cookie import Presented
from ._http.error_response import ANSWERED_ERRORS, COMMIT_ERRORS, error_response_for
from ._http.headers import RequestHeaders, with_session
from ._log import log
from ._paths import path_of_scope, path_prefixes
from ._runtime.exchange import Exchange
from ._runtime.runner import Runner
from .manager import SessionManager, manager_of, runner_of
from .options import OptionKeywords, SessionOptions
from .stores.base import AsyncStore, Store

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
ASGIApp = Callable[[Scope, Receive, Send], Awaitable[None]]

_ENDS = ("lifespan.startup.failed", "lifespan.shutdown.complete", "lifespan.shutdown.failed")
_BODIES = ("http.response.body", "websocket.http.response.body")
_STARTS = ("http.response.start", "websocket.accept", "websocket.http.response.start")


class SessionMiddleware:
    """Add a session to each request and WebSocket of an ASGI application.

    The session is in ``scope["session"]``. It is committed when the response begins, and for a
    WebSocket when it is accepted.

    Args:
        app: The application.
        manager: The manager, if you have made one. Otherwise one is made from ``store``,
            ``options`` and ``keywords``.
        store: A store or its URL; default: ``LEMBRO_STORE`` in the environment, or a MemoryStore.
        options: The options, as an object; ``keywords`` replace single ones.
        exclude: Path prefixes without a session, for example ``["/static/"]``.
        keywords: The fields of :class:`~lembro.SessionOptions`.

    Raises:
        ConfigError: an argument cannot work.
    """

    def __init__(
        self,
        app: ASGIApp,
        manager: SessionManager | None = None,
        *,
        store: Store | AsyncStore | str | None = None,
        options: SessionOptions | None = None,
        exclude: Iterable[str] = (),
        **keywords: Unpack[OptionKeywords],
    ) -> None:
        self.app: ASGIApp = check_application(app, "SessionMiddleware(app)")
        self.manager: SessionManager = manager_of(manager, store, options, keywords)
        self._runner = runner_of(self.manager)
        self._exclude = path_prefixes(exclude)
        passive = self.manager.options.passive
        self._exchange = PathExchange if passive else ASGIExchange

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one connection of the ASGI server."""
        if scope["type"] not in ("http", "websocket"):
            await self._lifespan(scope, receive, send)
            return
        runner = self._runner
        if "session" in scope and runner.owns(scope["session"], https=is_https(scope)):
            await self.app(scope, receive, send)
            return
        if self._exclude and path_of_scope(scope).startswith(self._exclude):
            await self.app(scope, receive, send)
            return
        exchange = self._exchange(runner, scope, send)
        session = exchange.session
        scope["session"] = session
        try:
            if runner.preloads:
                await runner.preload(session)
            try:
                await self.app(scope, receive, exchange.send)
            except BaseException as error:
                if not await exchange.app_failed(error):
                    self._prepare_error_handler(scope)
                    raise
            else:
                if not (session._loaded is NOT_LOADED or session._preloaded):
                    await exchange.app_returned()
        finally:
            exchange.close()

    def _prepare_error_handler(self, scope: Scope) -> None:
        """Prepare an error handler around this middleware. A subclass overrides this."""

    async def _lifespan(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Open the store at startup, close it at shutdown."""
        self._prepare_error_handler(scope)

        async def receive_and_open() -> Message:
            message = await receive()
            if message["type"] == "lifespan.startup":
                try:
                    await self._runner.aopen()
                except Exception as error:
                    # Otherwise servers hide the error, because they conclude that the application
                    # does not support this protocol. They would then serve it without a usable
                    # store.
                    await send({"type": "lifespan.startup.failed", "message": str(error)})
                    raise
            return message

        async def close_and_send(message: Message) -> None:
            if message["type"] in _ENDS:
                await self._runner.aclose()
            await send(message)

        await self.app(scope, receive_and_open, close_and_send)


class ASGIExchange(Exchange):
    """One connection of an ASGI server, and its response."""

    __slots__ = ("_host", "_last", "_scope", "_send")

    _host: Any
    """The application that the middleware is in, if the framework names it."""
    _scope: Any  # a Scope, until the exchange ends
    _last: Message | None
    """The last message of a response whose session was not accessed before."""

    def __init__(self, runner: Runner, scope: Scope, send: Send) -> None:
        self.runner = runner
        self._scope = scope
        self._host = scope.get("app")
        self._send = send
        self._last = None
        self.session: Session = Session(self)

    # -- the request -------------------------------------------------------------------------------

    def read_cookie(self) -> Presented:
        """Read the session cookie."""
        self.runner.serving = True
        scope = self._scope
        headers = [value for name, value in scope["headers"] if name == b"cookie"]
        return self.runner.cookie.read(headers, https=is_https(scope))

    def https(self) -> bool:
        """Return whether the request came over https."""
        return is_https(self._scope)

    def client(self) -> str | None:
        """Return the address that the request came from, if it is known."""
        client = None if self._scope is None else self._scope.get("client")
        return client[0] if client else None

    def headers(self) -> RequestHeaders:
        """Return the headers of the request."""
        return () if self._scope is None else self._scope["headers"]

    # -- the response ------------------------------------------------------------------------------

    def send(self, message: Message) -> Awaitable[None]:
        """Send a message of the application; commit before the response begins.

        This is not ``async``, so an unused session needs no coroutine for each message. That saves
        0.1 of the 0.9 us that lembro adds.
        """
        session = self.session
        if session is not None:
            if session._phase is OPEN:
                kind = message["type"]
                if kind in _STARTS:
                    given = self._scope.get("session")
                    if given is not session and type(given) is dict and not self._is_mounted():
                        return self._take_over(given, message)
                    if not (session._loaded is NOT_LOADED or session._preloaded):
                        return self._start(message)
                    session._phase = COMMITTED
                    if kind != "websocket.accept":  # no cache keeps a WebSocket
                        session._too_late = RESPONSE_BEGUN
                elif kind == "websocket.close":
                    return self._refuse(message)
            elif session._too_late:
                self._last = message
        return self._send(message)

    async def _take_over(self, given: dict[str, Any], message: Message) -> None:
        """Begin a response whose application has written ``scope["session"] = {...}``.

        Starlette's own sessions allow this. As after ``clear()``, the session ends, and the keys
        begin a new one.
        """
        session = self._scope["session"] = self.session
        await self.runner.aload(session)
        session.clear()
        session.update(given)
        await self.send(message)

    def _is_mounted(self) -> bool:
        """Return whether a mounted application serves the request.

        It may have sessions of its own, and a middleware that puts them into the same scope.
        """
        host = self._host
        if host is None or self._scope["app"] is host:
            return False
        _warn_of_mounted(self._scope.get("root_path", ""))
        return True

    def add_late_headers(self) -> bool:
        """Return whether the response has ended. A cache cannot store the data of a task that runs
        after it."""
        last = self._last
        if last is None or self._scope is None or last["type"] not in _BODIES:
            return False
        return not last.get("more_body")

    def reopen(self, scope: Scope | None) -> None:
        """Allow an error handler around the middleware to access the session. None ends this."""
        self._scope = scope

    def _start(self, message: Message) -> Awaitable[None]:
        """Begin the response of a session that was accessed."""
        failed = message.get("status", 200) >= 500
        if not self.runner.in_process:
            return self._start_later(message, failed)
        try:
            self.runner.commit(self.session, failed=failed)
        except COMMIT_ERRORS as error:
            return self.answer(error)
        return self._send(self._with_headers(message))

    async def _start_later(self, message: Message, failed: bool) -> None:
        try:
            await self.runner.acommit(self.session, failed=failed)
        except COMMIT_ERRORS as error:
            await self.answer(error)
            return
        if self._send is not discard:  # else the request has ended before this task
            await self._send(self._with_headers(message))

    def _with_headers(self, message: Message) -> Message:
        cookies = () if self.session._cookie is None else self.set_cookies()
        return {**message, "headers": with_session(message.get("headers", ()), cookies)}

    async def _refuse(self, message: Message) -> None:
        """Close a WebSocket that was not accepted, so that no cookie can be set."""
        session = self.session
        needs_cookie = session._key is None or session._login or session._regenerate
        await self.acommit(500 if needs_cookie else 200)
        await self._send(message)

    async def app_failed(self, error: BaseException) -> bool:
        """Handle an exception of the application. Return whether it was answered."""
        session = self.session
        if session is None or session._phase is not OPEN:
            return False
        await self.acommit(500)
        if not isinstance(error, ANSWERED_ERRORS):
            session._too_late = REQUEST_FAILED
            return False
        await self.answer(error)
        return True

    async def app_returned(self) -> None:
        """Handle the return of an application, possibly without a response."""
        session = self.session
        if session._phase is OPEN:
            await self.runner.acommit(session, failed=True)
        elif session._nested_possible and self._send is not discard:
            self.report_late_changes()

    def close(self) -> None:
        """End the exchange. A task that runs longer than the request may still access its session,
        if the request has accessed it."""
        self._send = discard
        if self.session._loaded is NOT_LOADED and not self.session._too_late:
            self.session._too_late = RESPONSE_BEGUN  # there was no response, or a WebSocket
        self.session = self._scope = self._last = None  # type: ignore[assignment]

    async def answer(self, error: BaseException) -> None:
        """Send an error response, and discard what the application sends from now on."""
        send, self._send = self._send, discard
        answer = error_response_for(error)
        if send is discard:
            return
        if self._scope["type"] == "websocket":
            code, reason = answer.close_code, answer.phrase
            await send({"type": "websocket.close", "code": code, "reason": reason})
            return
        headers = [*answer.headers, (b"content-length", b"%d" % len(answer.body))]
        await send({"type": "http.response.start", "status": answer.status, "headers": headers})
        await send({"type": "http.response.body", "body": answer.body})


class PathExchange(ASGIExchange):
    """An exchange that reads its path at once, for the option ``passive``.

    A mounted application changes ``root_path`` in the same scope, before it loads the session.
    """

    __slots__ = ("_path",)

    def __init__(self, runner: Runner, scope: Scope, send: Send) -> None:
        super().__init__(runner, scope, send)
        self._path = path_of_scope(scope)

    def path(self) -> str:
        """Return the path of the request within the application."""
        return self._path


@lru_cache(maxsize=16)
def _warn_of_mounted(path: str) -> None:
    """Warn once of each mounted application that puts a dict into the scope."""
    log.warning(
        "lembro: the application that is mounted at %r has put a dict into scope['session']. "
        "lembro's session continues. If the application has sessions of its own, exclude its path: "
        "SessionMiddleware(exclude=[...]). If it was to end the session, call session.clear()",
        path,
    )


def is_https(scope: Mapping[str, Any]) -> bool:
    """Return whether an ASGI connection came over https or wss."""
    return scope.get("scheme") in ("https", "wss")


async def discard(message: Message) -> None:
    """Discard a message: the ``send`` of an exchange that has ended."""
