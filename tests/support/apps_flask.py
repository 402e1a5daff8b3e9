"""The small application of ``visits.py`` in Flask."""

from __future__ import annotations

import flask

from lembro import SessionManager
from lembro.integrations.flask import Lembro
from tests.support.gateways import fetch_wsgi
from tests.support.messages import Answer, Request
from tests.support.visits import BODY, HEADER, chunks, drive, visit_of


class InFlask:
    name = "flask"
    sync = True
    websockets = False
    own_driver = True

    def __init__(self, manager: SessionManager) -> None:
        self.app = flask.Flask(__name__)
        self.app.config["PROPAGATE_EXCEPTIONS"] = True  # so that the tests see the exceptions
        Lembro(self.app, manager)
        self.app.add_url_rule("/", view_func=_page, defaults={"path": ""})
        self.app.add_url_rule("/<path:path>", view_func=_page)

    async def fetch(self, request: Request) -> Answer:
        return await fetch_wsgi(self.app, request)


def _page(path: str) -> flask.Response:
    session = flask.session._get_current_object()  # type: ignore[attr-defined]
    visit = visit_of(flask.request.headers[HEADER]).begin(session, sync=True)
    drive(visit.run())
    response = flask.Response(BODY if visit.later is None else chunks(visit), visit.status)
    for name, value in visit.headers:
        response.headers.add(name, value)
    return response
