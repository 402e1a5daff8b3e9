"""How many round trips to a real server a request costs, on each kind of integration."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

import pytest

from tests.support.apps import INTEGRATIONS
from tests.support.servers import HOST
from tests.support.servers.proxy import Proxy
from tests.support.servers.redis import shared
from tests.support.stores import RedisBackend
from tests.support.visits import Script, World, login, logout, look, rotate, write

pytestmark = pytest.mark.anyio

NAMES: Final = ("asgi", "wsgi", "fastapi", "flask", "django", "litestar", "aiohttp")
COSTS: Final[dict[str, tuple[Script | None, int]]] = {
    "unused": (None, 0),
    "read": (look, 1),
    "modified": (write(b=1), 2),
    "login": (login("bob"), 2),
    "rotated": (rotate, 2),
    "logout": (logout, 2),
}


@pytest.fixture
def proxy() -> Iterator[Proxy]:
    with Proxy(shared().port) as proxy:
        yield proxy


@pytest.fixture(params=NAMES)
def behind(request: pytest.FixtureRequest, proxy: Proxy) -> Iterator[World]:
    """Return a world whose requests to the server are counted."""
    integration = next(each for each in INTEGRATIONS if each.name == request.param)
    world = World(integration, RedisBackend, store={"url": f"redis://{HOST}:{proxy.port}"})
    yield world
    world.backend.close()


@pytest.mark.parametrize("act", COSTS)
async def test_round_trips(behind: World, proxy: Proxy, act: str) -> None:
    for script, _ in COSTS.values():  # so that the server knows each script
        tab = behind.tab()
        await tab.login("ada")
        await tab.visit(*([] if script is None else [script]))
    tab = behind.tab()
    await tab.login("ada")
    await tab.write(a=1)
    before = proxy.round_trips
    script, cost = COSTS[act]
    answer = await tab.visit(*([] if script is None else [script]))
    assert answer.status == 200
    if act == "unused" and not behind.app.sync:
        cost = 1  # in an event loop, a session is loaded before it is used
    assert proxy.round_trips - before == cost
