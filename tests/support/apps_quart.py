"""The small application of ``visits.py`` in Quart."""

from __future__ import annotations

from importlib.metadata import version
from typing import Any

import quart

from lembro import SessionManager
from lembro.integrations.quart import Lembro
from tests.support.gateways import fetch_asgi
from tests.support.messages import Answer, Request
from tests.support.visits import BODY, HEADER, achunks, visit_of


class InQuart:
    name = "quart"
    sync = False
    websockets = True
    own_driver = False
    trio = False
    cancellable = tuple(map(int, version("quart").split(".")[:2])) >= (0, 23)
    """Old versions continue work that they have begun when the connection is cancelled."""

    def __init__(self, manager: SessionManager) -> None:
        self.app = quart.Quart(__name__)
        self.app.config["PROPAGATE_EXCEPTIONS"] = True  # so that the tests see the exceptions
        Lembro(self.app, manager)
        for path, defaults in (("/", {"path": ""}), ("/<path:path>", None)):
            self.app.add_url_rule(path, view_func=_page, defaults=defaults)
            self.app.add_websocket(path, view_func=_socket, defaults=defaults)

    async def fetch(self, request: Request) -> Answer:
        app: Any = self.app
        answer = await fetch_asgi(app, request)
        while isinstance(answer.error, BaseExceptionGroup):  # the group of Quart's tasks
            answer.error = answer.error.exceptions[0]
        return answer


async def _page(path: str) -> quart.Response:
    session = quart.session._get_current_object()
    visit = visit_of(quart.request.headers[HEADER]).begin(session, sync=False)
    await visit.run()
    response = quart.Response(BODY if visit.later is None else achunks(visit), visit.status)
    for name, value in visit.headers:
        response.headers.add(name, value)
    return response


async def _socket(path: str) -> None:
    session = quart.session._get_current_object()
    visit = visit_of(quart.websocket.headers[HEADER]).begin(session, sync=False)
    visit.accept = quart.websocket.accept
    await visit.run()
    await quart.websocket.close(1000)
