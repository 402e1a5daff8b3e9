"""The small application of ``visits.py`` in Pyramid."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from pyramid.config import Configurator
from pyramid.response import Response

from lembro import SessionManager
from lembro.integrations.pyramid import get_session
from tests.support.gateways import fetch_wsgi
from tests.support.messages import Answer, Request
from tests.support.visits import BODY, HEADER, chunks, drive, visit_of

if TYPE_CHECKING:
    from _typeshed.wsgi import WSGIApplication


class InPyramid:
    name = "pyramid"
    sync = True
    websockets = False
    own_driver = False

    def __init__(self, manager: SessionManager) -> None:
        with Configurator(settings={"lembro.manager": manager}) as config:
            config.include("lembro.integrations.pyramid")
            config.add_route("page", "/*path")
            config.add_view(_page, route_name="page")
            self.app: WSGIApplication = config.make_wsgi_app()

    async def fetch(self, request: Request) -> Answer:
        return await fetch_wsgi(self.app, request)


def _page(request: Any) -> Response:
    visit = visit_of(request.headers[HEADER]).begin(get_session(request), sync=True)
    drive(visit.run())
    response = Response(status=visit.status)
    response.headerlist = list(visit.headers)
    if visit.later is None:
        response.body = BODY
    else:
        response.app_iter = chunks(visit)
    return response
