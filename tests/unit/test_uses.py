"""Run the application of ``tests/typing/uses.py``, which the type checkers read."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator

import pytest
from starlette.testclient import TestClient

from tests.typing import uses


@pytest.fixture
def browser() -> Iterator[TestClient]:
    uses.manager.clear()
    uses.left.clear()
    with TestClient(uses.app) as client:
        yield client


def log_in(browser: TestClient, user: int = 7, **more: str) -> None:
    reply = browser.post("/login", data={"user": user, **more})
    assert reply.status_code == 200
    assert "sid=" in reply.headers["set-cookie"]
    assert ("Max-Age" in reply.headers["set-cookie"]) is bool(more)


def test_visits_login_and_logout_work(browser: TestClient) -> None:
    assert browser.get("/me").json() == {"user": None, "visits": 1}
    before = browser.cookies["sid"]
    log_in(browser, remember="true")
    assert browser.cookies["sid"] != before
    assert browser.get("/me").json() == {"user": "7", "visits": 2}
    reply = browser.post("/logout")
    assert 'sid="";' in reply.headers["set-cookie"] or "sid=;" in reply.headers["set-cookie"]
    assert uses.left == ["7"]
    assert browser.get("/me").json() == {"user": None, "visits": 1}


def test_a_user_lists_and_ends_their_sessions(browser: TestClient) -> None:
    assert browser.get("/sessions").status_code == 401
    assert browser.post("/sessions/x/revoke").status_code == 401
    other = TestClient(uses.app)
    log_in(other)
    log_in(browser)
    listed = browser.get("/sessions").json()
    assert [(info["user_id"], info["current"]) for info in listed] == [("7", False), ("7", True)]
    assert browser.post(f"/sessions/{listed[0]['handle']}/revoke").json() is True
    assert browser.post(f"/sessions/{listed[0]['handle']}/revoke").json() is False
    assert other.get("/me").json()["user"] is None


@pytest.mark.parametrize(("which", "users"), [("others", ["7", None]), ("everywhere", [None] * 2)])
def test_logout_others_and_everywhere_work(
    browser: TestClient, which: str, users: list[str | None]
) -> None:
    other = TestClient(uses.app)
    log_in(other)
    log_in(browser)
    browser.post("/logout", params={"which": which})
    assert [client.get("/me").json()["user"] for client in (browser, other)] == users


def test_the_typed_dependencies_work(browser: TestClient) -> None:
    assert browser.post("/cart/tea").json() == ["tea"]
    assert browser.post("/cart/milk").json() == ["tea", "milk"]
    (info,) = uses.manager.all()
    assert info.data == {
        "cart": {"items": ["tea", "milk"]},
        "preferences": {"theme": "dark", "since": None},
        "tally": {"seen": {"start": 1, "tea": 1, "milk": 1}},
    }


def test_the_typed_parts_of_a_session_work(browser: TestClient) -> None:
    assert [browser.post(f"/typed/{item}").json() for item in ("tea", "milk")] == [1, 2]
    assert browser.post("/cart/jam").json() == ["tea", "milk", "jam"]


def test_the_whole_session_works_as_one_model() -> None:
    with TestClient(uses.whole) as client:
        assert client.get("/a").json() == ["a"]
        assert client.get("/b").json() == ["a", "b"]


def test_a_counter_counts(browser: TestClient) -> None:
    assert [browser.post("/stock").json() for _ in range(3)] == [9, 8, 7]


def test_a_websocket_uses_the_session(browser: TestClient) -> None:
    browser.get("/me")
    with browser.websocket_connect("/ws") as socket:
        for word in ("one", "two"):
            socket.send_text(word)
            assert socket.receive_json() == {"seen": word}
        (info,) = uses.manager.all()
        assert info.data == {"visits": 1, "seen": "two"}
        uses.manager.revoke(info.handle)
        socket.send_text("three")
        assert socket.receive()["code"] == 4401


def test_a_stream_uses_the_session(browser: TestClient) -> None:
    assert browser.get("/stream").text == "1\n2\n3\n"
    assert uses.manager.all()[0].data == {"streamed": 3}


def test_a_store_and_options_instead_of_a_manager_work() -> None:
    with TestClient(uses.other_ways) as client:
        assert client.get("/").status_code == 404


def test_the_operators_calls_work(browser: TestClient) -> None:
    log_in(browser)
    (line,) = uses.support("list").splitlines()
    handle, user, age = line.split()
    assert (user, age) == ("7", "0")
    assert uses.support("revoke", handle) == "ended"
    assert uses.support("revoke", handle) == "no such session"
    assert uses.manager.get(uses.support("create", "8")) == {"by": "support"}
    assert uses.support("lock", "8") == "1 ended"
    assert uses.support("stats").startswith("0 sessions, 0 new, ")
    assert uses.support("help").startswith("list |")


def test_the_awaited_calls_work() -> None:
    for user_id in (9, "9"):
        uses.manager.clear()
        assert asyncio.run(uses.asupport(user_id)) == 0
        assert [info.data for info in uses.manager.user_sessions("9")] == [{"n": 1}]
