"""50. The backend is down (alkem-io #6332): pages that need no session are served, and the others
fail soon; nobody is logged out."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from typing import Any, Final

import pytest

from tests.support.apps import INTEGRATIONS
from tests.support.database_stores import PostgresBackend
from tests.support.servers.postgres import PostgresServer, for_faults
from tests.support.visits import World, login, look, write

pytestmark = pytest.mark.anyio

SOON: Final = 1.5  # seconds: one deadline of 0.2, and some more for a busy machine
BACK: Final = 3.0  # seconds: one, and some more for a busy machine


@pytest.fixture
def server() -> Iterator[PostgresServer]:
    """Return a server that the test may stop or kill."""
    server = for_faults()
    yield server
    server.restore()


@pytest.fixture(
    params=[each for each in INTEGRATIONS if each.name in ("asgi", "wsgi")],
    ids=lambda integration: str(integration.name),
)
def own(request: pytest.FixtureRequest, server: PostgresServer) -> Iterator[World]:
    """Return a world whose server belongs to the test."""
    world = World(request.param, PostgresBackend, store={"server": server, "timeout": 0.2})
    yield world
    world.backend.close()


FAULTS: dict[str, tuple[Callable[[PostgresServer], None], Callable[[PostgresServer], None]]] = {
    "stopped": (PostgresServer.freeze, PostgresServer.thaw),
    "killed": (PostgresServer.stop, PostgresServer.start),
}


@pytest.mark.parametrize("fault", FAULTS)
async def test_a_server_that_does_not_answer(
    own: World, server: PostgresServer, fault: str
) -> None:
    fail, repair = FAULTS[fault]
    tab = own.tab()
    await tab.login("ada")
    cookie = tab.cookie
    fail(server)
    begun = time.monotonic()
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
    for _ in range(50):
        assert (await tab.visit(look)).status == 503
    assert time.monotonic() - begun < SOON
    repair(server)
    begun = time.monotonic()
    store: Any = own.backend.store
    while store._shared.breaker.is_open:
        assert time.monotonic() - begun < BACK
        time.sleep(0.01)
    assert await tab.user() == "ada"
