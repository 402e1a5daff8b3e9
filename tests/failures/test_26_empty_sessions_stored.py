"""26. Empty sessions stored (CVE-2015-5963): a visit that stores no data leaves no record and no
cookie.

A session that is emptied ends after the grace.
"""

from __future__ import annotations

import pytest

from tests.support.visits import Script, Visit, World, login, rotate
from tests.support.worlds import CODEC_KINDS, only

pytestmark = pytest.mark.anyio


def set_then_delete(visit: Visit) -> None:
    visit.session["a"] = 1
    del visit.session["a"]


def write_then_logout(visit: Visit) -> None:
    visit.session["a"] = 1
    visit.session.logout()


def login_then_logout(visit: Visit) -> None:
    visit.session.login("ada")
    visit.session.logout()


NOTHING: dict[str, Script] = {
    "in": lambda visit: "a" in visit.session,
    "len": lambda visit: len(visit.session),
    "iteration": lambda visit: list(visit.session),
    "get": lambda visit: visit.session.get("a"),
    "pop with a default": lambda visit: visit.session.pop("a", None),
    "user": lambda visit: visit.session.user_id,
    "repr": lambda visit: repr(visit.session),
    "touch": lambda visit: visit.session.touch(),
    "regenerate_id": rotate,
    "logout": lambda visit: visit.session.logout(),
    "clear": lambda visit: visit.session.clear(),
    "update with nothing": lambda visit: visit.session.update({}),
    "save": lambda visit: visit.save(),
    "reload": lambda visit: visit.reload(),
    "atomic that does nothing": lambda visit: visit.atomic(lambda data: None),
    "set, then delete": set_then_delete,
    "write, then logout": write_then_logout,
    "login, then logout": login_then_logout,
}


@only(CODEC_KINDS)
@pytest.mark.parametrize("script", NOTHING)
async def test_a_request_without_data_stores_nothing(world: World, script: str) -> None:
    for _ in range(3):
        answer = await world.tab().visit(NOTHING[script])
        assert answer.error is None
        assert answer.status == 200
        assert not answer.set_cookies
    assert world.backend.records() == 0


async def test_an_emptied_session_ends_after_the_grace(world: World) -> None:
    tab = world.tab()
    await tab.write(a=1)
    await tab.visit(lambda visit: visit.session.pop("a"))
    world.clock.advance(31)
    assert world.backend.records() == 0


async def test_reads_do_not_prolong_an_emptied_session(world: World) -> None:
    tab = world.tab()
    await tab.write(a=1)
    await tab.visit(lambda visit: visit.session.pop("a"))
    for _ in range(4):
        world.clock.advance(10)
        await tab.read()
        await tab.visit()
    assert world.backend.records() == 0


async def test_a_write_revives_an_emptied_session(world: World) -> None:
    tab = world.tab()
    await tab.write(a=1)
    await tab.visit(lambda visit: visit.session.pop("a"))
    await tab.write(b=1)
    world.clock.advance(3600)
    assert await tab.read() == {"b": 1}


async def test_a_login_without_data_keeps_its_session(world: World) -> None:
    tab = world.tab()
    await tab.visit(login("ada"))
    world.clock.advance(3600)
    assert await tab.user() == "ada"
