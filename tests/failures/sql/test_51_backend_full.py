"""51. The backend is full or read-only: a login fails visibly, and reads still work."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from lembro import StoreFull, StoreReadOnly
from tests.support.apps import INTEGRATIONS
from tests.support.database_stores import PostgresBackend
from tests.support.servers.postgres import PostgresServer, shared
from tests.support.visits import Tab, World, login, look, write

pytestmark = pytest.mark.anyio

FULL = """
create or replace function full_disk() returns trigger language plpgsql as
$$ begin raise exception 'No space left on device' using errcode = 'disk_full'; end $$;
create trigger full_disk before insert or update on {table} execute function full_disk()
"""


@pytest.fixture(
    params=[each for each in INTEGRATIONS if each.name in ("asgi", "wsgi")],
    ids=lambda integration: str(integration.name),
)
def own(request: pytest.FixtureRequest) -> Iterator[World]:
    """Return a world with its own database."""
    url = shared().url(shared().new_database())
    world = World(request.param, PostgresBackend, store={"url": url})
    yield world
    world.backend.close()


def execute(world: World, text: str) -> None:
    """Perform a statement in the database of a world."""
    backend: Any = world.backend
    server: PostgresServer = shared()
    database = backend.memory._shared.backend.place.rpartition("/")[2]
    server.execute(text.format(table=backend.table, database=database), database)


async def check(world: World, tab: Tab) -> None:
    """Check that writes fail visibly and reads still work."""
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


async def test_a_server_with_a_full_disk_fails_changes_and_reads_succeed(own: World) -> None:
    tab = own.tab()
    await tab.login("ada")
    await tab.write(cart=[1])
    execute(own, FULL)
    await check(own, tab)
    with pytest.raises(StoreFull):
        await own.call("create", {"a": 1})
    await tab.logout()
    assert await tab.user() is None


async def test_a_server_that_accepts_no_writes_fails_changes_and_reads_succeed(own: World) -> None:
    tab = own.tab()
    await tab.login("ada")
    await tab.write(cart=[1])
    execute(own, "alter database {database} set default_transaction_read_only = on")
    execute(
        own,
        "select pg_terminate_backend(pid, 5000) from pg_stat_activity "
        "where datname = '{database}' and pid <> pg_backend_pid()",
    )
    await check(own, tab)
    with pytest.raises(StoreReadOnly):
        await own.call("create", {"a": 1})
