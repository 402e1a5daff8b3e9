"""``SessionData`` in every place for a dependency in FastAPI, and in every kind of response."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from typing import Annotated

import httpx
import pytest
from fastapi import BackgroundTasks, Depends, FastAPI, WebSocket
from fastapi.testclient import TestClient
from pydantic import BaseModel
from starlette.testclient import WebSocketDenialResponse

from lembro import MemoryStore, Session, SessionManager
from lembro.integrations.fastapi import SessionData, SessionMiddleware, WebSessionDep


class Cart(BaseModel):
    items: list[str] = []


CartDep = Annotated[Cart, SessionData("cart", Cart)]


@pytest.fixture
def manager() -> SessionManager:
    return SessionManager(MemoryStore())


@pytest.fixture
def app(manager: SessionManager) -> FastAPI:
    app = FastAPI()
    app.add_middleware(SessionMiddleware, manager)

    @app.post("/add/{item}")
    async def add(item: str, cart: CartDep) -> None:
        cart.items.append(item)

    @app.get("/items")
    def items(cart: CartDep) -> list[str]:
        return cart.items

    return app


@pytest.fixture
def client(app: FastAPI) -> Iterator[TestClient]:
    with TestClient(app) as client:
        yield client


def items(client: TestClient) -> object:
    return client.get("/items").json()


def test_a_dependency_of_a_dependency_gets_the_same_object(
    app: FastAPI, client: TestClient
) -> None:
    def with_gift(cart: CartDep) -> Cart:
        cart.items.append("gift")
        return cart

    @app.post("/pay")
    def pay(cart: CartDep, gifted: Cart = Depends(with_gift)) -> list[str]:  # noqa: B008
        assert gifted is cart
        return cart.items

    client.post("/add/bread")
    assert client.post("/pay").json() == ["bread", "gift"]
    assert items(client) == ["bread", "gift"]


def test_yield_changes_before_the_response_are_kept(app: FastAPI, client: TestClient) -> None:
    async def unit(cart: CartDep) -> AsyncIterator[None]:
        cart.items.append("before")
        yield
        cart.items.append("after the endpoint")

    @app.post("/unit", dependencies=[Depends(unit, scope="function")])
    def endpoint(cart: CartDep) -> None:
        cart.items.append("within")

    client.post("/unit")
    assert items(client) == ["before", "within", "after the endpoint"]


def test_yield_changes_after_the_response_are_reported(
    app: FastAPI, client: TestClient, caplog: pytest.LogCaptureFixture
) -> None:
    async def unit(cart: CartDep) -> AsyncIterator[None]:
        yield
        cart.items.append("too late")

    @app.post("/unit", dependencies=[Depends(unit)])
    def endpoint() -> None: ...

    client.post("/add/bread")
    client.post("/unit")
    assert items(client) == ["bread"]
    assert "changed after the response had begun; the change is lost" in caplog.text


def test_a_background_task_reads_the_object_and_edits_the_session(
    app: FastAPI, client: TestClient
) -> None:
    seen: list[str] = []

    def deliver(cart: Cart, session: Session) -> None:
        seen.extend(cart.items)
        with session.edit():
            session["cart"]["items"].append("delivered")

    @app.post("/deliver")
    def start(cart: CartDep, session: WebSessionDep, tasks: BackgroundTasks) -> None:
        tasks.add_task(deliver, cart, session)

    client.post("/add/bread")
    client.post("/deliver")
    assert seen == ["bread"]
    assert items(client) == ["bread", "delivered"]


def test_a_websocket_changes_it_before_the_accept_and_in_an_edit(
    app: FastAPI, client: TestClient
) -> None:
    @app.websocket("/ws")
    async def ws(socket: WebSocket, cart: CartDep, session: WebSessionDep) -> None:
        cart.items.append("opened")
        await socket.accept()
        async with session.edit():
            cart.items.append(await socket.receive_text())
        await socket.close()

    client.post("/add/bread")
    with client.websocket_connect("/ws") as socket:
        socket.send_text("butter")
        socket.receive()
    assert items(client) == ["bread", "opened", "butter"]


def test_a_websocket_whose_session_no_longer_fits_is_refused(
    app: FastAPI, client: TestClient, manager: SessionManager
) -> None:
    @app.websocket("/ws")
    async def ws(socket: WebSocket, cart: CartDep) -> None: ...

    client.cookies.set("sid", manager.create({"cart": 5}))
    with pytest.raises(WebSocketDenialResponse) as refused, client.websocket_connect("/ws"):
        pass
    assert refused.value.status_code == 409


def test_a_mounted_application_shares_the_object(app: FastAPI, client: TestClient) -> None:
    sub = FastAPI()

    @sub.post("/add/{item}")
    def add(item: str, cart: CartDep) -> None:
        cart.items.append(item)

    app.mount("/sub", sub)
    client.post("/add/bread")
    client.post("/sub/add/butter")
    assert items(client) == ["bread", "butter"]


def test_parallel_requests_lose_no_change(app: FastAPI) -> None:
    both_are_in = asyncio.Barrier(2)

    @app.post("/slow/{item}")
    async def slow(item: str, cart: CartDep) -> None:
        cart.items.append(item)
        await asyncio.wait_for(both_are_in.wait(), 60)

    async def run() -> list[str]:
        transport = httpx.ASGITransport(app)
        async with httpx.AsyncClient(transport=transport, base_url="http://test") as client:
            await client.post("/add/first")
            await asyncio.gather(client.post("/slow/a"), client.post("/slow/b"))
            found: list[str] = (await client.get("/items")).json()
            return found

    first, *others = asyncio.run(run())
    assert first == "first"
    assert sorted(others) == ["a", "b"]
