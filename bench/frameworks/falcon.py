"""Falcon: lembro's sessions. Falcon has none of its own, so they are compared with Beaker around
it.
"""

from __future__ import annotations

from collections.abc import Callable
from importlib import import_module
from typing import Any, Final

import falcon

from bench.peers import BODY, SECRET, WSGIApp, session_data
from bench.serving import Contender, by_action, strangers, wsgi_actions, wsgi_batch
from lembro import MemoryStore
from lembro.integrations.falcon import Lembro

App = falcon.App[Any, Any]
SessionOf = Callable[[falcon.Request], Any]
REFERENCE: Final = "Beaker (memory)"


def contenders() -> list[Contender]:
    """Return the contenders, the bare application first."""
    found = [Contender("bare", "", wsgi_batch(_application(_bare, _none)["unused"], strangers()))]
    setups: dict[str, tuple[Callable[[App], WSGIApp], SessionOf]] = {
        "lembro": (_lembro, lambda req: req.context.session),
        REFERENCE: (_beaker, lambda req: req.env["beaker.session"]),
    }
    for library, (set_up, session_of) in setups.items():
        found += wsgi_actions(library, _application(set_up, session_of))
    return found


def _bare(app: App) -> WSGIApp:
    return app


def _none(req: falcon.Request) -> Any:
    return {}


def _lembro(app: App) -> WSGIApp:
    Lembro(app, store=MemoryStore("4M"))
    return app


def _beaker(app: App) -> WSGIApp:
    wrap = import_module("beaker.middleware").SessionMiddleware  # it has no types
    options = {"session.type": "memory", "session.secret": SECRET, "session.key": "session"}
    wrapped: WSGIApp = wrap(app, options)
    return wrapped


def _application(set_up: Callable[[App], WSGIApp], session_of: SessionOf) -> dict[str, WSGIApp]:
    """Return an application for each action."""
    is_beaker = set_up is _beaker

    def login(req: falcon.Request) -> None:
        session = session_of(req)
        session.update(session_data())
        if is_beaker:
            session.save()

    def unused(req: falcon.Request) -> None: ...

    def read(req: falcon.Request) -> None:
        assert session_of(req)["user_id"]

    def modified(req: falcon.Request) -> None:
        session = session_of(req)
        session["visits"] += 1
        if is_beaker:
            session.save()

    class Page:
        def __init__(self, use: Callable[[falcon.Request], None]) -> None:
            self.use = use

        def on_get(self, req: falcon.Request, resp: falcon.Response) -> None:
            self.use(req)
            resp.content_type = falcon.MEDIA_HTML
            resp.data = BODY

    app = falcon.App()
    for use in (login, unused, read, modified):
        app.add_route(f"/{use.__name__}", Page(use))
    return by_action(set_up(app))
