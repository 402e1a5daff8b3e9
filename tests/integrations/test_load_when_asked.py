"""``load="asked"``: a page that does not use its session costs no round trip to the store."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import httpx
import litestar
import pytest
from fastapi import FastAPI
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse
from starlette.routing import Route

from lembro import MemoryStore, SessionManager, StoreError, UsageError
from lembro.integrations import fastapi, starlette
from lembro.integrations import litestar as lembro_litestar
from tests.support.stores import AsyncAdapter


class Counting(AsyncAdapter):
    """A store outside of the process that notes each round trip."""

    def __init__(self) -> None:
        super().__init__(MemoryStore(), ())
        self.trips: list[str] = []

    def _do(self, verb: str, *args: Any, **keywords: Any) -> Any:
        self.trips.append(verb)
        return super()._do(verb, *args, **keywords)


def in_starlette(manager: SessionManager) -> Any:
    def page(name: str, body: Callable[[Any], Awaitable[Any]]) -> Route:
        async def endpoint(request: Request) -> PlainTextResponse:
            return PlainTextResponse(str(await body(request.session)))

        return Route(name, endpoint)

    async def unused(session: Any) -> None:
        pass

    async def plain(session: Any) -> Any:
        return session.get("a")

    async def read(session: Any) -> Any:
        await session.aload()
        return session.get("a")

    async def write(session: Any) -> None:
        await session.aload()
        session["a"] = session.get("a", 0) + 1

    routes = [page(f"/{body.__name__}", body) for body in (unused, plain, read, write)]
    app = Starlette(routes=routes)
    app.add_middleware(starlette.SessionMiddleware, manager=manager)
    return app


def in_fastapi(manager: SessionManager) -> Any:
    app = FastAPI()
    app.add_middleware(fastapi.SessionMiddleware, manager=manager)

    @app.get("/unused")
    async def unused() -> None:
        pass

    @app.get("/read")
    async def read(session: fastapi.WebSessionDep) -> Any:
        return session.get("a")

    @app.get("/write")
    async def write(session: fastapi.WebSessionDep) -> None:
        session["a"] = session.get("a", 0) + 1

    return app


def in_litestar(manager: SessionManager) -> Any:
    @litestar.get("/unused")
    async def unused() -> None:
        pass

    @litestar.get("/read")
    async def read(session: lembro_litestar.WebSessionDep) -> Any:
        return session.get("a")

    @litestar.get("/write")
    async def write(session: lembro_litestar.WebSessionDep) -> None:
        session["a"] = session.get("a", 0) + 1

    plugin = lembro_litestar.LembroPlugin(manager)
    return litestar.Litestar([unused, read, write], plugins=[plugin])


@pytest.fixture(params=[in_starlette, in_fastapi, in_litestar], ids=lambda app: app.__name__)
def application(request: pytest.FixtureRequest) -> Any:
    return request.param


async def trips_of(application: Any, *paths: str, **options: Any) -> list[list[str]]:
    """Visit pages with one browser, and return the verbs that each needed."""
    store = Counting()
    transport = httpx.ASGITransport(application(SessionManager(store, **options)))
    trips = []
    async with httpx.AsyncClient(transport=transport, base_url="http://t") as client:
        for path in paths:
            store.trips.clear()
            response = await client.get(path)
            assert response.is_success, response.text
            trips.append(list(store.trips))
    return trips


def test_round_trips(application: Any) -> None:
    paths = ("/write", "/unused", "/read", "/write")
    asked = asyncio.run(trips_of(application, *paths, load="asked"))
    assert asked == [["add"], [], ["get"], ["get", "set"]]
    ahead = asyncio.run(trips_of(application, *paths))
    assert ahead == [["add"], ["get"], ["get"], ["get", "set"]]


def test_plain_access_names_aload() -> None:
    async def visit() -> None:
        await trips_of(in_starlette, "/write", "/plain", load="asked")

    with pytest.raises(UsageError, match=r"write `await session\.aload\(\)` first"):
        asyncio.run(visit())


def test_a_store_that_fails_at_aload_is_a_503_and_can_be_asked_again() -> None:
    store = Counting()
    manager = SessionManager(store, load="asked")
    app = Starlette()
    app.add_middleware(starlette.SessionMiddleware, manager=manager)

    async def endpoint(request: Request) -> PlainTextResponse:
        session: Any = request.session
        store.broken = "down"
        await session.aload()
        with pytest.raises(StoreError):
            session.get("a")
        store.broken = "" if request.url.path == "/back" else "down"
        await session.areload()
        return PlainTextResponse(str(session.get("a")))

    async def write(request: Request) -> PlainTextResponse:
        session: Any = request.session
        await session.aload()
        session["a"] = 1
        return PlainTextResponse("")

    app.router.routes += [Route(path, endpoint) for path in ("/down", "/back")]
    app.router.routes.append(Route("/write", write))

    async def visit() -> None:
        transport = httpx.ASGITransport(app)
        async with httpx.AsyncClient(transport=transport, base_url="http://t") as client:
            await client.get("/write")
            assert (await client.get("/down")).status_code == 503
            store.broken = ""
            assert (await client.get("/back")).text == "1"

    asyncio.run(visit())
