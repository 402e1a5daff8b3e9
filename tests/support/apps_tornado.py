"""The small application of ``visits.py`` in Tornado, called as its server would."""

from __future__ import annotations

import asyncio
from typing import Any, Final

import anyio
from tornado import httputil
from tornado.web import Application, RequestHandler

from lembro import LoginRequired, SessionManager, StoreError
from lembro.integrations.tornado import Lembro, SessionMixin
from tests.support.messages import Answer, Request
from tests.support.visits import HEADER, visit_of

FIRST: Final = b"first "
LAST: Final = b"last"
BODY: Final = b"ok"


class InTornado:
    name = "tornado"
    sync = False
    websockets = False  # WebSockets are accepted before the handler's open() is called
    own_driver = False
    trio = False

    def __init__(self, manager: SessionManager) -> None:
        self.app = Application([("/.*", _Page)], log_function=lambda handler: None)
        Lembro(self.app, manager)

    async def fetch(self, request: Request) -> Answer:
        return await fetch_tornado(self.app, request)


async def fetch_tornado(app: Application, request: Request) -> Answer:
    """Call a Tornado application as its server would, in the same task."""
    answer = Answer()
    headers = httputil.HTTPHeaders({"Host": "testserver"})
    for name, value in request.headers:
        headers.add(name.decode("latin-1"), value.decode("latin-1"))
    # Not by add(): it refuses control characters, which lembro must be able to read.
    headers._as_list["Cookie"] = [cookie.decode("latin-1") for cookie in request.cookies]
    connection = _Connection(request, answer)
    incoming = httputil.HTTPServerRequest(
        start_line=httputil.RequestStartLine(
            "GET", f"{request.path}?{request.query}" if request.query else request.path, "HTTP/1.1"
        ),
        headers=headers,
        connection=connection,
    )
    incoming.body = b""
    incoming.protocol = "https" if request.https else "http"
    incoming.remote_ip = "127.0.0.1"
    found: Any = app.find_handler(incoming)
    handler = found.handler_class(app, incoming, **found.handler_kwargs)
    if request.sending is not None:  # its server also waits for the body of a request
        await request.sending()
    try:
        await handler._execute([], *found.path_args, **found.path_kwargs)
    finally:
        with anyio.move_on_after(60, shield=True):  # Tornado's server cancels nothing
            await connection.finished.wait()
            await connection.sent()
    return answer


class _Connection(httputil.HTTPConnection):
    """Record what is sent."""

    def __init__(self, request: Request, answer: Answer) -> None:
        self.context = None
        self.finished = asyncio.Event()
        self._request = request
        self._answer = answer
        self._sending: list[asyncio.Future[None]] = []

    def set_close_callback(self, callback: Any) -> None: ...

    def write_headers(
        self, start_line: Any, headers: httputil.HTTPHeaders, chunk: bytes | None = None
    ) -> asyncio.Future[None]:
        assert not self._answer.status, "the response was started twice"
        self._answer.status = start_line.code
        self._answer.headers = [
            (name.lower().encode("latin-1"), value.encode("latin-1"))
            for name, value in headers.get_all()
            if name not in ("Server", "Date", "Content-Type", "Etag", "Content-Length")
        ]
        return self.write(chunk or b"")

    def write(self, chunk: bytes) -> asyncio.Future[None]:
        assert self._answer.status, "a body without a start"
        self._answer.body += chunk
        self._sending.append(asyncio.ensure_future(self._send()))
        return self._sending[-1]

    async def _send(self) -> None:
        if self._request.sending is not None:
            await self._request.sending()

    async def sent(self) -> None:
        for sending in self._sending:
            await sending

    def finish(self) -> None:
        self.finished.set()


class _Page(SessionMixin, RequestHandler):
    async def get(self) -> None:
        visit = visit_of(self.request.headers[HEADER]).begin(self.session, sync=False)
        await visit.run()
        self.set_status(visit.status)
        for name, value in visit.headers:
            self.add_header(name, value)
        if visit.later is None:
            if visit.status not in (204, 304):
                self.write(BODY)
            return
        self.write(FIRST)
        await self.flush()
        await visit.run_later()
        self.write(LAST)

    def log_exception(self, typ: Any, value: Any, tb: Any) -> None:
        connection: Any = self.request.connection
        if not isinstance(value, StoreError | LoginRequired | None):  # these get a response
            connection._answer.error = value
