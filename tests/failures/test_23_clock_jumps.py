"""23. Clock jumps: the wall clock is set ten years forward or back.

No session ends earlier or later, and none is touched, logged out or renewed by it.
"""

from __future__ import annotations

import time

import pytest

from tests.support.visits import Visit, World
from tests.support.worlds import MEMORY_KINDS, Build, only

pytestmark = pytest.mark.anyio

TEN_YEARS = 10 * 365 * 86400


@only(MEMORY_KINDS)
@pytest.mark.parametrize("jump", [TEN_YEARS, -TEN_YEARS], ids=["forward", "back"])
async def test_a_jump_of_the_wall_clock_changes_nothing(
    build: Build, monkeypatch: pytest.MonkeyPatch, jump: int
) -> None:
    # The store is created after the wall clock was replaced, so it would read the replaced clock.
    real, shift = time.time, [0.0]
    monkeypatch.setattr(time, "time", lambda: real() + shift[0])
    world: World = build(store={"clock": None}, idle_timeout=3600, absolute_timeout=7200)
    tab = world.tab()
    await tab.login("ada")
    await tab.write(a=1)
    (before,) = await world.call("user_sessions", "ada")

    shift[0] = jump

    def recent(visit: Visit) -> None:
        visit.session.require_recent(60)

    assert await tab.read() == {"a": 1}
    assert (await tab.visit(recent)).error is None
    assert not (await tab.write(b=1)).set_cookies
    await tab.visit(lambda visit: visit.session.regenerate_id())
    await tab.visit(lambda visit: visit.session.touch())
    assert await tab.read() == {"a": 1, "b": 1}
    found = next(iter(world.backend.memory.of_user("ada")))[1]
    assert 3590 < found.idle_left <= 3600
    assert 7190 < found.life_left <= 7200
    assert found.age < 10
    assert before.age < 10
    assert world.backend.memory.purge() == 0


@only(MEMORY_KINDS)
async def test_a_jump_back_of_the_stores_clock_ends_no_session(build: Build) -> None:
    """The store's time stops until the clock has caught up, so no session ends early or lives
    forever.
    """
    world: World = build(idle_timeout=3600, absolute_timeout=7200)
    tab = world.tab()
    await tab.login("ada")
    world.clock.now -= TEN_YEARS
    assert await tab.user() == "ada"
    await tab.write(a=1)
    await tab.visit(lambda visit: visit.session.touch())
    world.clock.now += TEN_YEARS
    world.clock.advance(3599)
    assert await tab.user() == "ada"
    world.clock.advance(3601)
    assert await tab.user() is None


async def test_require_recent_uses_the_stores_clock(build: Build) -> None:
    world: World = build()
    tab = world.tab()
    await tab.login("ada")
    world.clock.advance(601)
    answer = await tab.visit(lambda visit: visit.session.require_recent(600))
    assert (answer.status, answer.error) == (401, None)
