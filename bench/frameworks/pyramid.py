"""Pyramid: lembro's sessions, compared with its own."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

from pyramid.config import Configurator
from pyramid.response import Response
from pyramid.session import SignedCookieSessionFactory

from bench.peers import BODY, SECRET, WSGIApp, session_data
from bench.serving import Contender, by_action, strangers, wsgi_actions, wsgi_batch
from lembro import MemoryStore

SetUp = Callable[[Any], None]
REFERENCE: Final = "Pyramid (SignedCookieSessionFactory)"


def contenders() -> list[Contender]:
    """Return the contenders, the bare application first."""
    found = [
        Contender("bare", "", wsgi_batch(_application(lambda config: None)["unused"], strangers()))
    ]
    setups: dict[str, SetUp] = {"lembro": _lembro, REFERENCE: _signed}
    for library, set_up in setups.items():
        found += wsgi_actions(library, _application(set_up))
    return found


def _lembro(config: Any) -> None:
    config.add_settings({"lembro.store": MemoryStore("4M")})
    config.include("lembro.integrations.pyramid")


def _signed(config: Any) -> None:
    config.set_session_factory(SignedCookieSessionFactory(SECRET))


def login(request: Any) -> Response:
    request.session.update(session_data())
    return Response(BODY)


def unused(request: Any) -> Response:
    return Response(BODY)


def read(request: Any) -> Response:
    assert request.session["user_id"]
    return Response(BODY)


def modified(request: Any) -> Response:
    request.session["visits"] += 1
    return Response(BODY)


def _application(set_up: SetUp) -> dict[str, WSGIApp]:
    """Return an application for each action."""
    with Configurator() as config:
        set_up(config)
        for view in (login, unused, read, modified):
            config.add_route(view.__name__, f"/{view.__name__}")
            config.add_view(view, route_name=view.__name__)
        return by_action(config.make_wsgi_app())
