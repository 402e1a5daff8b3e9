"""75. A session that a framework's own method ended or replaced continues.

An example is Litestar's ``clear_session()`` followed by ``set_session()``. Every sequence of
methods does what the framework's docs promise. After a method that ends the session, neither its ID
nor its user remains.
"""

from __future__ import annotations

from itertools import product

import pytest

from lembro import MemoryStore, SessionManager
from tests.support.framework_apps import PLACES
from tests.support.framework_methods import check
from tests.support.visits import Script, Visit, World, login, logout, rotate, write
from tests.support.worlds import Build

pytestmark = [
    pytest.mark.anyio,
    pytest.mark.filterwarnings("ignore::aiohttp.web.NotAppKeyWarning"),  # aiohttp-session's key
]


@pytest.mark.parametrize("framework", PLACES)
async def test_every_sequence_of_framework_methods(framework: str) -> None:
    manager = SessionManager(MemoryStore("1M"))
    place = PLACES[framework](manager)
    for length in (1, 2, 3):
        for names in product(place.methods, repeat=length):
            await check(place, manager, names)


def clear(visit: Visit) -> None:
    visit.session.clear()


def everywhere(visit: Visit) -> None:
    visit.session.logout_everywhere()


ENDS: dict[str, Script] = {"clear": clear, "logout": logout, "logout_everywhere": everywhere}
OTHERS: dict[str, Script] = {
    "write": write(new=1),
    "rotate": rotate,
    "login": login("bob"),
    "again": login("ada"),
}


@pytest.mark.parametrize("end", ENDS)
async def test_a_write_after_an_end_begins_a_new_session(build: Build, end: str) -> None:
    world: World = build()
    for name, other in OTHERS.items():
        tab = world.tab()
        await tab.login("ada")
        await tab.write(old=1)
        old = tab.cookie

        def script(visit: Visit, other: Script = other) -> None:
            ENDS[end](visit)
            other(visit)

        await tab.visit(script)
        assert tab.cookie != old, name
        assert "old" not in await tab.read(), name
        assert await tab.user() == {"login": "bob", "again": "ada"}.get(name), name
        assert await world.tab(old).user() is None, name
