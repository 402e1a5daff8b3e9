"""The little application of ``visits.py`` in each framework.

One class an integration; add a new one to ``INTEGRATIONS``, and every test of the behaviour and of
the failures runs on it. A handler finds its visit by a header, runs the script, and answers with
the visit's status and headers.
"""

from __future__ import annotations

import io
from collections.abc import AsyncIterator, Callable, Iterable, Iterator
from typing import TYPE_CHECKING, Any, Final

import anyio
from fastapi import FastAPI
from fastapi import Request as FastAPIRequest
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.requests import Request as StarletteRequest
from starlette.responses import Response, StreamingResponse
from starlette.routing import Route, WebSocketRoute
from starlette.websockets import WebSocket

from lembro import SessionManager, asgi, wsgi
from lembro.integrations.fastapi import SessionDep
from lembro.integrations.fastapi import SessionMiddleware as FastAPISessions
from lembro.integrations.starlette import SessionMiddleware as StarletteSessions
from lembro.integrations.starlette import get_session
from tests.support.apps_aiohttp import InAiohttp
from tests.support.apps_bottle import InBottle
from tests.support.apps_django import InDjango, InDjangoASGI
from tests.support.apps_falcon import InFalcon, InFalconASGI
from tests.support.apps_flask import InFlask
from tests.support.apps_litestar import InLitestar
from tests.support.apps_pyramid import InPyramid
from tests.support.apps_quart import InQuart
from tests.support.apps_sanic import InSanic
from tests.support.apps_tornado import InTornado
from tests.support.messages import Answer, Request
from tests.support.visits import HEADER, Integration, Visit, drive, visit_of

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIApplication, WSGIEnvironment

METHODS: Final = ["GET", "POST"]
CLIENT: Final = "127.0.0.1"
FIRST: Final = b"first "
LAST: Final = b"last"
BODY: Final = b"ok"


# -- ASGI ----------------------------------------------------------------------------------------


async def fetch_asgi(app: asgi.ASGIApp, request: Request) -> Answer:
    """Call an ASGI application as a server would."""
    secure = "s" if request.https else ""
    scope: asgi.Scope = {
        "type": "websocket" if request.websocket else "http",
        "asgi": {"version": "3.0", "spec_version": "2.4"},
        "http_version": "1.1",
        "scheme": f"{'ws' if request.websocket else 'http'}{secure}",
        "path": request.path,
        "raw_path": request.path.encode(),
        "root_path": "",
        "query_string": request.query.encode(),
        "headers": [
            (b"host", b"testserver"),
            *request.headers,
            *((b"cookie", cookie) for cookie in request.cookies),
        ],
        "client": (CLIENT, 50_000),
        "server": ("testserver", 443 if request.https else 80),
        "state": {},
    }
    if request.websocket:
        scope["subprotocols"] = []
    else:
        scope["method"] = "GET"
    answer = Answer()
    received = 0
    ended = anyio.Event()

    async def receive() -> asgi.Message:
        nonlocal received
        received += 1
        if received > 1:
            await ended.wait()
            return {"type": "websocket.disconnect" if request.websocket else "http.disconnect"}
        if request.websocket:
            return {"type": "websocket.connect"}
        return {"type": "http.request", "body": b"", "more_body": False}

    async def send(message: asgi.Message) -> None:
        if request.sending is not None:
            await request.sending()
        kind = message["type"]
        if kind in ("http.response.start", "websocket.accept"):
            assert not answer.status, "the response was started twice"
            answer.status = message.get("status", 101)
            answer.headers = list(message.get("headers", []))
        elif kind == "http.response.body":
            assert answer.status, "a body without a start"
            answer.body += message.get("body", b"")
            if not message.get("more_body"):
                ended.set()
        elif kind == "websocket.close" and answer.closed is None:
            answer.closed = message.get("code", 1000), message.get("reason") or ""
            ended.set()

    try:
        await app(scope, receive, send)
    except Exception as error:  # a server logs it, and answers 500 if nothing was sent yet
        answer.error = error
        answer.status = answer.status or 500
    return answer


class PlainASGI:
    name = "asgi"
    sync = False
    websockets = True
    own_driver = True

    def __init__(self, sessions: SessionManager) -> None:
        self.app: asgi.ASGIApp = asgi.SessionMiddleware(_plain_asgi, sessions)

    async def fetch(self, request: Request) -> Answer:
        return await fetch_asgi(self.app, request)


async def _plain_asgi(scope: asgi.Scope, receive: asgi.Receive, send: asgi.Send) -> None:
    header = dict(scope["headers"])[HEADER.encode()]
    visit = visit_of(header).begin(scope["session"], sync=False)
    if scope["type"] == "websocket":

        async def accept() -> None:
            await send({"type": "websocket.accept", "headers": []})

        visit.accept = accept
        await visit.run()
        await send({"type": "websocket.close", "code": 1000})
        return
    await visit.run()
    headers = [(name.lower().encode(), value.encode()) for name, value in visit.headers]
    await send({"type": "http.response.start", "status": visit.status, "headers": headers})
    if visit.later is None:
        await send({"type": "http.response.body", "body": BODY})
    else:
        await send({"type": "http.response.body", "body": FIRST, "more_body": True})
        await visit.run_later()
        await send({"type": "http.response.body", "body": LAST})


class InStarlette:
    name = "starlette"
    sync = False
    websockets = True
    own_driver = False

    def __init__(self, sessions: SessionManager) -> None:
        self.app: asgi.ASGIApp = Starlette(
            routes=[
                Route("/{path:path}", self._page, methods=METHODS),
                WebSocketRoute("/{path:path}", self._socket),
            ],
            middleware=[Middleware(StarletteSessions, sessions)],
        )

    async def fetch(self, request: Request) -> Answer:
        return await fetch_asgi(self.app, request)

    async def _page(self, request: StarletteRequest) -> Response:
        visit = visit_of(request.headers[HEADER]).begin(get_session(request), sync=False)
        await visit.run()
        return starlette_response(visit)

    async def _socket(self, socket: WebSocket) -> None:
        visit = visit_of(socket.headers[HEADER]).begin(get_session(socket), sync=False)
        visit.accept = socket.accept
        await visit.run()
        await socket.close()


def starlette_response(visit: Visit) -> Response:
    response: Response
    if visit.later is None:
        response = Response(BODY, visit.status)
    else:

        async def chunks() -> AsyncIterator[bytes]:
            yield FIRST
            await visit.run_later()
            yield LAST

        response = StreamingResponse(chunks(), visit.status)
    for name, value in visit.headers:
        response.headers.append(name, value)
    return response


class InFastAPI:
    name = "fastapi"
    sync = False
    websockets = True
    own_driver = False

    def __init__(self, sessions: SessionManager) -> None:
        app = FastAPI(openapi_url=None)
        app.add_middleware(FastAPISessions, sessions)

        @app.api_route("/{path:path}", methods=METHODS)
        async def page(request: FastAPIRequest, session: SessionDep) -> Response:
            visit = visit_of(request.headers[HEADER]).begin(session, sync=False)
            await visit.run()
            return starlette_response(visit)

        @app.websocket("/{path:path}")
        async def socket(socket: WebSocket, session: SessionDep) -> None:
            visit = visit_of(socket.headers[HEADER]).begin(session, sync=False)
            visit.accept = socket.accept
            await visit.run()
            await socket.close()

        self.app: asgi.ASGIApp = app

    async def fetch(self, request: Request) -> Answer:
        return await fetch_asgi(self.app, request)


# -- WSGI ----------------------------------------------------------------------------------------


def fetch_wsgi(app: WSGIApplication, request: Request) -> Answer:
    """Call a WSGI application as a server would."""
    environ: WSGIEnvironment = {
        "REQUEST_METHOD": "GET",
        "SCRIPT_NAME": "",
        "PATH_INFO": request.path,
        "QUERY_STRING": request.query,
        "SERVER_NAME": "testserver",
        "SERVER_PORT": "443" if request.https else "80",
        "SERVER_PROTOCOL": "HTTP/1.1",
        "REMOTE_ADDR": CLIENT,
        "wsgi.input": io.BytesIO(),
        "wsgi.version": (1, 0),
        "wsgi.url_scheme": "https" if request.https else "http",
        "wsgi.multithread": True,
        "wsgi.multiprocess": False,
        "wsgi.run_once": False,
        "wsgi.errors": io.StringIO(),
    }
    for name, value in request.headers:
        environ["HTTP_" + name.decode().upper().replace("-", "_")] = value.decode("latin-1")
    if request.cookies:
        environ["HTTP_COOKIE"] = b"; ".join(request.cookies).decode("latin-1")
    answer = Answer()

    def start_response(
        status: str, headers: list[tuple[str, str]], exc_info: Any = None, /
    ) -> Callable[[bytes], object]:
        assert not answer.status or exc_info, "the response was started twice"
        answer.status = int(status.split(maxsplit=1)[0])
        answer.headers = [(name.encode("latin-1"), v.encode("latin-1")) for name, v in headers]
        return write

    def write(data: bytes) -> None:
        answer.body += data

    body: Any = ()
    try:
        body = app(environ, start_response)
        for chunk in body:
            assert answer.status, "a body without a start"
            answer.body += chunk
    except Exception as error:
        answer.error = error
        answer.status = answer.status or 500
    finally:
        if hasattr(body, "close"):
            body.close()
    return answer


class PlainWSGI:
    name = "wsgi"
    sync = True
    websockets = False
    own_driver = True

    def __init__(self, sessions: SessionManager) -> None:
        self.app: WSGIApplication = wsgi.SessionMiddleware(_plain_wsgi, sessions)

    async def fetch(self, request: Request) -> Answer:
        return fetch_wsgi(self.app, request)


def _plain_wsgi(environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
    header = environ["HTTP_" + HEADER.upper().replace("-", "_")]
    visit = visit_of(header).begin(environ[wsgi.KEY], sync=True)
    drive(visit.run())
    start_response(f"{visit.status} as the visit wishes", list(visit.headers))
    return [BODY] if visit.later is None else _wsgi_chunks(visit)


def _wsgi_chunks(visit: Visit) -> Iterator[bytes]:
    yield FIRST
    drive(visit.run_later())
    yield LAST


INTEGRATIONS: Final[tuple[type[Integration], ...]] = (
    PlainASGI,
    PlainWSGI,
    InStarlette,
    InFastAPI,
    InFalcon,
    InFalconASGI,
    InBottle,
    InSanic,
    InTornado,
    InAiohttp,
    InPyramid,
    InFlask,
    InQuart,
    InLitestar,
    InDjango,
    InDjangoASGI,
)
