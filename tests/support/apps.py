"""The small application of ``visits.py`` in each framework.

There is one class for each integration. If you add one to ``INTEGRATIONS``, every test of the
behaviour and of the failures runs on it. A handler finds its visit by a header, runs the script,
and responds with the visit's status and headers.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Final

from fastapi import FastAPI
from fastapi import Request as FastAPIRequest
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.requests import Request as StarletteRequest
from starlette.responses import Response, StreamingResponse
from starlette.routing import Route, WebSocketRoute
from starlette.websockets import WebSocket

from lembro import SessionManager, asgi, wsgi
from lembro.integrations.fastapi import SessionMiddleware as FastAPISessions
from lembro.integrations.fastapi import WebSessionDep
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
from tests.support.gateways import fetch_asgi, fetch_wsgi
from tests.support.messages import Answer, Request
from tests.support.visits import (
    BODY,
    FIRST,
    HEADER,
    LAST,
    Integration,
    Visit,
    achunks,
    chunks,
    drive,
    visit_of,
)

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIApplication, WSGIEnvironment

METHODS: Final = ["GET", "POST"]


# -- ASGI ----------------------------------------------------------------------------------------


class PlainASGI:
    name = "asgi"
    sync = False
    websockets = True
    own_driver = True

    def __init__(self, manager: SessionManager) -> None:
        self.app: asgi.ASGIApp = asgi.SessionMiddleware(_plain_asgi, manager)

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

    def __init__(self, manager: SessionManager) -> None:
        self.app: asgi.ASGIApp = Starlette(
            routes=[
                Route("/{path:path}", self._page, methods=METHODS),
                WebSocketRoute("/{path:path}", self._socket),
            ],
            middleware=[Middleware(StarletteSessions, manager)],
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
        response = StreamingResponse(achunks(visit), visit.status)
    for name, value in visit.headers:
        response.headers.append(name, value)
    return response


class InFastAPI:
    name = "fastapi"
    sync = False
    websockets = True
    own_driver = False

    def __init__(self, manager: SessionManager) -> None:
        app = FastAPI(openapi_url=None)
        app.add_middleware(FastAPISessions, manager)

        @app.api_route("/{path:path}", methods=METHODS)
        async def page(request: FastAPIRequest, session: WebSessionDep) -> Response:
            visit = visit_of(request.headers[HEADER]).begin(session, sync=False)
            await visit.run()
            return starlette_response(visit)

        @app.websocket("/{path:path}")
        async def socket(socket: WebSocket, session: WebSessionDep) -> None:
            visit = visit_of(socket.headers[HEADER]).begin(session, sync=False)
            visit.accept = socket.accept
            await visit.run()
            await socket.close()

        self.app: asgi.ASGIApp = app

    async def fetch(self, request: Request) -> Answer:
        return await fetch_asgi(self.app, request)


# -- WSGI ----------------------------------------------------------------------------------------


class PlainWSGI:
    name = "wsgi"
    sync = True
    websockets = False
    own_driver = True

    def __init__(self, manager: SessionManager) -> None:
        self.app: WSGIApplication = wsgi.SessionMiddleware(_plain_wsgi, manager)

    async def fetch(self, request: Request) -> Answer:
        return await fetch_wsgi(self.app, request)


def _plain_wsgi(environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
    header = environ["HTTP_" + HEADER.upper().replace("-", "_")]
    visit = visit_of(header).begin(environ[wsgi.KEY], sync=True)
    drive(visit.run())
    start_response(f"{visit.status} as the visit wishes", list(visit.headers))
    return [BODY] if visit.later is None else chunks(visit)


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
