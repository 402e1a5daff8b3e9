"""FastHTML: ``sess_cls=``, to which it passes the keywords of Starlette's own middleware."""

from __future__ import annotations

from functools import partial
from typing import Any

import pytest
from fasthtml.components import P
from fasthtml.core import FastHTML
from fasthtml.toaster import add_toast, setup_toasts
from starlette.middleware import Middleware
from starlette.testclient import TestClient

from lembro import ConfigError, MemoryStore, SessionManager
from lembro.integrations.starlette import SessionMiddleware

KEY = "9a3c51d2-6f0e-4b7a-8d19-2c5e7f40b6a8"  # FastHTML creates a UUID and keeps it in .sesskey


# FastHTML finds the session by the name of a parameter that has no annotation.


def count(session):  # type: ignore[no-untyped-def]
    session["n"] = session.get("n", 0) + 1
    return f"n={session['n']}"


def append(sess):  # type: ignore[no-untyped-def]
    sess.setdefault("list", []).append(1)
    return f"list={sess['list']}"


def clear(session):  # type: ignore[no-untyped-def]
    session.clear()
    return "cleared"


def toast(session, what: str):  # type: ignore[no-untyped-def]
    add_toast(session, what, "success")
    return "toasted"


def page() -> Any:
    return P("a page")


async def ws(msg: str, send, session):  # type: ignore[no-untyped-def]
    async with session.edit():
        session["said"] = msg
    await send(f"n={session['n']} {session['said']}")


def application(**keywords: Any) -> FastHTML:
    app = FastHTML(**{"sess_cls": SessionMiddleware, "secret_key": KEY, **keywords})
    for handler in (count, append, clear, toast, page):
        app.route(f"/{handler.__name__}")(handler)
    app.ws("/ws")(ws)
    return app


def test_a_parameter_named_session_gets_the_session() -> None:
    client = TestClient(application())
    assert "n=1" in client.get("/count").text
    assert "n=2" in client.get("/count").text
    client.get("/clear")
    assert "n=1" in client.get("/count").text


def test_a_nested_change_is_kept() -> None:
    client = TestClient(application())
    client.get("/append")
    assert "list=[1, 1]" in client.get("/append").text


def test_the_keywords_of_fasthtml_become_options() -> None:
    app = application(
        session_cookie="sid",
        max_age=3600,
        sess_path="/",
        same_site="strict",
        sess_https_only=True,
        sess_domain="example.com",
    )
    response = TestClient(app, base_url="https://www.example.com").get("/count")
    name, *attributes = response.headers["set-cookie"].split("; ")
    assert name.startswith("sid=")
    assert set(attributes) == {
        "Max-Age=3600",
        "Path=/",
        "Domain=example.com",
        "Secure",
        "HttpOnly",
        "SameSite=Strict",
    }


def test_by_default_the_cookie_lasts_a_year() -> None:
    response = TestClient(application()).get("/count")
    assert response.headers["set-cookie"].startswith("session_=")
    assert f"Max-Age={365 * 24 * 3600}" in response.headers["set-cookie"]


def test_toasts_of_two_requests_are_both_shown_once() -> None:
    app = application()
    setup_toasts(app)
    client = TestClient(app)
    client.get("/toast?what=Bread")
    client.get("/toast?what=Butter")
    page = client.get("/page").text
    assert "Bread" in page
    assert "Butter" in page
    assert "Bread" not in client.get("/page").text


def test_a_store_and_options_are_given_with_partial() -> None:
    store = MemoryStore("1M")
    client = TestClient(application(sess_cls=partial(SessionMiddleware, store=store)))
    assert "n=1" in client.get("/count").text
    assert store.length() == 1


def test_a_manager_is_given_as_middleware_with_sess_cls_none() -> None:
    manager = SessionManager(MemoryStore("1M"))
    client = TestClient(
        application(sess_cls=None, middleware=[Middleware(SessionMiddleware, manager)])
    )
    assert "n=1" in client.get("/count").text
    assert "n=2" in client.get("/count").text
    assert manager.length() == 1


def test_a_manager_in_sess_cls_is_refused() -> None:
    manager = SessionManager(MemoryStore("1M"))
    app = application(sess_cls=partial(SessionMiddleware, manager=manager))
    with pytest.raises(ConfigError, match="cannot be given together with a SessionManager"):
        TestClient(app).get("/count")


def test_a_websocket_edits_the_session() -> None:
    client = TestClient(application())
    client.get("/count")
    with client.websocket_connect("/ws") as websocket:
        websocket.send_json({"msg": "hello"})
        assert "n=1 hello" in websocket.receive_text()
    assert "n=2" in client.get("/count").text
