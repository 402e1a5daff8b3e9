"""The small application of ``visits.py`` in Sanic, called as an ASGI server would."""

from __future__ import annotations

import asyncio
import itertools
from typing import Any, Final

from sanic import Request as SanicRequest
from sanic import Sanic
from sanic.response import BaseHTTPResponse, HTTPResponse

from lembro import SessionManager
from lembro.integrations.sanic import Lembro, get_session
from tests.support.gateways import fetch_asgi
from tests.support.messages import Answer, Request
from tests.support.visits import HEADER, visit_of

FIRST: Final = b"first "
LAST: Final = b"last"
BODY: Final = b"ok"

_numbers = itertools.count(1)


class InSanic:
    name = "sanic"
    sync = False
    websockets = False  # WebSockets are accepted before the handler is called
    own_driver = False
    trio = False

    def __init__(self, manager: SessionManager) -> None:
        self.app = new_app()
        Lembro(self.app, manager)
        self.errors: dict[str, Exception] = {}
        self.app.exception(Exception)(self._failed)
        for path in ("/", "/<path:path>"):
            self.app.add_route(_page, path, name="page" + path[:2].replace("/", "_"))
        self._loop: Any = None

    async def fetch(self, request: Request) -> Answer:
        await start(self)
        app: Any = self.app
        answer = await fetch_asgi(app, request)
        number = dict(request.headers)[HEADER.encode()].decode()
        answer.error = answer.error or self.errors.pop(number, None)
        return answer

    def _failed(self, request: SanicRequest, error: Exception) -> HTTPResponse:
        self.errors[request.headers[HEADER]] = error
        return HTTPResponse(status=500)


def new_app() -> Any:
    Sanic.test_mode = True
    app = Sanic(f"visits-{next(_numbers)}", configure_logging=False)
    # Sanic compiles its methods anew for each application. That takes longer than a test, and
    # the applications under a real server test it.
    app.config.TOUCHUP = False
    return app


async def start(it: Any) -> None:
    """Start the application as the lifespan of an ASGI server does."""
    if it._loop is not asyncio.get_running_loop():
        it._loop = asyncio.get_running_loop()
        it.app.asgi = True
        if not it.app.router.finalized:
            await it.app._startup()


async def _page(request: SanicRequest, path: str = "") -> BaseHTTPResponse | None:
    visit = visit_of(request.headers[HEADER]).begin(get_session(request), sync=False)
    await visit.run()
    response = HTTPResponse(BODY if visit.later is None else None, visit.status)
    for name, value in visit.headers:
        response.headers.add(name, value)
    if visit.later is None:
        return response
    begun: Any = await request.respond(response)
    await begun.send(FIRST)
    await visit.run_later()
    await begun.send(LAST)
    await begun.eof()
    return None
