"""Falcon: lembro's sessions. It has none of its own; Beaker goes around it."""

from __future__ import annotations

from collections.abc import Callable
from importlib import import_module
from typing import Any, Final

import falcon

from bench.peers import ACTIONS, BODY, LOGIN, SECRET, WSGIApp, session_data
from bench.requests import OTHERS, Contender, by_action, wsgi_actions, wsgi_batch
from lembro import MemoryStore
from lembro.integrations.falcon import Lembro

App = falcon.App[Any, Any]
SetUp = Callable[[App], WSGIApp]
REFERENCE: Final = "Beaker (memory)"
BAR: Final[dict[str, int]] = {}


def contenders() -> list[Contender]:
    """The bare application first."""
    bare = _application(lambda app: app, lambda req: {})
    found = [Contender("bare", "", wsgi_batch(bare["unused"], OTHERS))]
    found += wsgi_actions("lembro", _application(_lembro, lambda req: req.context.session))
    beaker = _application(_beaker, lambda req: req.env["beaker.session"])
    return found + wsgi_actions(REFERENCE, beaker)


def _lembro(app: App) -> WSGIApp:
    Lembro(app, store=MemoryStore("4M"))
    return app


def _beaker(app: App) -> WSGIApp:
    options = {"session.type": "memory", "session.secret": SECRET, "session.auto": True}
    wrapped: WSGIApp = import_module("beaker.middleware").SessionMiddleware(app, options)
    return wrapped  # it has no types


def _application(set_up: SetUp, session_of: Callable[[falcon.Request], Any]) -> dict[str, WSGIApp]:
    """One application, by action."""

    class Page:
        def __init__(self, action: str) -> None:
            self.use = getattr(self, action)

        def on_get(self, req: falcon.Request, resp: falcon.Response) -> None:
            self.use(req)
            resp.content_type = falcon.MEDIA_HTML
            resp.data = BODY

        def login(self, req: falcon.Request) -> None:
            session_of(req).update(session_data())

        def unused(self, req: falcon.Request) -> None: ...

        def read(self, req: falcon.Request) -> None:
            assert session_of(req)["user_id"] == "4711"

        def modified(self, req: falcon.Request) -> None:
            session_of(req)["visits"] += 1

    app = falcon.App()
    for action in (LOGIN, *ACTIONS):
        app.add_route(f"/{action}", Page(action))
    return by_action(set_up(app))
