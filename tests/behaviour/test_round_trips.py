"""How many round trips to a real server a request costs, on each kind of integration."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

import pytest

from tests.support.apps import INTEGRATIONS
from tests.support.database_stores import PostgresBackend
from tests.support.servers import HOST
from tests.support.servers.proxy import Proxy
from tests.support.servers.redis import shared
from tests.support.stores import Backend, RedisBackend
from tests.support.visits import Script, World, login, logout, look, rotate, write

pytestmark = pytest.mark.anyio

NAMES: Final = ("asgi", "wsgi", "fastapi", "flask", "django", "litestar", "aiohttp")
COSTS: Final[dict[str, tuple[Script | None, int, int]]] = {
    "unused": (None, 0, 0),
    "read": (look, 1, 1),
    "modified": (write(b=1), 2, 2),
    # A transaction of PostgreSQL has a round trip for each of its statements.
    "login": (login("bob"), 2, 10),
    "rotated": (rotate, 2, 9),
    "logout": (logout, 2, 2),
}
"""For each request: its script, and the round trips of Redis and of PostgreSQL."""
WARM: Final = 6  # psycopg prepares a statement at its sixth use, which takes one more round trip


@pytest.fixture(
    params=[*((name, RedisBackend) for name in NAMES), *((n, PostgresBackend) for n in NAMES[:2])],
    ids=lambda kind: f"{kind[0]}-{kind[1].name}",
)
def behind(request: pytest.FixtureRequest) -> Iterator[tuple[World, Proxy]]:
    """Return a world, and the proxy that counts its requests to the server."""
    name, backend = request.param
    integration = next(each for each in INTEGRATIONS if each.name == name)
    with Proxy(port_of(backend)) as proxy:
        options: dict[str, object] = {"url": f"redis://{HOST}:{proxy.port}"}
        if backend is PostgresBackend:
            url = f"postgresql://lembro:secret@{HOST}:{proxy.port}/postgres"
            # psycopg prepares statements for each connection. A second one would add round trips.
            options = {"url": url, "max_connections": 1}
        world = World(integration, backend, store=options)
        yield world, proxy
        world.backend.close()


def port_of(backend: type[Backend]) -> int:
    if backend is RedisBackend:
        return shared().port
    from tests.support.servers import postgres  # noqa: PLC0415 - it imports the driver

    return postgres.shared().port


@pytest.mark.parametrize("act", COSTS)
async def test_round_trips(behind: tuple[World, Proxy], act: str) -> None:
    world, proxy = behind
    is_redis = isinstance(world.backend, RedisBackend)
    for script, *_ in COSTS.values():  # so that the server knows each script or statement
        for _ in range(1 if is_redis else WARM):
            tab = world.tab()
            await tab.login("ada")
            await tab.visit(*([] if script is None else [script]))
    tab = world.tab()
    await tab.login("ada")
    await tab.write(a=1)
    before = proxy.round_trips
    script, of_redis, of_postgres = COSTS[act]
    cost = of_redis if is_redis else of_postgres
    answer = await tab.visit(*([] if script is None else [script]))
    assert answer.status == 200
    if act == "unused" and not world.app.sync:
        cost = 1  # in an event loop, a session is loaded before it is used
    assert proxy.round_trips - before == cost
