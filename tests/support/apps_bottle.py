"""The small application of ``visits.py`` in Bottle."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final

import bottle

from lembro import SessionManager
from lembro.integrations.bottle import Lembro
from tests.support.gateways import fetch_wsgi
from tests.support.messages import Answer, Request
from tests.support.visits import HEADER, Visit, drive, visit_of

FIRST: Final = b"first "
LAST: Final = b"last"
BODY: Final = b"ok"


class InBottle:
    name = "bottle"
    sync = True
    websockets = False
    own_driver = False

    def __init__(self, manager: SessionManager) -> None:
        self.app: Any = bottle.Bottle()
        self.app.config["catchall"] = False  # so that the tests see the exceptions
        self.app.install(Lembro(manager))
        self.app.route("/<path:path>", ["GET", "POST"], _page)
        self.app.route("/", ["GET", "POST"], _page)

    async def fetch(self, request: Request) -> Answer:
        return await fetch_wsgi(self.app, request)


def _page(path: str = "") -> Any:
    request: Any = bottle.request
    response: Any = bottle.response
    visit = visit_of(request.get_header(HEADER)).begin(request.session, sync=True)
    drive(visit.run())
    response.status = visit.status
    for name, value in visit.headers:
        response.add_header(name, value)
    return BODY if visit.later is None else _chunks(visit)


def _chunks(visit: Visit) -> Iterator[bytes]:
    yield FIRST  # Bottle reads it before the response begins
    drive(visit.run_later())
    yield LAST
