"""19. Idle or absolute only: both limits hold. Used each minute, a session is dead at the absolute
limit; not used, at the idle one; a rotation renews neither, a login does."""

from __future__ import annotations

import pytest

from tests.support.visits import World, rotate
from tests.support.worlds import Build

pytestmark = pytest.mark.anyio

IDLE, ABSOLUTE = 600, 3600


@pytest.fixture
def world(build: Build) -> World:
    return build(idle_timeout=IDLE, absolute_timeout=ABSOLUTE)


@pytest.mark.parametrize("use", ["reads", "writes", "touches"])
async def test_used_each_minute(world: World, use: str) -> None:
    tab = world.tab()
    await tab.login("ada")
    for minute in range(1, ABSOLUTE // 60):
        world.clock.advance(60)
        if use == "writes":
            await tab.write(minute=minute)
        elif use == "touches":
            await tab.visit(lambda visit: visit.session.touch())
        assert await tab.user() == "ada", minute
    world.clock.advance(60)
    assert await tab.user() is None


async def test_not_used(world: World) -> None:
    tab = world.tab()
    await tab.login("ada")
    for _ in range(3):
        world.clock.advance(IDLE - 1)
        assert await tab.user() == "ada"
    world.clock.advance(IDLE)
    assert await tab.user() is None


async def test_looking_at_other_pages_is_no_use_of_the_session(world: World) -> None:
    tab = world.tab()
    await tab.login("ada")
    for _ in range(IDLE // 60):
        world.clock.advance(60)
        await tab.visit()
    assert await tab.user() is None


async def test_a_rotation_renews_nothing(world: World) -> None:
    tab = world.tab()
    await tab.login("ada")
    for _ in range(ABSOLUTE // 60 - 1):
        world.clock.advance(60)
        await tab.visit(rotate)
        assert await tab.user() == "ada"
    world.clock.advance(60)
    assert await tab.user() is None


async def test_a_login_begins_anew(world: World) -> None:
    tab = world.tab()
    await tab.write(cart=[1])
    for _ in range(8):
        world.clock.advance(IDLE * 0.75)
        await tab.login("ada")
    assert await tab.read() == {"cart": [1]}
