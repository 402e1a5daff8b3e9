"""15. A reader overwrites a writer (Starlette #2019): a write survives a slow read."""

from __future__ import annotations

import pytest

from tests.support.visits import Script, Visit, World, look, write

pytestmark = pytest.mark.anyio

READERS: dict[str, Script] = {
    "looks": look,
    "touches": lambda visit: visit.session.touch(),
    "assigns what is there": lambda visit: visit.session.update(theme="light"),
    "gets a list": lambda visit: visit.session["cart"],
    "sets a default that is there": lambda visit: visit.session.setdefault("theme", "x"),
}


@pytest.mark.parametrize("reader", READERS)
@pytest.mark.parametrize("touch_due", [True, False])
async def test_a_write_survives_a_slow_reader(world: World, reader: str, touch_due: bool) -> None:
    tab = world.tab()
    await tab.write(theme="light", cart=[1])
    if touch_due:
        world.clock.advance(20 * 3600)

    async def slow(visit: Visit) -> None:
        look(visit)
        await tab.visit(write(theme="dark", cart=[1, 2]))
        READERS[reader](visit)

    await tab.visit(slow)
    assert await tab.read() == {"theme": "dark", "cart": [1, 2]}


async def test_a_slow_reader_does_not_empty_a_logged_in_session(world: World) -> None:
    tab = world.tab()
    await tab.write(cart=[1])
    anonymous = tab.twin()

    async def slow(visit: Visit) -> None:
        look(visit)
        await tab.login("ada")

    await anonymous.visit(slow)
    assert await tab.user() == "ada"
    assert await tab.read() == {"cart": [1]}


async def test_a_request_that_does_not_use_its_session_writes_nothing(world: World) -> None:
    tab = world.tab()
    await tab.write(a=1)
    before = world.backend.payloads()
    answer = await tab.visit()
    assert world.backend.payloads() == before
    assert not answer.set_cookies
    assert not answer.all("vary")
