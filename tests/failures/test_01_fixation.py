"""1. Fixation at login (CVE-2023-29019): an ID from before the login is stale after it."""

from __future__ import annotations

import pytest

from tests.support.visits import Visit, World

pytestmark = pytest.mark.anyio


async def test_a_login_issues_a_new_id(world: World) -> None:
    tab = world.tab()
    await tab.write(cart=[1])
    before = tab.cookie
    await tab.login("ada")
    assert tab.cookie != before
    assert await tab.read() == {"cart": [1]}
    assert await tab.user() == "ada"


async def test_the_id_from_before_the_login_is_stale(world: World) -> None:
    tab = world.tab()
    await tab.write(cart=[1])
    attacker = tab.twin()
    await tab.login("ada")
    assert await attacker.read() == {}
    assert await attacker.user() is None
    answer = await attacker.write(planted=True)
    assert not answer.set_cookies
    assert await tab.read() == {"cart": [1]}


async def test_the_id_from_before_is_stale_for_a_request_in_flight(world: World) -> None:
    tab = world.tab()
    await tab.write(cart=[1])
    attacker = tab.twin()

    async def attack(visit: Visit) -> None:
        visit.session["cart"].append(2)
        await tab.login("ada")

    answer = await attacker.visit(attack)
    assert not answer.set_cookies
    assert await attacker.user() is None
    assert await tab.read() == {"cart": [1]}


async def test_regenerate_id_and_an_application_key_prevent_fixation(world: World) -> None:
    """An application without ``login`` calls regenerate_id and stores its own key."""
    tab = world.tab()
    await tab.write(cart=[1])
    attacker = tab.twin()

    def log_in_by_rotation(visit: Visit) -> None:
        visit.session.regenerate_id()
        visit.session["user_id"] = 7

    await tab.visit(log_in_by_rotation)
    assert await tab.read() == {"cart": [1], "user_id": 7}
    assert await attacker.read() == {}


async def test_clear_and_an_application_key_prevent_fixation(world: World) -> None:
    tab = world.tab()
    await tab.write(cart=[1])
    attacker = tab.twin()

    def cleared(visit: Visit) -> None:
        visit.session.clear()
        visit.session["user_id"] = 7

    await tab.visit(cleared)
    assert await tab.read() == {"user_id": 7}
    assert await attacker.read() == {}


async def test_a_second_login_ends_the_first_ones_id(world: World) -> None:
    tab = world.tab()
    await tab.login("ada")
    await tab.write(secret=1)
    attacker = tab.twin()
    await tab.login("bob")
    assert await tab.read() == {}
    assert await attacker.user() is None
