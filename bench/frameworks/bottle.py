"""Bottle: lembro's sessions, compared with Beaker, which its documentation names, and
BottleSessions.
"""

from __future__ import annotations

import contextlib
import io
from collections.abc import Callable
from importlib import import_module
from typing import Any, Final

import bottle

from bench.peers import BODY, SECRET, WSGIApp, session_data
from bench.serving import Contender, by_action, strangers, wsgi_actions, wsgi_batch
from lembro import MemoryStore
from lembro.integrations.bottle import Lembro

SetUp = Callable[[Any], WSGIApp]
REFERENCE: Final = "Beaker (memory)"
ROOM: Final = 100_000  # sessions; the default is 500, too few for the visitors


def contenders() -> list[Contender]:
    """Return the contenders, the bare application first."""
    bare = _application(lambda app: app, dict)["unused"]
    found = [Contender("bare", "", wsgi_batch(bare, strangers()))]
    setups: dict[str, tuple[SetUp, Callable[[], Any]]] = {
        "lembro": (_lembro, lambda: bottle.request.session),
        REFERENCE: (_beaker, lambda: bottle.request.environ["beaker.session"]),
        "BottleSessions (SimpleCache)": (_bottle_sessions, lambda: bottle.request.session),
    }
    for library, (set_up, session) in setups.items():
        found += wsgi_actions(library, _application(set_up, session))
    return found


def _lembro(app: Any) -> WSGIApp:
    app.install(Lembro(store=MemoryStore("4M")))
    wrapped: WSGIApp = app
    return wrapped


def _beaker(app: Any) -> WSGIApp:
    options = {"session.type": "memory", "session.secret": SECRET, "session.key": "session"}
    wrapped: WSGIApp = import_module("beaker.middleware").SessionMiddleware(app, options)
    return wrapped


def _bottle_sessions(app: Any) -> WSGIApp:
    said = io.StringIO()  # it prints its name
    with contextlib.redirect_stdout(said), contextlib.redirect_stderr(said):
        import_module("BottleSessions").BottleSessions(app, {"threshold": ROOM})
    wrapped: WSGIApp = app
    return wrapped


def _application(set_up: SetUp, session: Callable[[], Any]) -> dict[str, WSGIApp]:
    """Return an application for each action."""
    is_beaker = set_up is _beaker

    def login() -> bytes:
        mine = session()
        mine.update(session_data())
        if is_beaker:
            mine.save()
        return BODY

    def unused() -> bytes:
        return BODY

    def read() -> bytes:
        assert session()["user_id"]
        return BODY

    def modified() -> bytes:
        mine = session()
        mine["visits"] += 1
        if is_beaker:
            mine.save()
        return BODY

    app = bottle.Bottle()
    app.catchall = False
    served = set_up(app)
    for view in (login, unused, read, modified):
        app.route(f"/{view.__name__}", callback=view)
    return by_action(served)
