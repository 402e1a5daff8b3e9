"""32. Oversize session: one byte above max_session_size is a typed error before the headers are
sent.

The stored data remain, and no other session is evicted.
"""

from __future__ import annotations

import pytest

from lembro import SessionTooLarge
from tests.support.visits import Tab, Visit, World, look, write
from tests.support.worlds import Build

pytestmark = pytest.mark.anyio

LIMIT = 2048


@pytest.fixture
def world(build: Build) -> World:
    return build(store={"max_size": "64K", "max_session_size": LIMIT})


async def largest(world: World) -> int:
    """Return the length of the longest text that fits into a session on its own."""
    fits, too_much = 0, LIMIT
    while too_much - fits > 1:
        size = (fits + too_much) // 2
        answer = await world.tab().write(a="x" * size)
        if answer.status == 200:
            fits = size
        else:
            too_much = size
    return fits


async def test_one_byte_too_many_is_a_500_and_keeps_the_stored_data(world: World) -> None:
    most = await largest(world)
    assert LIMIT - 300 < most < LIMIT
    tab = world.tab()
    assert (await tab.write(a="x" * most)).status == 200
    answer = await tab.write(a="x" * (most + 1))
    assert answer.status == 500
    assert b"could not be stored" in answer.body
    assert answer.error is None  # nothing is raised into the server
    assert not answer.set_cookies
    assert await tab.read() == {"a": "x" * most}
    world.backend.check()


async def test_a_new_session_that_is_too_large_is_not_stored(world: World) -> None:
    tab = world.tab()
    answer = await tab.write(a="x" * LIMIT)
    assert answer.status == 500
    assert not answer.set_cookies
    assert world.backend.records() == 0


@pytest.mark.parametrize("how", ["login", "regenerate_id"])
async def test_a_session_too_large_at_a_new_id_keeps_the_stored_data(
    world: World, how: str
) -> None:
    tab = world.tab()
    await tab.write(cart=[1])

    def too_much(visit: Visit) -> None:
        visit.session["a"] = "x" * LIMIT
        if how == "login":
            visit.session.login("ada")
        else:
            visit.session.regenerate_id()

    answer = await tab.visit(too_much)
    assert answer.status == 500
    assert not answer.set_cookies
    assert await tab.read() == {"cart": [1]}
    assert await tab.user() is None


async def test_a_handler_can_catch_session_too_large(world: World) -> None:
    tab = world.tab()
    await tab.write(cart=[1])

    async def careful(visit: Visit) -> None:
        visit.session["upload"] = "x" * LIMIT
        with pytest.raises(SessionTooLarge) as caught:
            await visit.save()
        assert caught.value.size > caught.value.limit == LIMIT
        del visit.session["upload"]
        visit.session["too large"] = True

    answer = await tab.visit(careful)
    assert (answer.status, answer.error) == (200, None)
    assert await tab.read() == {"cart": [1], "too large": True}


async def test_a_merge_that_is_too_large_keeps_the_stored_data(world: World) -> None:
    tab = world.tab()
    await tab.write(cart=[1])

    async def slow(visit: Visit) -> None:
        look(visit)
        await tab.write(b="y" * (LIMIT // 2))
        visit.session["a"] = "x" * (LIMIT // 2)

    answer = await tab.visit(slow)
    assert answer.status == 500
    assert await tab.read() == {"cart": [1], "b": "y" * (LIMIT // 2)}


async def test_sessions_that_are_too_large_evict_nobody(world: World) -> None:
    tabs: list[Tab] = [world.tab() for _ in range(20)]
    for number, tab in enumerate(tabs):
        await tab.write(number=number)
    for _ in range(50):
        await world.tab().visit(write(a="x" * 100_000))
    assert [await tab.read() for tab in tabs] == [{"number": number} for number in range(20)]
    assert not world.backend.memory.stats().evicted
