"""91. ``scope["session"] = {}``, with which Starlette's own sessions end, changes nothing.

It ends the session. Keys that the new dict holds begin another session, as after ``clear()``. A
mounted application that has sessions of its own ends nothing.
"""

from __future__ import annotations

from typing import Any

import pytest
from starlette.middleware.sessions import SessionMiddleware as StarletteMiddleware

from lembro import SessionManager
from lembro.integrations.starlette import SessionMiddleware
from lembro.testing import FakeClock
from tests.support.gateways import fetch_asgi
from tests.support.messages import Answer, Request
from tests.support.stores import BACKENDS, Backend

pytestmark = pytest.mark.anyio


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


class Starlette:
    """A browser, and an application that puts something in place of its session."""

    def __init__(self, backend: type[Backend], **options: Any) -> None:
        self.manager = SessionManager(backend(clock=FakeClock()).store, **options)
        self.id = ""

    async def log_in(self) -> None:
        self.id = await self.manager.acreate({"cart": [1]}, "ada")

    async def replace(self, value: Any, *, look: bool = False, kind: str = "http") -> Answer:
        async def app(scope: Any, receive: Any, send: Any) -> None:
            if look:
                await scope["session"].aload()
                assert scope["session"]["cart"] == [1]
            scope["session"] = value
            if kind == "websocket":
                await send({"type": "websocket.accept"})
                return
            await send({"type": "http.response.start", "status": 200, "headers": []})
            await send({"type": "http.response.body", "body": b"ok"})

        request = Request(cookies=[f"sid={self.id}".encode()], websocket=kind == "websocket")
        return await fetch_asgi(SessionMiddleware(app, self.manager), request)


@pytest.mark.parametrize("load", ["ahead", "asked"])
@pytest.mark.parametrize("look", [False, True])
@pytest.mark.parametrize("backend", BACKENDS)
async def test_an_empty_dict_ends_the_session(
    backend: type[Backend], load: str, look: bool
) -> None:
    site = Starlette(backend, load=load)
    await site.log_in()
    answer = await site.replace({}, look=look)
    assert (answer.status, answer.body) == (200, b"ok")
    assert answer.clears_session
    assert await site.manager.aget(site.id) is None


@pytest.mark.parametrize("backend", BACKENDS)
async def test_the_keys_of_a_dict_begin_another_session(backend: type[Backend]) -> None:
    site = Starlette(backend)
    await site.log_in()
    answer = await site.replace({"a": 1})
    assert answer.sets_session
    assert await site.manager.aget(site.id) is None
    assert [info.data for info in await site.manager.aall()] == [{"a": 1}]
    assert [info.user_id for info in await site.manager.aall()] == [None]


async def test_a_websocket_ends_the_session_too() -> None:
    site = Starlette(BACKENDS[0])
    await site.log_in()
    await site.replace({}, kind="websocket")
    assert await site.manager.aget(site.id) is None


async def test_a_session_of_an_inner_middleware_is_left_alone() -> None:
    site = Starlette(BACKENDS[0])
    await site.log_in()

    async def page(scope: Any, receive: Any, send: Any) -> None:
        scope["session"]["a"] = 1
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b"ok"})

    app = SessionMiddleware(StarletteMiddleware(page, "secret"), site.manager)
    answer = await fetch_asgi(app, Request(cookies=[f"sid={site.id}".encode()]))
    assert [line.split("=")[0] for line in answer.set_cookies] == ["session"]
    assert await site.manager.aget(site.id) == {"cart": [1]}


class Host:
    """An application in which the middleware is, and which has mounted another one."""

    def __init__(self, site: Starlette, mounted: Any) -> None:
        self.inside = SessionMiddleware(mounted, site.manager)

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        scope["app"] = self
        await self.inside(scope, receive, send)


class Mounted:
    """An application whose middleware puts a plain dict into the scope, as Litestar's does."""

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        scope["app"] = self
        scope["root_path"] = "/admin"
        scope["session"] = {"page": 3}
        await send({"type": "http.response.start", "status": 200, "headers": []})
        scope["session"]["page"] += 1
        await send({"type": "http.response.body", "body": b"%d" % scope["session"]["page"]})


async def test_a_mounted_application_with_its_own_sessions_ends_nothing(
    caplog: pytest.LogCaptureFixture,
) -> None:
    site = Starlette(BACKENDS[0])
    await site.log_in()
    host = Host(site, Mounted())
    for _ in range(2):
        answer = await fetch_asgi(host, Request(cookies=[f"sid={site.id}".encode()]))
        assert (answer.body, answer.set_cookies) == (b"4", [])
    assert await site.manager.aget(site.id) == {"cart": [1]}
    assert [info.user_id for info in await site.manager.aall()] == ["ada"]
    (record,) = [record for record in caplog.records if record.levelname == "WARNING"]  # once
    assert "'/admin'" in record.getMessage()
    assert "exclude" in record.getMessage()


async def test_the_application_around_the_middleware_still_ends_the_session() -> None:
    site = Starlette(BACKENDS[0])
    await site.log_in()

    async def page(scope: Any, receive: Any, send: Any) -> None:
        scope["session"] = {}
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b"ok"})

    answer = await fetch_asgi(Host(site, page), Request(cookies=[f"sid={site.id}".encode()]))
    assert answer.clears_session
    assert await site.manager.aget(site.id) is None
