"""82. A few large anonymous sessions evict all newcomers: 30 requests of 4 MB against 100,000
visitors.

The large sessions evict each other, and nearly all visitors keep theirs.
"""

from __future__ import annotations

import logging

import pytest

from lembro import MemoryStore, SessionManager
from lembro.testing import FakeClock
from tests.support.visits import World
from tests.support.worlds import CORE_KINDS, Build, only


@pytest.mark.parametrize("known_for", [0, 30, 120, 1200], ids=lambda age: f"known for {age} s")
@pytest.mark.parametrize("grows", [False, True], ids=["new", "grown"])
def test_thirty_of_the_largest_sessions_evict_few_visitors(
    caplog: pytest.LogCaptureFixture, known_for: int, grows: bool
) -> None:
    caplog.set_level(logging.INFO, "lembro")  # one debug line a session takes too long
    clock = FakeClock()
    # A 64th of the store and of the visitors that the docstring names.
    store = MemoryStore("1M", clock=clock)
    manager = SessionManager(store)
    ids = [manager.create({"cart": [number] * 200}) for number in range(1560)]
    bots = [manager.create({"bot": number}) for number in range(30 if grows else 0)]
    clock.advance(known_for)
    for session_id in ids + bots:
        manager.touch(session_id)
    there = store.stats().sessions
    for number in range(30):
        clock.advance(0.1)
        large = {"x": "x" * 64_000}
        if grows:
            assert manager.set(bots[number], large)
        else:
            manager.create(large)
    kept = sum(manager.get(session_id) is not None for session_id in ids)
    assert kept > there * 0.85
    stats = store.stats()
    assert stats.used <= stats.max_size


def test_large_sessions_that_wait_leave_newcomers_their_floor() -> None:
    """After ten seconds they are in a higher tier, and newcomers keep a fifth of the store."""
    clock = FakeClock()
    store = MemoryStore("1M", clock=clock)
    manager = SessionManager(store)
    bots = [manager.create({"bot": number}) for number in range(30)]
    clock.advance(11)
    ids = [manager.create({"cart": [number] * 200}) for number in range(1560)]
    for bot in bots:
        manager.set(bot, {"x": "x" * 64_000})
    stats = store.stats()
    assert stats.tiers[1] < 16
    kept = sum(manager.get(session_id) is not None for session_id in ids)
    assert kept > len(ids) * 0.15


@only(CORE_KINDS)
@pytest.mark.anyio
async def test_requests_with_large_sessions_evict_few_visitors(build: Build) -> None:
    world: World = build(store={"max_size": "128K"})
    visitors = [world.tab() for _ in range(60)]
    for number, tab in enumerate(visitors):
        await tab.write(number=number, page="x" * 400)
    bot = world.tab()
    for _ in range(30):
        world.clock.advance(0.1)
        bot = world.tab()
        assert (await bot.write(x="x" * 7000)).status == 200
    assert await bot.read() == {"x": "x" * 7000}, "the latest session is stored"
    kept = [number for number, tab in enumerate(visitors) if await tab.read()]
    assert len(kept) > 48
    world.backend.check()
