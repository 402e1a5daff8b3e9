"""1. Fixation at login (CVE-2023-29019): an id that was known before the login leads nowhere after
it."""

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


async def test_the_id_from_before_leads_nowhere(world: World) -> None:
    tab = world.tab()
    await tab.write(cart=[1])
    attacker = tab.twin()
    await tab.login("ada")
    assert await attacker.read() == {}
    assert await attacker.user() is None
    answer = await attacker.write(planted=True)
    assert not answer.set_cookies
    assert await tab.read() == {"cart": [1]}


async def test_not_even_during_the_login(world: World) -> None:
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


async def test_a_login_by_hand_is_safe_as_well(world: World) -> None:
    """As applications do it that know nothing of ``login``: regenerate_id, and a key."""
    tab = world.tab()
    await tab.write(cart=[1])
    attacker = tab.twin()

    def by_hand(visit: Visit) -> None:
        visit.session.regenerate_id()
        visit.session["user_id"] = 7

    await tab.visit(by_hand)
    assert await tab.read() == {"cart": [1], "user_id": 7}
    assert await attacker.read() == {}


async def test_clear_and_then_a_key_is_no_fixation(world: World) -> None:
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
