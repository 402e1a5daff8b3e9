"""19. Idle or absolute timeout only: both limits hold.

A session that is used every five minutes ends at the absolute timeout, an unused one at the idle
timeout. A rotation renews neither limit; a login renews both.
"""

from __future__ import annotations

import pytest

from tests.support.visits import World, rotate
from tests.support.worlds import Build

pytestmark = pytest.mark.anyio

IDLE, ABSOLUTE, OFTEN = 600, 3600, 300


@pytest.fixture
def world(build: Build) -> World:
    return build(idle_timeout=IDLE, absolute_timeout=ABSOLUTE)


@pytest.mark.parametrize("use", ["reads", "writes", "touches"])
async def test_a_session_that_is_used_ends_at_the_absolute_timeout(world: World, use: str) -> None:
    tab = world.tab()
    await tab.login("ada")
    for number in range(1, ABSOLUTE // OFTEN):
        world.clock.advance(OFTEN)
        if use == "writes":
            await tab.write(number=number)
        elif use == "touches":
            await tab.visit(lambda visit: visit.session.touch())
        assert await tab.user() == "ada", number
    world.clock.advance(OFTEN)
    assert await tab.user() is None


async def test_a_session_that_is_not_used_ends_at_the_idle_timeout(world: World) -> None:
    tab = world.tab()
    await tab.login("ada")
    for _ in range(3):
        world.clock.advance(IDLE - 1)
        assert await tab.user() == "ada"
    world.clock.advance(IDLE)
    assert await tab.user() is None


async def test_a_page_that_does_not_use_the_session_does_not_prolong_it(world: World) -> None:
    tab = world.tab()
    await tab.login("ada")
    for _ in range(IDLE // 60):
        world.clock.advance(60)
        await tab.visit()
    assert await tab.user() is None


async def test_a_rotation_renews_no_limit(world: World) -> None:
    tab = world.tab()
    await tab.login("ada")
    for _ in range(ABSOLUTE // OFTEN - 1):
        world.clock.advance(OFTEN)
        await tab.visit(rotate)
        assert await tab.user() == "ada"
    world.clock.advance(OFTEN)
    assert await tab.user() is None


async def test_a_login_renews_both_limits(world: World) -> None:
    tab = world.tab()
    await tab.write(cart=[1])
    for _ in range(8):
        world.clock.advance(IDLE * 0.75)
        await tab.login("ada")
    assert await tab.read() == {"cart": [1]}
