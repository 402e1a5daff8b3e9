"""70. Fixation by a legacy cookie (``migrate_from``): a rotation in the adopting request holds.

Afterwards the legacy cookie gives access to nothing.
"""

from __future__ import annotations

import json
from base64 import b64encode
from typing import Any, Final

import pytest
from itsdangerous import TimestampSigner

from lembro.migrate import StarletteCookieReader
from tests.support.visits import Script, Tab, Visit, World, login, look, rotate, write
from tests.support.worlds import Build, each

pytestmark = pytest.mark.anyio

SECRET: Final = "the secret of the application before"
GRACE: Final = 30.0


def by_rotation(visit: Visit) -> None:
    visit.session.regenerate_id()
    visit.session["secret"] = 1


def by_clearing(visit: Visit) -> None:
    visit.session.clear()
    visit.session["secret"] = 1


def by_login(visit: Visit) -> None:
    visit.session.login("victim")
    visit.session["secret"] = 1


def by_rotation_and_login(visit: Visit) -> None:
    by_rotation(visit)
    by_login(visit)


WAYS: Final = [by_rotation, by_clearing, by_login, by_rotation_and_login]
OWNERS: Final = {"anonymous": None, "logged in": "eve"}
"""The users in the legacy cookie that an attacker has planted."""
ACTS: Final[dict[str, Script]] = {
    "look": look,
    "write": write(a=1),
    "login": login("eve"),
    "rotate": rotate,
}


@pytest.fixture
def world(build: Build) -> World:
    return build(migrate_from=StarletteCookieReader(SECRET, cookie="old", user="uid"))


def plant(owner: str) -> str:
    """Return the legacy cookie that an attacker has planted."""
    data = {"cart": [1], "uid": OWNERS[owner]}
    return TimestampSigner(SECRET).sign(b64encode(json.dumps(data).encode())).decode()


def browser(world: World, cookie: str) -> Tab:
    tab = world.tab()
    tab.jar["old"] = cookie
    return tab


async def check(world: World, victim: Tab, planted: str, *others: Tab) -> None:
    """Only the victim has the victim's session, at once and after the grace."""
    held = await victim.read()
    assert "secret" in held or await victim.user() == "victim"
    for later in (0.0, GRACE + 1):
        world.clock.advance(later)
        replay = browser(world, planted)
        assert (await replay.user(), await replay.read()) == (None, {})
        assert "sid" not in replay.jar
    for other in others:
        assert other.cookie != victim.cookie
        assert "secret" not in await other.read()
        assert await other.user() != "victim"
    assert await victim.read() == held


@each(way=WAYS, owner=OWNERS)
async def test_the_first_request_replaces_the_id(world: World, owner: str, way: Any) -> None:
    planted = plant(owner)
    victim = browser(world, planted)
    await victim.visit(way)
    await check(world, victim, planted)


@each(way=WAYS, owner=OWNERS)
async def test_the_attackers_request_is_first(world: World, owner: str, way: Any) -> None:
    """The attacker keeps the new cookie, so the legacy cookie is still accepted."""
    planted = plant(owner)
    attacker, victim = browser(world, planted), browser(world, planted)
    await attacker.visit(look)
    await victim.visit(way)
    await check(world, victim, planted, attacker)


@each(way=WAYS, owner=OWNERS, act=["look", "write", "login"])
async def test_the_attackers_request_is_second(
    world: World, owner: str, way: Any, act: str
) -> None:
    planted = plant(owner)
    attacker, victim = browser(world, planted), browser(world, planted)

    async def slow(visit: Visit) -> None:
        way(visit)
        await attacker.visit(ACTS[act])

    await victim.visit(slow)
    if victim.cookie is None:  # the attacker's login was first, and so no ID is issued at all
        assert way is by_rotation
        return
    await check(world, victim, planted, attacker)


@each(way=WAYS, owner=OWNERS, act=["look", "write", "rotate"])
async def test_the_victims_request_runs_during_the_attackers(
    world: World, owner: str, way: Any, act: str
) -> None:
    planted = plant(owner)
    attacker, victim = browser(world, planted), browser(world, planted)

    async def slow(visit: Visit) -> None:
        ACTS[act](visit)
        await victim.visit(way)

    answer = await attacker.visit(slow)
    assert not answer.set_cookies
    await check(world, victim, planted, attacker)
