"""The small application of ``visits.py`` in aiohttp."""

from __future__ import annotations

import asyncio
from typing import Any, Final
from unittest import mock

from aiohttp import web
from aiohttp.abc import AbstractStreamWriter
from aiohttp.http import HttpVersion11, RawRequestMessage
from aiohttp.streams import EMPTY_PAYLOAD
from multidict import CIMultiDict, CIMultiDictProxy
from yarl import URL

from lembro import SessionManager
from lembro.integrations.aiohttp import get_session, setup
from tests.support.gateways import CLIENT
from tests.support.messages import Answer, Request
from tests.support.visits import BODY, FIRST, HEADER, LAST, Visit, visit_of

_HANDSHAKE: Final = {
    "Upgrade": "websocket",
    "Connection": "Upgrade",
    "Sec-WebSocket-Version": "13",
    "Sec-WebSocket-Key": "dGhlIHNhbXBsZSBub25jZQ==",
}
_REFUSED: Final = {500: 1011, 503: 1013}
"""The code with which an ASGI server would close a WebSocket that aiohttp refuses by HTTP."""


class InAiohttp:
    name = "aiohttp"
    sync = False
    websockets = True
    own_driver = False
    trio = False

    def __init__(self, manager: SessionManager) -> None:
        self.app = web.Application()
        setup(self.app, manager)
        self.app.router.add_route("*", "/{path:.*}", _page)

    async def fetch(self, request: Request) -> Answer:
        return await fetch_aiohttp(self.app, request)


async def fetch_aiohttp(app: web.Application, request: Request) -> Answer:
    """Call an aiohttp application as its server would, in the same task."""
    if not app.frozen:
        app.freeze()
    answer = Answer()
    mocked = _request(app, request, answer)
    try:
        response = await app._handle(mocked)
    except web.HTTPException as raised:
        response = raised
    except Exception as error:  # the server logs it, and responds with 500 if nothing was sent yet
        answer.error = error
        if answer.status:
            return answer
        response = web.Response(status=500)
    await response.prepare(mocked)
    if isinstance(response, web.WebSocketResponse):
        return answer
    await response.write_eof()
    if request.websocket and response.status in _REFUSED:
        answer.closed = _REFUSED[response.status], response.reason
        answer.status = 0
    return answer


def _request(app: web.Application, request: Request, answer: Answer) -> web.Request:
    headers: CIMultiDict[str] = CIMultiDict(_HANDSHAKE if request.websocket else {})
    headers["Host"] = "testserver"
    for name, value in request.headers:
        headers.add(name.decode("latin-1"), _text(value))
    for cookie in request.cookies:
        headers.add("Cookie", _text(cookie))
    path = f"{request.path}?{request.query}" if request.query else request.path
    message = RawRequestMessage(
        method="GET",
        path=path,
        version=HttpVersion11,
        headers=CIMultiDictProxy(headers),
        raw_headers=(),
        should_close=False,
        compression=None,
        upgrade=request.websocket,
        chunked=False,
        url=URL(path),
    )
    transport = mock.Mock()
    transport.is_closing.return_value = False
    protocol: Any = mock.Mock(
        transport=transport,
        ssl_context=object() if request.https else None,
        peername=(CLIENT, 50_000),
        sockname=("127.0.0.1", 80),
    )
    writer = _Writer(request, answer)
    loop = asyncio.get_running_loop()
    return web.Request(message, EMPTY_PAYLOAD, protocol, writer, mock.Mock(), loop)


def _text(value: bytes) -> str:
    return value.decode("utf-8", "surrogateescape")


class _Writer(AbstractStreamWriter):
    """Record what is sent."""

    chunked = False
    length = None

    def __init__(self, request: Request, answer: Answer) -> None:
        self._request = request
        self._answer = answer

    async def _sending(self) -> None:
        if self._request.sending is not None:
            await self._request.sending()

    async def write_headers(self, status_line: str, headers: CIMultiDict[str]) -> None:
        await self._sending()
        assert not self._answer.status, "the response was started twice"
        self._answer.status = int(status_line.split()[1])
        self._answer.headers = [
            (name.encode(), value.encode("utf-8", "surrogateescape"))
            for name, value in headers.items()
        ]

    async def write(self, chunk: bytes | bytearray | memoryview) -> None:
        await self._sending()
        assert self._answer.status, "a body without a start"
        self._answer.body += bytes(chunk)

    async def write_eof(self, chunk: bytes = b"") -> None:
        await self.write(chunk)

    async def drain(self) -> None: ...

    def enable_compression(self, encoding: str = "deflate", strategy: int | None = None) -> None:
        raise NotImplementedError

    def enable_chunking(self) -> None:
        self.chunked = True


async def _page(request: web.Request) -> web.StreamResponse:
    visit = visit_of(request.headers[HEADER]).begin(get_session(request), sync=False)
    if "Upgrade" in request.headers:
        return await _socket(request, visit)
    await visit.run()
    headers: CIMultiDict[str] = CIMultiDict(visit.headers)
    if visit.later is None:
        return web.Response(body=BODY, status=visit.status, headers=headers)
    response = web.StreamResponse(status=visit.status, headers=headers)
    await response.prepare(request)
    await response.write(FIRST)
    await visit.run_later()
    await response.write(LAST)
    return response


async def _socket(request: web.Request, visit: Visit) -> web.StreamResponse:
    socket = web.WebSocketResponse()

    async def accept() -> None:
        await socket.prepare(request)

    visit.accept = accept
    await visit.run()
    return socket if socket.prepared else web.Response(status=403)
