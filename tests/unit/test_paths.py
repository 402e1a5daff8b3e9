"""The path prefixes of ``exclude`` and ``passive`` are those of the application's own routes."""

from __future__ import annotations

import asyncio
from types import SimpleNamespace
from typing import Any

import flask
import pytest
import quart
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Mount, Route
from starlette.testclient import TestClient

from lembro import ConfigError, SessionManager
from lembro.integrations.django.exchange import DjangoExchange
from lembro.integrations.flask import Lembro
from lembro.integrations.quart import Lembro as QuartLembro
from lembro.integrations.starlette import SessionMiddleware, get_session
from lembro.manager import runner_of
from lembro.stores import MemoryStore
from lembro.testing import FakeClock
from tests.support.recording import Recorder

IDLE = 1000
PASSIVE = "/größe"


def manager_of(clock: FakeClock) -> SessionManager:
    return SessionManager(MemoryStore("1M", clock=clock), idle_timeout=IDLE, passive=[PASSIVE])


def read(request: Request) -> JSONResponse:
    """Read the session, if there is one."""
    session = get_session(request) if "session" in request.scope else None
    return JSONResponse(session if session is None else dict(session))


def shop(manager: SessionManager, **keywords: Any) -> Starlette:
    routes = [Route("/static/a", read), Route("/", read), Route(PASSIVE, read)]
    return Starlette(routes=routes, middleware=[Middleware(SessionMiddleware, manager, **keywords)])


def extends(manager: SessionManager, clock: FakeClock, client: Any, path: str) -> bool:
    """Return whether a request that reads its session extends it."""
    cookie = manager.create({"n": 1})
    clock.advance(IDLE / 2)
    assert client.get(path, headers={"Cookie": f"sid={cookie}"}).status_code == 200
    [info] = manager.all()
    manager.clear()
    return info.idle_for == 0


@pytest.mark.parametrize("place", ["mounted", "behind a proxy", "behind a proxy, not cut off"])
def test_prefixes_match_in_an_asgi_application_below_another_path(place: str) -> None:
    clock = FakeClock()
    manager = manager_of(clock)
    app = shop(manager, exclude=["/static"])
    if place == "mounted":
        client = TestClient(Starlette(routes=[Mount("/shop", app)]))
    else:
        client = TestClient(app, root_path="/shop")
    prefix = "" if place == "behind a proxy" else "/shop"
    assert client.get(f"{prefix}/static/a").json() is None
    assert client.get(f"{prefix}/").json() == {}
    assert not extends(manager, clock, client, f"{prefix}{PASSIVE}")
    assert extends(manager, clock, client, f"{prefix}/")


def test_prefixes_of_an_outer_application_match_in_its_mounts() -> None:
    """A mount changes ``root_path`` in the scope before its handler loads the session."""
    clock = FakeClock()
    manager = SessionManager(
        MemoryStore("1M", clock=clock), idle_timeout=IDLE, passive=["/shop/poll"]
    )
    routes = [Route("/poll", read)]
    app = Starlette(
        routes=[Mount("/shop", routes=routes), Mount("/shops", routes=routes), *routes],
        middleware=[Middleware(SessionMiddleware, manager)],
    )
    client = TestClient(app)
    assert not extends(manager, clock, client, "/shop/poll")
    assert extends(manager, clock, client, "/shops/poll")
    assert extends(manager, clock, client, "/poll")


def test_a_prefix_matches_the_first_page_below_another_path() -> None:
    manager = manager_of(FakeClock())
    app = Starlette(routes=[Mount("/shop", shop(manager, exclude=["/"]))])
    assert TestClient(app).get("/shop").json() is None
    other = TestClient(shop(manager, exclude=["/static"]), root_path="/sta")
    assert other.get("/static/a").json() is None


def test_prefixes_match_paths_that_are_not_ascii_under_wsgi() -> None:
    clock = FakeClock()
    manager = manager_of(clock)
    app = flask.Flask(__name__)
    Lembro(app, manager, exclude=["/ä"])

    @app.get("/ä")
    def excluded() -> str:
        with pytest.raises(ConfigError):
            flask.session["a"] = 1
        return "ok"

    @app.get("/")
    @app.get(PASSIVE)
    def page() -> dict[str, Any]:
        return dict(flask.session)

    client = app.test_client(use_cookies=False)
    assert client.get("/ä").text == "ok"
    assert not extends(manager, clock, client, PASSIVE)
    assert extends(manager, clock, client, "/")


def test_prefixes_match_in_a_quart_application_below_another_path() -> None:
    app = quart.Quart(__name__)
    QuartLembro(app, SessionManager(Recorder()), exclude=["/static"])

    @app.get("/static/a")
    async def excluded() -> str:
        with pytest.raises(ConfigError):
            quart.session["a"] = 1
        return "ok"

    async def fetched() -> str:
        response = await app.test_client().get("/shop/static/a", root_path="/shop")
        return await response.get_data(as_text=True)

    assert asyncio.run(fetched()) == "ok"


@pytest.mark.parametrize("path", [PASSIVE, "/größe/€", "/é", "/poll"])
def test_django_gives_the_decoded_path(path: str) -> None:
    """Under WSGI, META has the bytes of the path. Under ASGI, Django has decoded them."""
    runner = runner_of(SessionManager(MemoryStore("1M")))
    for given in (path.encode().decode("latin-1"), path):
        request = SimpleNamespace(META={"PATH_INFO": given}, COOKIES={})
        assert DjangoExchange(runner, request, https=False).path() == path
