"""Flask: lembro's sessions, compared with its own and those of Flask-Session."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

import flask
from cachelib import SimpleCache
from flask.sessions import NullSession, SessionInterface, SessionMixin
from flask_session import Session

from bench.peers import BODY, SECRET, WSGIApp, session_data
from bench.serving import Contender, by_action, strangers, wsgi_actions, wsgi_batch
from lembro import MemoryStore
from lembro.integrations.flask import Lembro

SetUp = Callable[[flask.Flask], object]
REFERENCE: Final = "Flask-Session (SimpleCache)"
ROOM: Final = 100_000  # sessions; the default is 500, too few for the visitors


def contenders() -> list[Contender]:
    """Return the contenders, the bare application first."""
    found = [Contender("bare", "", wsgi_batch(application(no_sessions)["unused"], strangers()))]
    setups: dict[str, SetUp] = {
        "lembro": lambda app: Lembro(app, store=MemoryStore("4M")),
        "Flask (cookie)": lambda app: None,
        REFERENCE: _flask_session,
    }
    for library, set_up in setups.items():
        found += wsgi_actions(library, application(set_up))
    return found


class _NoSessions(SessionInterface):
    """Flask without any session."""

    nothing = NullSession()

    def open_session(self, app: flask.Flask, request: flask.Request) -> SessionMixin:
        return self.nothing


def no_sessions(app: flask.Flask) -> None:
    app.session_interface = _NoSessions()


def _flask_session(app: flask.Flask) -> None:
    app.config.update(SESSION_TYPE="cachelib", SESSION_CACHELIB=SimpleCache(threshold=ROOM))
    Session(app)


def login() -> bytes:
    session: Any = flask.session
    session.update(session_data())
    if hasattr(session, "login"):
        session.login(session["user_id"])
    return BODY


def unused() -> bytes:
    return BODY


def read() -> bytes:
    assert flask.session["user_id"]
    return BODY


def modified() -> bytes:
    flask.session["visits"] += 1
    return BODY


def application(set_up: SetUp) -> dict[str, WSGIApp]:
    """Return an application for each action."""
    app = flask.Flask("bench")
    app.secret_key = SECRET
    set_up(app)
    for view in (login, unused, read, modified):
        app.add_url_rule(f"/{view.__name__}", view.__name__, view)
    return by_action(app)
