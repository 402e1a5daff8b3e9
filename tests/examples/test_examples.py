"""The examples, each with one scenario: in this process, and under a real server."""

from __future__ import annotations

import re
import socket
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import closing, nullcontext
from typing import Any

import httpx
import pytest
from litestar.testing import TestClient as LitestarClient
from starlette.testclient import TestClient

from examples import (
    asgi_app,
    bottle_app,
    dashboard_app,
    falcon_app,
    fastapi_app,
    flask_app,
    litestar_app,
    pyramid_app,
    quart_app,
    without_framework,
    wsgi_app,
)
from tests.support.servers import serve

Browser = Any  # httpx.Client, or Starlette's TestClient, which is based on httpx2
PYTHON = sys.executable

UVICORN = [PYTHON, "-m", "uvicorn", "--port={port}", "--log-level=warning"]
HYPERCORN = [PYTHON, "-m", "hypercorn", "--bind=127.0.0.1:{port}"]
WAITRESS = [PYTHON, "-m", "waitress", "--listen=127.0.0.1:{port}"]
GUNICORN = [PYTHON, "-m", "gunicorn", "--bind=127.0.0.1:{port}", "--threads=8"]
SERVERS = {
    "fastapi": [*UVICORN, "examples.fastapi_app:app"],
    "litestar": [*UVICORN, "examples.litestar_app:app"],
    "asgi": [*UVICORN, "examples.asgi_app:app"],
    "aiohttp": [
        *(PYTHON, "-m", "aiohttp.web", "-H", "127.0.0.1", "-P", "{port}"),
        "examples.aiohttp_app:main",
    ],
    "pyramid": [*WAITRESS, "examples.pyramid_app:app"],
    "wsgi": [*WAITRESS, "examples.wsgi_app:app"],
    "falcon": [*WAITRESS, "examples.falcon_app:app"],
    "bottle": [*WAITRESS, "examples.bottle_app:app"],
    "sanic": [PYTHON, "-m", "sanic", "--port={port}", "examples.sanic_app:app"],
    "tornado": [PYTHON, "-m", "examples.tornado_app", "{port}"],
    "flask": [*WAITRESS, "examples.flask_app:app"],
    "flask run": [PYTHON, "-m", "flask", "--app=examples.flask_app", "run", "--port={port}"],
    "quart": [*HYPERCORN, "examples.quart_app:app"],
    "django": [*GUNICORN, "examples.django_app:app"],
}


def scenario(browser: Callable[[], Browser]) -> None:
    """Do what a user with two browsers does."""
    with browser() as desk, browser() as phone:
        at_both(desk, phone)


def at_both(desk: Browser, phone: Browser) -> None:
    # A visitor who only reads stores nothing.
    response = desk.get("/me")
    assert response.json() == {"user": None, "cart": []}
    assert "set-cookie" not in response.headers
    assert desk.get("/sessions").status_code == 401

    # The cart is kept at the login, the ID is not.
    assert desk.post("/cart/bread").json() == ["bread"]
    assert desk.post("/cart/butter").json() == ["bread", "butter"]
    before = dict(desk.cookies)
    assert desk.post("/login/heidi").status_code == 200
    assert dict(desk.cookies) != before
    assert desk.get("/me").json() == {"user": "heidi", "cart": ["bread", "butter"]}

    # The sessions of the user, listed in one of them.
    phone.post("/login/heidi")
    mine = phone.get("/sessions").json()
    assert [session["this one"] for session in mine] == [False, True]

    # A logout ends this session and no other.
    assert desk.post("/logout").status_code == 200
    assert dict(desk.cookies) == {}
    assert desk.get("/me").json() == {"user": None, "cart": []}
    assert phone.get("/me").json()["user"] == "heidi"

    # logout_everywhere ends all sessions.
    desk.post("/login/heidi")
    assert len(phone.get("/sessions").json()) == 2
    phone.post("/logout-everywhere")
    assert desk.get("/me").json()["user"] is None
    assert phone.get("/me").json()["user"] is None


def test_the_fastapi_example_works() -> None:
    scenario(lambda: TestClient(fastapi_app.app))
    assert fastapi_app.manager.length() == 0


def test_the_litestar_example_works() -> None:
    with LitestarClient(litestar_app.app):  # its lifespan cannot be entered twice at a time
        scenario(lambda: nullcontext(LitestarClient(litestar_app.app)))
    assert litestar_app.manager.length() == 0


def test_the_asgi_example_works() -> None:
    scenario(lambda: nullcontext(TestClient(asgi_app.app)))  # it has no lifespan
    assert asgi_app.manager.length() == 0


def test_the_wsgi_example_works() -> None:
    transport = httpx.WSGITransport(wsgi_app.app)
    scenario(lambda: httpx.Client(transport=transport, base_url="http://test"))
    assert wsgi_app.manager.length() == 0


def test_the_falcon_example_works() -> None:
    transport = httpx.WSGITransport(falcon_app.app)
    scenario(lambda: httpx.Client(transport=transport, base_url="http://test"))
    assert falcon_app.manager.length() == 0


def test_the_bottle_example_works() -> None:
    transport = httpx.WSGITransport(bottle_app.app)
    scenario(lambda: httpx.Client(transport=transport, base_url="http://test"))
    assert bottle_app.manager.length() == 0


def test_the_pyramid_example_works() -> None:
    transport = httpx.WSGITransport(pyramid_app.app)
    scenario(lambda: httpx.Client(transport=transport, base_url="http://test"))
    assert pyramid_app.app.registry.settings["lembro.manager"].length() == 0


def test_the_flask_example_works() -> None:
    transport = httpx.WSGITransport(flask_app.app)
    scenario(lambda: httpx.Client(transport=transport, base_url="http://test"))
    assert flask_app.manager.length() == 0


def test_the_quart_example_works() -> None:
    app: Any = quart_app.app
    scenario(lambda: nullcontext(TestClient(app)))
    assert quart_app.manager.length() == 0


def test_the_example_of_the_dashboard_shows_sessions_to_its_administrator(
    capsys: pytest.CaptureFixture[str],
) -> None:
    with TestClient(dashboard_app.app) as peter, TestClient(dashboard_app.app) as heidi:
        peter.get("/login/peter")
        heidi.get("/login/heidi")
        assert peter.get("/sessions/").status_code == 404
        page = heidi.get("/sessions/").text
        assert "2 sessions" in page
        assert "<b>cart</b> [&#x27;bread&#x27;]" in page
        [token, *_] = re.findall(r'name="token" value="(\w+)"', page)
        form = {"token": token, "action": "user", "user": "peter", "confirm": "yes"}
        assert "1 session has ended." in heidi.post("/sessions/", data=form).text
        assert "peter in the dashboard, by heidi" in capsys.readouterr().out


@pytest.mark.parametrize("name", SERVERS)
def test_the_example_works_under_a_server(name: str) -> None:
    with serve(SERVERS[name], ready="/me") as server:
        scenario(lambda: httpx.Client(base_url=server.url))


# -- without a framework ---------------------------------------------------------------------------


@pytest.fixture
def port() -> Iterator[int]:
    without_framework.manager.clear()
    with without_framework.Server(("127.0.0.1", 0), without_framework.Connection) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield server.server_address[1]
        server.shutdown()
        thread.join(60)


def talk(port: int, *lines: str) -> list[str]:
    """Send these lines over a connection. Return the responses."""
    with closing(socket.create_connection(("127.0.0.1", port), timeout=10)) as connection:
        file = connection.makefile("rw", encoding="utf-8", newline="\n")
        answers = []
        for line in lines:
            file.write(f"{line}\n")
            file.flush()
            answers.append(file.readline().strip())  # no limit: the connection has one
        file.close()
        return answers


def id_in(answer: str) -> str:
    return answer.partition("(resume ")[2].rstrip(")")


def test_the_notebook_example_works(port: int) -> None:
    first, second, notes = talk(port, "note buy bread", "note sleep", "notes")
    assert first.startswith("1 notes (resume ")
    assert second == "2 notes"
    assert notes == "buy bread; sleep"
    before = id_in(first)

    assert talk(port, "notes") == ["none"]  # on another connection
    welcome, notes, hello = talk(port, f"resume {before}", "notes", "login heidi")
    assert (welcome, notes) == ("welcome back", "buy bread; sleep")
    after = id_in(hello)
    assert after != before

    # The ID from before the login is stale.
    assert talk(port, f"resume {before}", "notes") == ["no such session", "none"]
    assert talk(port, f"resume {after}", "notes", "logout", "notes") == [
        "welcome back",
        "buy bread; sleep",
        "bye",
        "none",
    ]
    assert talk(port, f"resume {after}") == ["no such session"]
    assert without_framework.manager.length() == 0


def test_the_notebook_survives_invalid_input(port: int) -> None:
    answers = talk(port, "login", "note \ufffd\x00", "resume ../../etc/passwd", "", "sessions")
    assert answers[0].startswith("error: ")
    assert answers[1].startswith("1 notes")
    assert answers[2] == "no such session"
    assert answers[4].startswith("note TEXT")
