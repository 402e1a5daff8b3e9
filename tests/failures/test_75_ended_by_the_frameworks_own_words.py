"""75. A session that a framework's own words end or replace goes on (Litestar's ``clear_session()``
and then ``set_session()``): every sequence of words means what the framework's docs promise, and
after a word that ends the session, neither its ID nor its user is left."""

from __future__ import annotations

from itertools import product

import pytest

from lembro import MemoryStore, SessionManager
from tests.support.visits import Script, Visit, World, login, logout, rotate, write
from tests.support.words import check
from tests.support.words_places import PLACES
from tests.support.worlds import Build

pytestmark = [
    pytest.mark.anyio,
    pytest.mark.filterwarnings("ignore::aiohttp.web.NotAppKeyWarning"),  # aiohttp-session's key
]


@pytest.mark.parametrize("framework", PLACES)
async def test_every_sequence_of_words(framework: str) -> None:
    manager = SessionManager(MemoryStore("1M"))
    place = PLACES[framework](manager)
    for length in (1, 2, 3):
        for names in product(place.words, repeat=length):
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
async def test_what_follows_an_end_begins_a_new_session(build: Build, end: str) -> None:
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
