"""The small application of ``visits.py`` in Falcon, over WSGI and over ASGI."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from typing import Any, Final

import falcon
import falcon.asgi

from lembro import SessionManager
from lembro.integrations.falcon import Lembro, get_session
from tests.support.gateways import fetch_asgi, fetch_wsgi
from tests.support.messages import Answer, Request
from tests.support.visits import HEADER, Visit, drive, visit_of

FIRST: Final = b"first "
LAST: Final = b"last"
BODY: Final = b"ok"

Errors = dict[str, Exception]
"""The exceptions that Falcon turned into a 500, by visit."""


class InFalcon:
    name = "falcon"
    sync = True
    websockets = False
    own_driver = True

    def __init__(self, manager: SessionManager) -> None:
        self.app: Any = falcon.App()
        self.errors: Errors = {}
        Lembro(self.app, manager)
        self.app.add_error_handler(Exception, self._failed)
        self.app.add_sink(_page)

    async def fetch(self, request: Request) -> Answer:
        return _with_error(await fetch_wsgi(self.app, request), request, self.errors)

    def _failed(
        self, req: falcon.Request, resp: falcon.Response, error: Exception, params: Any
    ) -> None:
        self.errors[req.get_header(HEADER) or ""] = error
        resp.status = 500


class InFalconASGI:
    name = "falcon-asgi"
    sync = False
    websockets = True
    own_driver = False
    trio = False

    def __init__(self, manager: SessionManager) -> None:
        self.app: Any = falcon.asgi.App()
        self.errors: Errors = {}
        Lembro(self.app, manager)
        self.app.add_error_handler(Exception, self._failed)
        self.app.add_sink(_apage)

    async def fetch(self, request: Request) -> Answer:
        return _with_error(await fetch_asgi(self.app, request), request, self.errors)

    async def _failed(
        self,
        req: falcon.asgi.Request,
        resp: falcon.asgi.Response | None,
        error: Exception,
        params: Any,
        *,
        ws: falcon.asgi.WebSocket | None = None,
    ) -> None:
        if isinstance(error, falcon.WebSocketDisconnected):
            return
        self.errors[req.get_header(HEADER) or ""] = error
        if resp is not None:
            resp.status = 500
        if ws is not None:
            await ws.close(1011)


def _with_error(answer: Answer, request: Request, errors: Errors) -> Answer:
    number = dict(request.headers)[HEADER.encode()].decode()
    answer.error = answer.error or errors.pop(number, None)
    return answer


def _page(req: falcon.Request, resp: falcon.Response, **params: Any) -> None:
    visit = visit_of(req.get_header(HEADER)).begin(get_session(req), sync=True)
    drive(visit.run())
    _answer(resp, visit)
    if visit.later is not None:
        resp.stream = _chunks(visit)


async def _apage(
    req: falcon.asgi.Request,
    resp: falcon.asgi.Response | None,
    ws: falcon.asgi.WebSocket | None = None,
    **params: Any,
) -> None:
    visit = visit_of(req.get_header(HEADER)).begin(get_session(req), sync=False)
    if ws is not None:
        visit.accept = ws.accept
        await visit.run()
        return
    assert resp is not None
    await visit.run()
    _answer(resp, visit)
    if visit.later is not None:
        resp.stream = _achunks(visit)


def _answer(resp: falcon.Response, visit: Visit) -> None:
    resp.status = visit.status
    resp.data = BODY if visit.later is None else None
    for name, value in visit.headers:
        resp.append_header(name, value)


def _chunks(visit: Visit) -> Iterator[bytes]:
    yield FIRST
    drive(visit.run_later())
    yield LAST


async def _achunks(visit: Visit) -> AsyncIterator[bytes]:
    yield FIRST
    await visit.run_later()
    yield LAST
