"""The small application of ``visits.py`` in Litestar."""

from __future__ import annotations

from typing import Any

from litestar import Litestar, Request, WebSocket, get, websocket
from litestar.response.base import ASGIResponse
from litestar.response.streaming import ASGIStreamingResponse
from litestar.types import Scope

from lembro import SessionManager
from lembro.integrations.litestar import LembroPlugin, WebSessionDep, get_session
from tests.support.gateways import fetch_asgi
from tests.support.messages import Answer
from tests.support.messages import Request as Sent
from tests.support.visits import BODY, HEADER, achunks, visit_of


class InLitestar:
    name = "litestar"
    sync = False
    websockets = True
    own_driver = False

    def __init__(self, manager: SessionManager) -> None:
        self._raised: dict[bytes, Exception] = {}
        self.app: Any = Litestar(
            [_page, _socket],
            plugins=[LembroPlugin(manager)],
            after_exception=[self._hear],
            openapi_config=None,
            logging_config=None,
        )

    async def fetch(self, request: Sent) -> Answer:
        answer = await fetch_asgi(self.app, request)
        number = dict(request.headers)[HEADER.encode()]
        if answer.status == 500 and answer.error is None:
            answer.error = self._raised.get(number)
        self._raised.pop(number, None)
        return answer

    async def _hear(self, error: Exception, scope: Scope) -> None:
        """Record the exception. Litestar responds to it, so a server would not see it."""
        self._raised[dict(scope["headers"])[HEADER.encode()]] = error


@get(["/", "/{path:path}"])
async def _page(request: Request[Any, Any, Any], session: WebSessionDep) -> ASGIResponse:
    visit = visit_of(request.headers[HEADER]).begin(session, sync=False)
    await visit.run()
    if visit.later is None:
        body = BODY if visit.status != 204 else b""
        return ASGIResponse(body=body, status_code=visit.status, headers=visit.headers)
    return ASGIStreamingResponse(
        iterator=achunks(visit), status_code=visit.status, headers=dict(visit.headers)
    )


@websocket(["/", "/{path:path}"])
async def _socket(socket: WebSocket[Any, Any, Any]) -> None:
    visit = visit_of(socket.headers[HEADER]).begin(get_session(socket), sync=False)
    visit.accept = socket.accept
    await visit.run()
    await socket.close()
