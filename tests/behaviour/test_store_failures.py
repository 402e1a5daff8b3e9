"""A networked store that does not respond, on every integration that can use one."""

from __future__ import annotations

import pytest

from tests.support.visits import Script, Visit, World, login, look, write
from tests.support.worlds import KINDS, name_of

NETWORKED = [kind for kind in KINDS if not kind[1].in_process]

pytestmark = [
    pytest.mark.anyio,
    pytest.mark.parametrize("kind", NETWORKED, indirect=True, ids=name_of),
]


async def test_pages_that_do_not_use_the_session_are_served(world: World) -> None:
    tab = world.tab()
    await tab.login("ada")
    world.backend.breaks()
    answer = await tab.visit()
    assert (answer.status, answer.set_cookies, answer.error) == (200, [], None)


async def test_pages_for_visitors_without_a_cookie_are_served(world: World) -> None:
    world.backend.breaks()
    answer = await world.tab().visit(look)
    assert (answer.status, answer.result, answer.error) == (200, {}, None)


async def test_a_first_access_is_a_503(world: World) -> None:
    tab = world.tab()
    await tab.login("ada")
    cookie = tab.cookie
    world.backend.breaks()
    answer = await tab.visit(look)
    assert (answer.status, answer.error) == (503, None)
    assert answer.all("cache-control") == ["no-store"]
    assert answer.all("retry-after") == ["1"]
    assert tab.cookie == cookie  # it is valid again when the store is back
    world.backend.breaks("")
    assert await tab.user() == "ada"


@pytest.mark.parametrize("script", [write(a=1), login("ada")], ids=["write", "login"])
async def test_a_failed_commit_is_a_503_without_a_cookie(world: World, script: Script) -> None:
    world.backend.breaks()
    answer = await world.tab().visit(script)
    assert (answer.status, answer.set_cookies, answer.error) == (503, [], None)
    assert world.backend.records() == 0


async def test_a_store_failure_between_the_load_and_the_save(world: World) -> None:
    tab = world.tab()
    await tab.write(a=1)

    def breaks(visit: Visit) -> None:
        look(visit)
        world.backend.breaks()
        visit.session["a"] = 2

    answer = await tab.visit(breaks)
    assert (answer.status, answer.error) == (503, None)
    world.backend.breaks("")
    assert await tab.read() == {"a": 1}
