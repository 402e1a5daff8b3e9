"""Sanic: ``request.ctx.session``."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from copy import copy
from typing import Any, Final, Unpack
from weakref import ref

from .. import asgi
from .._core.session import Session
from .._core.state import OPEN
from .._http.cookie import ABSENT, Presented
from .._http.error_response import ErrorResponse, error_response_for
from ..errors import ConfigError, LembroError, StoreError
from ..manager import SessionManager, manager_of
from ..options import OptionKeywords
from ..stores.base import AsyncStore, Store
from . import _adapter

try:
    from sanic import Request, Sanic
    from sanic.response import BaseHTTPResponse, HTTPResponse
except ImportError as _missing:  # pragma: no cover
    raise ImportError(
        "lembro.integrations.sanic needs Sanic: pip install 'lembro[sanic]'"
    ) from _missing

__all__ = ["Lembro", "get_session"]

_NONE: Final[list[str]] = []


class Lembro:
    """``Lembro(app, sessions)``, or ``Lembro(app, store=MemoryStore("64M"), idle_timeout=...)``
    with the options of :class:`~lembro.SessionOptions` as keywords.

    Adds a request middleware, so those that use the session are added after it, and extends the
    application's ``request_class``. ``exclude``: beginnings of paths for which nothing is loaded;
    of use with a networked store, where loading comes before the handler. Raises ConfigError.
    """

    def __init__(
        self,
        app: Sanic[Any, Any],
        manager: SessionManager | None = None,
        *,
        store: Store | AsyncStore | None = None,
        exclude: Iterable[str] = (),
        **options: Unpack[OptionKeywords],
    ) -> None:
        _adapter.check_app(app, Sanic, "Sanic")
        self.manager: SessionManager = manager_of(manager, store, options)
        self._exclude = asgi._paths(exclude)
        if hasattr(app.ctx, "lembro"):
            raise ConfigError(f"the application {app.name!r} has its sessions from lembro already")
        app.ctx.lembro = self

        async def start(app: Sanic[Any, Any]) -> None:
            await self.manager.astart()

        async def stop(app: Sanic[Any, Any]) -> None:
            await self.manager.astop()

        async def begin(request: Request[Any, Any]) -> None:
            await self._begin(request)

        app.before_server_start(start)
        app.after_server_stop(stop)
        app.on_request(begin)
        # A response middleware that returns a response ends the round, so ours could be left out.
        app.request_class = _with_sessions(app.request_class)
        app.exception(StoreError)(_store_failed)
        app.signal("websocket.handler.before")(_accepted)

    async def _begin(self, request: Request[Any, Any]) -> None:
        ctx: Any = request.ctx
        if hasattr(ctx, "session"):  # a second round, for an error
            return
        scope = getattr(request.transport, "scope", None)  # under an ASGI server
        outer = None if scope is None else scope.get("session")
        if outer is not None and self.manager.is_within_itself(outer, https=_is_https(request)):
            ctx.session = outer
            return
        # Weakly: what is in a circle waits for the garbage collector.
        session = Session(self.manager, _read, ref(request), None, True)
        if self.manager.preloads and not request.path.startswith(self._exclude):
            await self.manager.apreload(session)
        ctx.session = ctx.lembro = session


def get_session(request: Request[Any, Any]) -> Session:
    """``request.ctx.session``, with its type."""
    session: object = getattr(request.ctx, "session", None)
    if not isinstance(session, Session):
        raise ConfigError(
            "there is no lembro session here: lembro.integrations.sanic.Lembro(app, sessions), "
            "before the middlewares that use it are added"
        )
    return session


def _is_https(request: Request[Any, Any]) -> bool:
    scope = getattr(request.transport, "scope", None)  # of an ASGI server, where Sanic says http
    return request.scheme in ("https", "wss") or (scope is not None and asgi._is_https(scope))


def _read(source: ref[Request[Any, Any]]) -> Presented:
    request = source()
    if request is None:
        raise LembroError("the request has ended before anybody looked at its session")
    cookies = request.headers.getall("cookie", _NONE)
    if not cookies:
        return ABSENT
    given = [cookie.encode("utf-8", "surrogateescape") for cookie in cookies]
    manager: SessionManager = request.app.ctx.lembro.manager
    return manager.cookie.read(given, https=_is_https(request))


def _with_sessions(base: type[Request[Any, Any]]) -> type[Request[Any, Any]]:
    class SessionRequest(base):  # type: ignore[misc,valid-type]
        __slots__ = ()

        async def respond(self, response: Any = None, **keywords: Any) -> Any:
            """Whatever is sent goes through here, once the response middlewares are done."""
            response = await super().respond(response, **keywords)
            session = getattr(self.ctx, "lembro", None)
            if session is None or session._phase is not OPEN:
                return response
            if not isinstance(response, BaseHTTPResponse):  # one that is still to come here
                return response
            return await _commit(self, session, response)

    return SessionRequest


async def _commit(
    request: Request[Any, Any], session: Session, response: BaseHTTPResponse
) -> BaseHTTPResponse:
    stream: Any = request.stream
    answer = await _adapter.acommit(session, response.status or 200)
    if answer is not None:
        refusal: BaseHTTPResponse = stream.respond(_Refusal(answer))
        return refusal
    if not session._is_unused():
        response = _with_headers(request, session, response)
    sent: Any = _Stream(session, stream)
    response.stream = sent
    return response


def _with_headers(
    request: Request[Any, Any], session: Session, response: BaseHTTPResponse
) -> BaseHTTPResponse:
    stream: Any = request.stream
    if session._cookie is not None:
        # Somebody's cookie has no place in an object that may be sent again, to another one.
        response = copy(response)
        response.headers = response.headers.copy()
        response._cookies = None
        response = stream.respond(response)
    headers: Any = response.headers
    lines = _adapter.add_headers(
        session,
        headers,
        lambda name: headers.getall(name, _NONE),
        https=_is_https(request),
        client=request.client_ip,
        request=request.headers,
    )
    for line in lines:
        headers.add("set-cookie", line)
    return response


class _Stream:
    """Where a response is sent; at its end a change that came too late is said. (Sanic's signal for
    that is one which another application of the process can switch off.)"""

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

    async def _send(self, data: bytes, end_stream: bool) -> None:
        await self._stream.send(data, end_stream=end_stream)
        session = self._session
        if end_stream and session is not None:
            self._session = None  # Sanic ends what has ended once more
            session._manager.finish(session)


class _Refusal(HTTPResponse):
    """In place of the application's response, of which nothing more goes out."""

    def __init__(self, answer: ErrorResponse) -> None:
        headers = dict(_adapter.TEXT)
        super().__init__(answer.body, answer.status, headers, headers.pop("Content-Type"))
        self._sent = False

    async def send(self, data: Any = None, end_stream: bool | None = None) -> None:
        """Once, and with its own body alone."""
        if not self._sent:
            self._sent = True
            await super().send(end_stream=True)


def _store_failed(request: Request[Any, Any], error: StoreError) -> HTTPResponse:
    return _Refusal(error_response_for(error))


async def _accepted(request: Request[Any, Any], websocket: object) -> None:
    """A WebSocket is accepted before its handler is called, and no cookie can be set."""
    session: Session | None = getattr(request.ctx, "lembro", None)
    if session is None:  # a middleware around the application has it
        return
    needs_cookie = not session._is_unused() and (
        session._key is None or session._login or session._regenerate
    )
    await _adapter.acommit(session, 500 if needs_cookie else 200)
    # Sanic has no signal for the end of one that the client closes.
    task = asyncio.current_task()
    assert task is not None
    task.add_done_callback(lambda _: session._manager.finish(session))
