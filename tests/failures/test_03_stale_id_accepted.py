"""3. Stale ID accepted (CVE-2018-1000519): after a logout a write begins a new session."""

from __future__ import annotations

import pytest

from tests.support.visits import World, logout

pytestmark = pytest.mark.anyio


async def test_a_write_with_the_cookie_of_an_ended_session_issues_a_new_id(world: World) -> None:
    tab = world.tab()
    await tab.login("ada")
    dead = tab.cookie
    assert dead is not None
    await tab.logout()
    late = world.tab(dead)
    answer = await late.write(a=1)
    assert answer.sets_session
    assert late.cookie != dead
    assert await late.user() is None
    assert await world.tab(dead).read() == {}


async def test_a_write_with_the_cookie_of_an_expired_session_issues_a_new_id(world: World) -> None:
    tab = world.tab()
    await tab.write(a=1)
    dead = tab.cookie
    world.clock.advance(2 * 86400)
    answer = await tab.write(b=1)
    assert answer.sets_session
    assert tab.cookie != dead
    assert await tab.read() == {"b": 1}


async def test_a_second_logout_changes_nothing(world: World) -> None:
    tab = world.tab()
    await tab.login("ada")
    dead = tab.cookie
    await tab.logout()
    answer = await world.tab(dead).visit(logout)
    assert not answer.set_cookies  # another tab may have logged in meanwhile
    assert len(world.heard("destroyed")) == 1
