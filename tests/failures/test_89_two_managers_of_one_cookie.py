"""89. Two managers set the same cookie, so each overwrites the other's, and nothing is logged.

It can happen in every mount, also if a bridge from ASGI to WSGI passes on only the headers. So
lembro warns once of a request with an ID that another manager has issued.
"""

from __future__ import annotations

import logging
from typing import Any

import pytest
from asgiref.wsgi import WsgiToAsgi

from lembro import CookieOptions, MemoryStore, SessionManager
from lembro._http import headers
from lembro._runtime import issued
from lembro.asgi import SessionMiddleware as ASGIMiddleware
from lembro.ids import new_id
from lembro.wsgi import SessionMiddleware as WSGIMiddleware
from tests.support.gateways import fetch_asgi
from tests.support.messages import Answer, Request, parse_set_cookie

pytestmark = [
    pytest.mark.anyio,
    pytest.mark.filterwarnings("ignore:async_to_sync was passed"),  # lembro's send is no coroutine
]


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture(autouse=True)
def nothing_was_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(headers, "_warned", set())
    monkeypatch.setattr(issued, "_issued", type(issued._issued)())


def mounted(outer: SessionManager, inner: SessionManager) -> Any:
    """An ASGI application, in which a WSGI application with another manager is mounted."""

    def page(environ: Any, start_response: Any) -> list[bytes]:
        session = environ["lembro.session"]
        session["n"] = session.get("n", 0) + 1
        start_response("200 OK", [])
        return [str(session["n"]).encode()]

    wsgi: Any = WsgiToAsgi(WSGIMiddleware(page, inner))  # type: ignore[no-untyped-call]

    async def app(scope: Any, receive: Any, send: Any) -> None:
        if scope["path"] == "/inner":
            await wsgi(scope, receive, send)
            return
        scope["session"]["outer"] = True
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b""})

    return ASGIMiddleware(app, outer)


async def visit(app: Any, path: str, cookies: dict[str, str]) -> Answer:
    pairs = "; ".join(f"{name}={value}" for name, value in cookies.items())
    answer = await fetch_asgi(app, Request(path=path, cookies=[pairs.encode()] if pairs else []))
    assert answer.error is None
    for line in answer.set_cookies:
        name, value, _ = parse_set_cookie(line)
        cookies[name] = value
    return answer


def warnings(caplog: pytest.LogCaptureFixture) -> list[str]:
    found = [each.getMessage() for each in caplog.records if each.levelno == logging.WARNING]
    return [message for message in found if "both set the cookie" in message]


@pytest.mark.parametrize("first", ["/", "/inner"])
async def test_a_bridge_is_warned_of_once(first: str, caplog: pytest.LogCaptureFixture) -> None:
    app = mounted(SessionManager(MemoryStore()), SessionManager(MemoryStore()))
    cookies: dict[str, str] = {}
    paths = [first, "/inner" if first == "/" else "/"] * 2
    for path in paths:
        await visit(app, path, cookies)
    assert len(warnings(caplog)) == 1


@pytest.mark.parametrize("cookie", [CookieOptions(name="b"), CookieOptions(path="/inner")])
async def test_cookies_that_differ_are_not_warned_of(
    cookie: CookieOptions, caplog: pytest.LogCaptureFixture
) -> None:
    app = mounted(SessionManager(MemoryStore()), SessionManager(MemoryStore(), cookie=cookie))
    cookies: dict[str, str] = {}
    for path in ["/", "/inner"] * 2:
        await visit(app, path, cookies)
    assert not warnings(caplog)


async def test_managers_of_one_store_are_not_warned_of(caplog: pytest.LogCaptureFixture) -> None:
    store = MemoryStore()
    app = mounted(SessionManager(store), SessionManager(store))
    cookies: dict[str, str] = {}
    for path in ["/", "/inner"] * 2:
        await visit(app, path, cookies)
    assert (await visit(app, "/inner", cookies)).body == b"3"
    await visit(app, "/", {"sid": new_id()})
    assert not warnings(caplog)


async def test_an_id_of_the_same_store_that_has_ended_is_not_warned_of(
    caplog: pytest.LogCaptureFixture,
) -> None:
    manager = SessionManager(MemoryStore())
    app = mounted(manager, manager)
    cookies: dict[str, str] = {}
    await visit(app, "/", cookies)
    manager.clear()
    await visit(app, "/", cookies)
    assert not warnings(caplog)


async def test_a_manager_that_is_gone_is_not_warned_of(caplog: pytest.LogCaptureFixture) -> None:
    cookies: dict[str, str] = {}
    manager = SessionManager(MemoryStore())
    await visit(mounted(manager, manager), "/", cookies)
    del manager
    manager = SessionManager(MemoryStore())
    await visit(mounted(manager, manager), "/", cookies)
    assert not warnings(caplog)


async def test_only_the_newest_ids_are_remembered(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(issued, "MOST", 2)
    manager = SessionManager(MemoryStore())
    app = mounted(manager, manager)
    for _ in range(3):
        await visit(app, "/", {})
    assert len(issued._issued) == 2
