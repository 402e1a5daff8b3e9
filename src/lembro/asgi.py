"""Sessions for any ASGI application: ``scope["session"]``."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable, MutableMapping
from typing import Any, Unpack

from .answers import FAILURES, HEADERS, answer_to
from .cookie import Presented
from .errors import LembroError, StoreError
from .headers import with_session
from .manager import SessionManager, manager_of
from .options import OptionKeywords
from .session import Session
from .state import Arrived, Phase
from .stores.base import AsyncStore, Store

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
ASGIApp = Callable[[Scope, Receive, Send], Awaitable[None]]

_SECURE = ("https", "wss")
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
        sessions: SessionManager | None = None,
        *,
        store: Store | AsyncStore | None = None,
        exclude: Iterable[str] = (),
        **options: Unpack[OptionKeywords],
    ) -> None:
        self.app: ASGIApp = app
        self.sessions: SessionManager = manager_of(sessions, store, options)
        self._exclude = (exclude,) if isinstance(exclude, str) else tuple(exclude)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] not in ("http", "websocket"):
            await self._lifespan(scope, receive, send)
            return
        sessions = self.sessions
        https = scope.get("scheme") in _SECURE
        if "session" in scope and sessions.is_within_itself(scope["session"], https=https):
            await self.app(scope, receive, send)
            return
        session = Session(sessions, self._read, scope, https=https, asynchronous=True)
        scope["session"] = session
        if not sessions.in_process and not scope["path"].startswith(self._exclude):
            await sessions.aload_for(session)
        response = _Response(session, scope, send)
        try:
            await self.app(scope, receive, response.send)
        except BaseException as error:
            if not await response.app_failed(error):
                raise
        else:
            if not (session._arrived is Arrived.UNREAD or session._ahead):
                await response.app_ended()

    def _read(self, scope: Scope) -> Presented:
        headers = [value for name, value in scope["headers"] if name == b"cookie"]
        return self.sessions.cookie.read(headers, https=scope.get("scheme") in _SECURE)

    async def _lifespan(self, scope: Scope, receive: Receive, send: Send) -> None:
        async def receive_and_start() -> Message:
            message = await receive()
            if message["type"] == "lifespan.startup":
                await self.sessions.astart()
            return message

        async def stop_and_send(message: Message) -> None:
            if message["type"].startswith("lifespan.shutdown."):
                await self.sessions.astop()
            await send(message)

        await self.app(scope, receive_and_start, stop_and_send)


class _Response:
    """The response of one request, on its way out."""

    __slots__ = ("_answered", "_scope", "_send", "_session", "_started")

    def __init__(self, session: Session, scope: Scope, send: Send) -> None:
        self._session = session
        self._scope = scope
        self._send = send
        self._started = False
        self._answered = False

    def send(self, message: Message) -> Awaitable[None]:
        """In place of the server's ``send``. Not ``async`` itself: a response whose session was not
        looked at is spared a coroutine for each message (0.1 us of the 0.7 that lembro adds)."""
        if self._answered:
            return _nothing()
        if not self._started:
            kind = message["type"]
            if kind in _STARTS:
                self._started = True
                session = self._session
                if session._arrived is Arrived.UNREAD or session._ahead:
                    session._phase = Phase.COMMITTED
                else:
                    return self._start(message)
            elif kind == "websocket.close":
                return self._refuse(message)
        return self._send(message)

    async def _start(self, message: Message) -> None:
        session = self._session
        sessions = session._manager
        failed = message.get("status", 200) >= 500
        try:
            if sessions.in_process:
                sessions.commit(session, failed=failed)
            else:
                await sessions.acommit(session, failed=failed)
        except FAILURES as error:
            await self._answer(error)
            return
        client = self._scope.get("client")
        cookie = sessions.set_cookie(session, client[0] if client else None)
        headers = with_session(message.get("headers", ()), cookie)
        await self._send({**message, "headers": headers})

    async def _refuse(self, message: Message) -> None:
        """A WebSocket that is closed instead of accepted: no cookie can be set."""
        self._started = True
        session = self._session
        if not session._untouched():
            needs_cookie = session._key is None or session._login or session._regenerate
            try:
                await session._manager.acommit(session, failed=bool(needs_cookie))
            except FAILURES as error:
                answer_to(error)
        await self._send(message)

    async def app_failed(self, error: BaseException) -> bool:
        """The application raised. Returns True if the response is taken care of."""
        if self._started:
            return False
        if self._session._untouched():
            # An error page around us may look at it; what it writes would be kept by nobody.
            self._session._phase = Phase.COMMITTED
        else:
            try:
                await self._session._manager.acommit(self._session, failed=True)
            except FAILURES as second:
                answer_to(second)
        if not isinstance(error, StoreError):
            return False
        self._started = True
        await self._answer(error)
        return True

    async def app_ended(self) -> None:
        """The application returned."""
        if self._answered:
            return
        if self._started:
            self._session._manager.finish(self._session)
        else:
            await self._session._manager.acommit(self._session, failed=True)

    async def _answer(self, error: LembroError) -> None:
        """Answer in place of the application, whose further messages go nowhere."""
        self._answered = True
        answer = answer_to(error)
        if self._scope["type"] == "websocket":
            code = 1013 if answer.status == 503 else 1011  # RFC 6455: try again later; error
            await self._send({"type": "websocket.close", "code": code, "reason": answer.phrase})
            return
        length = (b"content-length", str(len(answer.body)).encode())
        await self._send(
            {
                "type": "http.response.start",
                "status": answer.status,
                "headers": [*HEADERS, length],
            }
        )
        await self._send({"type": "http.response.body", "body": answer.body})


async def _nothing() -> None:
    return None
