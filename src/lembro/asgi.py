"""Sessions for any ASGI application: ``scope["session"]``."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable, Mapping, MutableMapping
from types import MethodType
from typing import Any, Unpack

from ._core.session import Session
from ._core.state import COMMITTED, NOT_LOADED, OPEN
from ._http.cookie import Presented
from ._http.error_response import COMMIT_ERRORS, HEADERS, error_response_for
from ._http.headers import with_session
from .errors import ConfigError, LembroError, StoreError
from .manager import SessionManager, application, manager_of
from .options import OptionKeywords
from .stores.base import AsyncStore, Store

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
ASGIApp = Callable[[Scope, Receive, Send], Awaitable[None]]

_ENDS = ("lifespan.startup.failed", "lifespan.shutdown.complete", "lifespan.shutdown.failed")
_STARTS = ("http.response.start", "websocket.accept", "websocket.http.response.start")


class SessionMiddleware:
    """``SessionMiddleware(app, sessions)``, or ``SessionMiddleware(app, store=MemoryStore("64M"),
    idle_timeout=...)`` with the options of :class:`~lembro.SessionOptions` as keywords.

    The session is committed when the response begins (for a WebSocket: when it is accepted).
    ``exclude``: beginnings of paths for which nothing is loaded; of use with a networked store,
    where loading comes before the handler. Raises ConfigError.
    """

    def __init__(
        self,
        app: ASGIApp,
        manager: SessionManager | None = None,
        *,
        store: Store | AsyncStore | None = None,
        exclude: Iterable[str] = (),
        **options: Unpack[OptionKeywords],
    ) -> None:
        self.app: ASGIApp = application(app)
        self.manager: SessionManager = manager_of(manager, store, options)
        self._read = self._read_cookie  # bound once
        self._exclude = _paths(exclude)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] not in ("http", "websocket"):
            await self._lifespan(scope, receive, send)
            return
        manager = self.manager
        if "session" in scope and manager.is_within_itself(
            scope["session"], https=_is_https(scope)
        ):
            await self.app(scope, receive, send)
            return
        session = Session(manager, self._read, scope, send, True)
        scope["session"] = session
        if manager.preloads and not scope["path"].startswith(self._exclude):
            await manager.apreload(session)
        try:
            # The session is also the state of its response: an object for that takes 0.1 us.
            await self.app(scope, receive, MethodType(_send, session))
        except BaseException as error:
            try:
                if not await _app_failed(session, error):
                    raise
            finally:
                _let_go(session)
        else:
            if session._loaded is not NOT_LOADED and not session._preloaded:
                if session._phase is OPEN:
                    await manager.acommit(session, failed=True)
                elif session._nested_possible and session._send is not _nowhere:
                    manager.finish(session)
            _let_go(session)

    def _read_cookie(self, scope: Scope) -> Presented:
        headers = [value for name, value in scope["headers"] if name == b"cookie"]
        return self.manager.cookie.read(headers, https=_is_https(scope))

    async def _lifespan(self, scope: Scope, receive: Receive, send: Send) -> None:
        async def receive_and_start() -> Message:
            message = await receive()
            if message["type"] == "lifespan.startup":
                await self.manager.astart()
            return message

        async def stop_and_send(message: Message) -> None:
            if message["type"] in _ENDS:
                await self.manager.astop()
            await send(message)

        await self.app(scope, receive_and_start, stop_and_send)


def _is_https(scope: Mapping[str, Any]) -> bool:
    return scope.get("scheme") in ("https", "wss")


def _paths(exclude: object) -> tuple[str, ...]:
    """Beginnings of paths. An empty one would be that of every path."""
    given: tuple[Any, ...] = (exclude,)
    if isinstance(exclude, Iterable) and not isinstance(exclude, str | bytes):
        given = tuple(exclude)
    for path in given:
        if not isinstance(path, str) or not path.startswith("/"):
            raise ConfigError(
                f"exclude={exclude!r}: give beginnings of paths, each of which begins with '/', "
                f'for example exclude=["/static/"]'
            )
    return given


# The response of one request, on its way out. Of its session, ``_source`` is the scope, and
# ``_send`` is where messages go; once its phase is not OPEN any more, the response has begun.


def _send(session: Session, message: Message) -> Awaitable[None]:
    """In place of the server's ``send``. Not ``async`` itself: a response whose session was not
    looked at is spared a coroutine for each message (0.1 us of the 0.6 that lembro adds)."""
    if session._phase is OPEN:
        kind = message["type"]
        if kind in _STARTS:
            if not (session._loaded is NOT_LOADED or session._preloaded):
                return _start(session, message)
            session._phase = COMMITTED
        elif kind == "websocket.close":
            return _refuse(session, message)
    return session._send(message)  # type: ignore[no-any-return]


def _start(session: Session, message: Message) -> Awaitable[None]:
    manager = session._manager
    failed = message.get("status", 200) >= 500
    if not manager.in_process:
        return _start_later(session, message, failed)
    try:
        manager.commit(session, failed=failed)
    except COMMIT_ERRORS as error:
        return _answer(session, error)
    return session._send(_with_session(session, message))  # type: ignore[no-any-return]


async def _start_later(session: Session, message: Message, failed: bool) -> None:
    try:
        await session._manager.acommit(session, failed=failed)
    except COMMIT_ERRORS as error:
        await _answer(session, error)
        return
    if session._send is not _nowhere:  # else the request has ended, and left this task behind
        await session._send(_with_session(session, message))


def _with_session(session: Session, message: Message) -> Message:
    if session._cookie is None:
        return {**message, "headers": with_session(message.get("headers", ()), None)}
    scope, manager = session._source, session._manager
    client, https = scope.get("client"), _is_https(scope)
    address = client[0] if client else None
    cookie = manager.set_cookie(session, address, scope["headers"], https=https)
    headers = with_session(message.get("headers", ()), cookie)
    if session._presented.legacy:
        headers += [
            (b"set-cookie", old) for old in manager.cleared_legacy_cookies(session, https=https)
        ]
    return {**message, "headers": headers}


async def _refuse(session: Session, message: Message) -> None:
    """A WebSocket that is closed instead of accepted: no cookie can be set."""
    needs_cookie = session._key is None or session._login or session._regenerate
    try:
        await session._manager.acommit(session, failed=bool(needs_cookie))
    except COMMIT_ERRORS as error:
        error_response_for(error)
    await session._send(message)


async def _app_failed(session: Session, error: BaseException) -> bool:
    """The application raised. Returns True if the response is taken care of."""
    if session._phase is not OPEN:
        return False
    try:
        await session._manager.acommit(session, failed=True)
    except COMMIT_ERRORS as second:
        error_response_for(second)
    if not isinstance(error, StoreError):
        return False
    await _answer(session, error)
    return True


def _let_go(session: Session) -> None:
    """The request has ended. What holds the scope (uvicorn's ``send`` does, too) would with it wait
    for the garbage collector, data and all. A task that it has left behind may still look."""
    scope = session._source
    session._send = _nowhere
    if session._loaded is NOT_LOADED:
        session._source = {"headers": scope["headers"], "scheme": scope.get("scheme")}
    else:
        session._source = None


async def _answer(session: Session, error: LembroError) -> None:
    """Answer in place of the application, whose further messages go nowhere."""
    send, session._send = session._send, _nowhere
    answer = error_response_for(error)
    if send is _nowhere:
        return
    if session._source["type"] == "websocket":
        code = 1013 if answer.status == 503 else 1011  # RFC 6455: try again later; error
        await send({"type": "websocket.close", "code": code, "reason": answer.phrase})
        return
    length = (b"content-length", str(len(answer.body)).encode())
    await send(
        {"type": "http.response.start", "status": answer.status, "headers": [*HEADERS, length]}
    )
    await send({"type": "http.response.body", "body": answer.body})


async def _nowhere(message: Message) -> None:
    return None
