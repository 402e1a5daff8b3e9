"""51. The backend is full or read-only: a login fails visibly, and reads succeed."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from lembro import StoreFull, StoreReadOnly
from tests.support.apps import INTEGRATIONS
from tests.support.servers import HOST
from tests.support.servers.redis import RedisServer, serve, wait_until
from tests.support.stores import RedisBackend
from tests.support.visits import Tab, World, login, look, write

pytestmark = pytest.mark.anyio


@pytest.fixture
def server() -> Iterator[RedisServer]:
    with serve() as server:
        yield server


@pytest.fixture(
    params=[each for each in INTEGRATIONS if each.name in ("asgi", "wsgi", "flask", "fastapi")],
    ids=lambda integration: str(integration.name),
)
def own(request: pytest.FixtureRequest, server: RedisServer) -> Iterator[World]:
    """Return a world whose server belongs to the test."""
    world = World(request.param, RedisBackend, store={"server": server})
    yield world
    server.do("CONFIG", "SET", "maxmemory", "0")
    server.do("REPLICAOF", "NO", "ONE")
    world.backend.close()


async def check(world: World, tab: Tab) -> None:
    """Check that writes fail visibly and reads succeed."""
    cookie = tab.cookie
    assert (await tab.visit(look)).result == {"cart": [1]}
    for script in (write(cart=[2]), login("bob")):
        answer = await tab.visit(script)
        assert (answer.status, answer.set_cookies, answer.error) == (503, [], None)
        assert answer.all("retry-after") == ["1"]
    answer = await world.tab().visit(login("bob"))
    assert (answer.status, answer.set_cookies) == (503, [])
    assert tab.cookie == cookie
    assert (await tab.read(), await tab.user()) == ({"cart": [1]}, "ada")


async def test_a_server_without_memory(own: World, server: RedisServer) -> None:
    tab = own.tab()
    await tab.login("ada")
    await tab.write(cart=[1])
    server.do("CONFIG", "SET", "maxmemory", "1")
    await check(own, tab)
    with pytest.raises(StoreFull):
        await own.call("create", {"a": 1})
    await tab.logout()
    server.do("CONFIG", "SET", "maxmemory", "0")
    assert await tab.user() is None


async def test_a_server_that_became_a_replica(own: World, server: RedisServer) -> None:
    tab = own.tab()
    await tab.login("ada")
    await tab.write(cart=[1])
    with serve() as primary:
        primary.do("REPLICAOF", HOST, server.port)
        wait_until(lambda: primary.info("master_link_status") == "up", "the replication")
        primary.do("REPLICAOF", "NO", "ONE")
        server.do("REPLICAOF", HOST, primary.port)
        wait_until(lambda: server.info("master_link_status") == "up", "the replication")
        await check(own, tab)
        with pytest.raises(StoreReadOnly):
            await own.call("create", {"a": 1})
