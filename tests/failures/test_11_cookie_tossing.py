"""11. Cookie tossing, duplicates (USENIX Security 2023): two different values of one name that both
lead to a session are ignored.

The order makes no difference, nothing is overwritten, and an event says what to do. A value without
a session does not count (row 84).
"""

from __future__ import annotations

import pytest

from lembro.ids import new_id
from tests.support.visits import COOKIE, SECURE_COOKIE, World, look, write

pytestmark = pytest.mark.anyio


@pytest.mark.parametrize("attackers_first", [True, False])
@pytest.mark.parametrize("in_one_header", [True, False])
async def test_two_different_cookies_are_both_ignored(
    world: World, attackers_first: bool, in_one_header: bool
) -> None:
    victim, attacker = world.tab(), world.tab()
    await victim.login("ada")
    await attacker.login("eve")
    pairs = [f"{COOKIE}={tab.cookie}".encode() for tab in (victim, attacker)]
    if attackers_first:
        pairs.reverse()
    cookies = [b"; ".join(pairs)] if in_one_header else pairs

    answer = await world.tab().visit(look, cookies=cookies)
    assert answer.result == {}
    answer = await world.tab().visit(write(card="4111"), cookies=cookies)
    assert not answer.set_cookies  # it would add a third cookie

    assert await victim.read() == {}
    assert await attacker.read() == {}
    assert await victim.user() == "ada"
    assert world.backend.records() == 2
    assert "several cookies" in world.heard("rejected")[0].reason
    assert "several cookies" in world.heard("dropped")[0].reason


async def test_a_logout_with_two_cookies_ends_neither_session(world: World) -> None:
    victim, attacker = world.tab(), world.tab()
    await victim.login("ada")
    await attacker.login("eve")
    cookies = [f"{COOKIE}={victim.cookie}; {COOKIE}={attacker.cookie}".encode()]
    answer = await world.tab().visit(lambda visit: visit.session.logout(), cookies=cookies)
    assert not answer.set_cookies
    assert await victim.user() == "ada"
    assert await attacker.user() == "eve"


async def test_a_login_with_two_cookies_works(world: World) -> None:
    cookies = [f"{COOKIE}={new_id()}; {COOKIE}={new_id()}".encode()]
    tab = world.tab()
    answer = await tab.visit(lambda visit: visit.session.login("ada"), cookies=cookies)
    assert answer.sets_session
    assert await tab.user() == "ada"


async def test_the_same_value_twice_is_accepted(world: World) -> None:
    tab = world.tab()
    await tab.write(a=1)
    cookies = [f"{COOKIE}={tab.cookie}; other=1; {COOKIE}={tab.cookie}".encode()]
    assert (await world.tab().visit(look, cookies=cookies)).result == {"a": 1}


async def test_over_https_a_plain_cookie_cannot_interfere(world: World) -> None:
    """A sibling domain or a plain http page can set `sid`, but never `__Host-sid`."""
    victim = world.tab(https=True)
    await victim.login("ada")
    cookies = [f"{COOKIE}={new_id()}; {SECURE_COOKIE}={victim.cookie}".encode()]
    answer = await world.tab(https=True).visit(lambda visit: visit.session.user_id, cookies=cookies)
    assert answer.result == "ada"
