"""Falcon, WSGI and ASGI: ``req.context.session``."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Iterable, Iterator
from types import MethodType
from typing import TYPE_CHECKING, Any, Final, Unpack

from .. import asgi, wsgi
from .._core.session import Session
from .._core.state import OPEN
from .._http.error_response import ErrorResponse, error_response_for
from .._http.headers import RequestHeaders
from ..errors import ConfigError, StoreError
from ..manager import SessionManager, manager_of
from ..options import OptionKeywords
from ..stores.base import AsyncStore, Store
from . import _adapter

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

_NONE: Final[list[str]] = []
_FAILURES: Final = frozenset((1011, *range(3500, 3600)))
"""With what Falcon closes a WebSocket whose responder has raised: an error, an HTTPError of 5xx."""


class Lembro:
    """``Lembro(app, sessions)``, or ``Lembro(app, store=MemoryStore("64M"), idle_timeout=...)``
    with the options of :class:`~lembro.SessionOptions` as keywords, for a ``falcon.App`` or a
    ``falcon.asgi.App``.

    Adds a middleware, so those that use the session are added after it; and the answer to a
    StoreError. ``exclude``: beginnings of paths for which nothing is loaded; of use in a
    ``falcon.asgi.App`` with a networked store, where loading comes before the responder. Raises
    ConfigError.
    """

    def __init__(
        self,
        app: falcon.App[Any, Any],
        manager: SessionManager | None = None,
        *,
        store: Store | AsyncStore | None = None,
        exclude: Iterable[str] = (),
        **options: Unpack[OptionKeywords],
    ) -> None:
        _adapter.check_app(app, falcon.App, "Falcon")
        self.manager: SessionManager = manager_of(manager, store, options)
        self._name = f"lembro_{id(self)}"  # of the session that this one is to commit
        self._around = asgi.SessionMiddleware(_nothing, self.manager, exclude=exclude)
        if isinstance(app, falcon.asgi.App):
            app.add_middleware(self)
            app.add_error_handler(StoreError, _astore_failed)
            return
        if not hasattr(self.manager.store, "blocking"):
            raise ConfigError(
                f"{type(self.manager.store).__name__} is asynchronous, and a falcon.App is not: "
                f"give the plain store of its kind, or use a falcon.asgi.App"
            )
        self.manager.start_for_good()
        app.add_middleware(self)
        app.add_error_handler(StoreError, _store_failed)

    # -- WSGI: called by Falcon --------------------------------------------------------------------

    def process_request(self, req: falcon.Request, resp: falcon.Response) -> None:
        """Before the request is routed."""
        env, https = req.env, req.env["wsgi.url_scheme"] == "https"
        session = self._outer(req, env.get(wsgi.KEY), https)
        if session is None:
            session = _adapter.begin(self.manager, env.get("HTTP_COOKIE"), https=https)
            setattr(req.context, self._name, session)
        req.context.session = session

    def process_response(
        self, req: falcon.Request, resp: falcon.Response, resource: object, req_succeeded: bool
    ) -> None:
        """After the responder, or what answered in its place."""
        session = self._mine(req)
        if session is None:
            return
        try:
            if resp.media is not None and not session._is_unused():
                resp.render_body()  # which is kept; if it can't be, the answer is a 500
        except BaseException:
            _adapter.commit(session, 500)
            raise
        answer = _adapter.commit(session, resp.status_code)
        if answer is not None:
            _replace(resp, answer)
            return
        _add_headers(session, req, resp, req.env, https=req.env["wsgi.url_scheme"] == "https")
        if resp.stream is not None and not hasattr(resp.stream, "read"):
            resp.stream = _until_the_end(session, resp.stream)

    # -- ASGI: the same ----------------------------------------------------------------------------

    async def process_startup(self, scope: dict[str, Any], event: AsgiEvent) -> None:
        """Before the first request."""
        await self.manager.astart()

    async def process_shutdown(self, scope: dict[str, Any], event: AsgiEvent) -> None:
        """After the last one."""
        await self.manager.astop()

    async def process_request_async(
        self, req: falcon.asgi.Request, resp: falcon.asgi.Response
    ) -> None:
        """Before the request is routed."""
        scope: Any = req.scope
        session = self._outer(req, scope.get("session"), asgi._is_https(scope))
        if session is None:
            session = await self._begin(req, scope, None)
            setattr(req.context, self._name, session)
        req.context.session = session

    async def _begin(self, req: falcon.asgi.Request, scope: Any, send: Any) -> Session:
        if not isinstance(scope["headers"], list | tuple):  # an iterator, which Falcon has used up
            cookies = (req.get_header("Cookie") or "").encode("latin-1", "replace")
            scope = {**scope, "headers": [(b"cookie", cookies)]}
        session = Session(self.manager, self._around._read, scope, send, True)
        if self.manager.preloads and not req.path.startswith(self._around._exclude):
            await self.manager.apreload(session)
        return session

    async def process_response_async(
        self,
        req: falcon.asgi.Request,
        resp: falcon.asgi.Response,
        resource: object,
        req_succeeded: bool,
    ) -> None:
        """After the responder, or what answered in its place."""
        session = self._mine(req)
        if session is None:
            return
        try:
            if resp.media is not None and not session._is_unused():
                await resp.render_body()
        except BaseException:
            await _adapter.acommit(session, 500)
            raise
        answer = await _adapter.acommit(session, resp.status_code)
        if answer is not None:
            _replace(resp, answer)
            return
        scope: Any = req.scope
        _add_headers(session, req, resp, scope["headers"], https=asgi._is_https(scope))
        if resp.sse is not None:
            resp.sse = _auntil_the_end(session, resp.sse)
        elif resp.stream is not None and not hasattr(resp.stream, "read"):
            resp.stream = _auntil_the_end(session, resp.stream)

    async def process_request_ws(self, req: falcon.asgi.Request, ws: falcon.asgi.WebSocket) -> None:
        """Before a WebSocket is routed: it is committed when it is accepted, or refused."""
        scope: Any = req.scope
        outer = self._outer(req, scope.get("session"), asgi._is_https(scope))
        if outer is not None:
            req.context.session = outer
            return
        # A WebSocket has __slots__: what it sends is the one place where a handshake can be met.
        session = await self._begin(req, scope, ws._asgi_send)
        ws._asgi_send = MethodType(_send, session)
        req.context.session = session

    # -- both --------------------------------------------------------------------------------------

    def _outer(self, req: falcon.Request, outer: object, https: bool) -> Session | None:
        """The session that the request has already, if it is this manager's."""
        outer = getattr(req.context, "session", outer)
        if isinstance(outer, Session) and self.manager.is_within_itself(outer, https=https):
            return outer
        return None

    def _mine(self, req: falcon.Request) -> Session | None:
        """The session that is to be committed here."""
        session: Session | None = getattr(req.context, self._name, None)
        return session if session is not None and session._phase is OPEN else None


def get_session(req: falcon.Request) -> Session:
    """``req.context.session``, with its type."""
    session: object = getattr(req.context, "session", None)
    if not isinstance(session, Session):
        raise ConfigError(
            "there is no lembro session here: lembro.integrations.falcon.Lembro(app, sessions), "
            "before the middlewares that use it are added"
        )
    return session


def _add_headers(
    session: Session,
    req: falcon.Request,
    resp: falcon.Response,
    request: RequestHeaders,
    *,
    https: bool,
) -> None:
    headers = _Headers(resp)
    lines = _adapter.add_headers(
        session, headers, headers.lines, https=https, client=req.remote_addr, request=request
    )
    for line in lines:
        resp.append_header("set-cookie", line)


class _Headers:
    """The headers of a response."""

    def __init__(self, resp: falcon.Response) -> None:
        self._resp = resp

    def lines(self, name: str) -> list[str]:
        value = self._resp.get_header(name)
        return _NONE if value is None else [value]

    def __setitem__(self, name: str, value: str) -> None:
        self._resp.set_header(name, value)


def _replace(resp: falcon.Response, answer: ErrorResponse) -> None:
    resp.status = answer.status
    resp.text = resp.media = resp.stream = None
    if isinstance(resp, falcon.asgi.Response):
        resp.sse = None
    resp.data = answer.body
    resp.set_headers(_adapter.TEXT)


def _store_failed(
    req: falcon.Request, resp: falcon.Response, error: Any, params: dict[str, Any]
) -> None:
    _replace(resp, error_response_for(error))


async def _astore_failed(
    req: falcon.asgi.Request,
    resp: falcon.asgi.Response | None,
    error: Any,
    params: dict[str, Any],
    *,
    ws: falcon.asgi.WebSocket | None = None,
) -> None:
    answer = error_response_for(error)
    if resp is not None:
        _replace(resp, answer)
        return
    assert ws is not None
    await ws.close(1013, answer.phrase)


async def _send(session: Session, message: Any) -> None:
    """In place of the ``send`` of a WebSocket's server."""
    closes = message["type"] == "websocket.close"
    if closes and session._phase is OPEN and message["code"] in _FAILURES:
        await _adapter.acommit(session, 500)
    await asgi._send(session, message)
    if closes:
        session._manager.finish(session)


async def _nothing(scope: asgi.Scope, receive: asgi.Receive, send: asgi.Send) -> None: ...


def _until_the_end(session: Session, stream: Any) -> Iterator[bytes]:
    try:
        yield from stream
    finally:
        close: Callable[[], object] | None = getattr(stream, "close", None)
        if close is not None:
            close()
        session._manager.finish(session)


async def _auntil_the_end(session: Session, stream: Any) -> AsyncIterator[Any]:
    try:
        async for item in stream:
            yield item
    finally:
        close = getattr(stream, "aclose", None) or getattr(stream, "close", None)
        if close is not None:
            await close()
        session._manager.finish(session)
