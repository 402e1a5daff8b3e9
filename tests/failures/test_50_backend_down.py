"""50. The backend is down (alkem-io #6332): pages that need no session are served, and the others
fail soon; nobody is logged out."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from typing import Any, Final

import pytest

from tests.support.apps import INTEGRATIONS
from tests.support.servers.redis import RedisServer, wait_until
from tests.support.stores import RedisBackend
from tests.support.visits import World, login, look, write

pytestmark = pytest.mark.anyio

# The first request after the fault may wait for the deadline, which is 0.2 seconds. The rest is
# for a busy machine.
SOON: Final = 8


@pytest.fixture
def server() -> Iterator[RedisServer]:
    server = RedisServer()
    yield server
    server.remove()


@pytest.fixture(
    params=[each for each in INTEGRATIONS if each.name in ("asgi", "wsgi", "flask", "fastapi")],
    ids=lambda integration: str(integration.name),
)
def own(request: pytest.FixtureRequest, server: RedisServer) -> Iterator[World]:
    """Return a world whose server belongs to the test."""
    world = World(request.param, RedisBackend, store={"server": server, "timeout": 0.2})
    yield world
    world.backend.close()


FAULTS: dict[str, tuple[Callable[[RedisServer], None], Callable[[RedisServer], None]]] = {
    "stopped": (RedisServer.freeze, RedisServer.thaw),
    "killed": (RedisServer.kill, RedisServer.start),
}


@pytest.mark.parametrize("fault", FAULTS)
async def test_a_server_that_does_not_answer(own: World, server: RedisServer, fault: str) -> None:
    fail, repair = FAULTS[fault]
    tab = own.tab()
    await tab.login("ada")
    cookie = tab.cookie
    fail(server)
    start = time.monotonic()
    answer = await own.tab().visit()
    assert (answer.status, answer.set_cookies) == (200, [])
    answer = await own.tab().visit(look)  # a visitor without a cookie has no session to load
    assert (answer.status, answer.set_cookies) == (200, [])
    answer = await tab.visit()
    assert (answer.status, answer.set_cookies) == (200, [])
    for script in (look, write(a=1), login("bob")):
        answer = await tab.visit(script)
        assert (answer.status, answer.set_cookies) == (503, [])
        assert answer.all("retry-after") == ["1"]
        assert tab.cookie == cookie
    answer = await own.tab().visit(login("bob"))
    assert (answer.status, answer.set_cookies) == (503, [])
    for _ in range(100):
        assert (await tab.visit(look)).status == 503
    assert time.monotonic() - start < SOON
    repair(server)
    store: Any = own.backend.store
    wait_until(lambda: not store._shared.breaker.is_open, "the breaker")
    assert await tab.user() == ("ada" if fault == "stopped" else None)
    await tab.login("ada")
    assert await tab.user() == "ada"
