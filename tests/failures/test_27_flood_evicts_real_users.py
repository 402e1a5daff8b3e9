"""27. A flood evicts real users (CVE-2015-5963): 1,000 users are logged in, and visitors write
100,000 sessions.

All 1,000 users keep their sessions.
"""

from __future__ import annotations

import logging
from hashlib import sha256
from typing import Final

import pytest

from lembro import MemoryStore, Record, SessionManager
from lembro._core import codec
from lembro.testing import FakeClock
from tests.support.visits import World
from tests.support.worlds import FILE_KINDS, PLAIN_KINDS, SESSION_KINDS, Build, only

DAY: Final = 86400


def test_a_hundred_thousand_visitors_evict_no_user(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "lembro")  # without a log line for each session
    clock = FakeClock()
    store = MemoryStore("1M", clock=clock)
    manager = SessionManager(store)
    ids = [manager.create({"cart": [number]}, user_id=f"user-{number}") for number in range(1000)]
    for number in range(10_000):
        clock.advance(0.001)
        manager.create({"bot": number})
    for number in range(10_000, 100_000):  # directly, because this takes a third of the time
        clock.advance(0.001)
        record = Record(codec.encode({}, {"bot": number}))
        store.add(sha256(b"%d" % number).digest(), record, idle=DAY, life=30 * DAY)
    assert [manager.get(session_id) for session_id in ids] == [
        {"cart": [number]} for number in range(1000)
    ]
    stats = store.stats()
    assert stats.used <= stats.max_size
    assert stats.evicted > 90_000


@only(SESSION_KINDS)
@pytest.mark.anyio
async def test_requests_of_many_visitors_evict_no_user(build: Build) -> None:
    world: World = build(store={"max_size": "64K"})
    users = [world.tab() for _ in range(50)]
    for number, tab in enumerate(users):
        await tab.login(f"user-{number}")
        await tab.write(number=number)
    for number in range(450):
        world.clock.advance(0.001)
        assert (await world.tab().write(bot=number)).status == 200
    assert [await tab.user() for tab in users] == [f"user-{number}" for number in range(50)]
    assert world.backend.memory.stats().evicted > 100
    world.backend.check()


@only([kind for kind in FILE_KINDS if kind[0].name in ("asgi", "wsgi")])
@pytest.mark.anyio
async def test_requests_of_many_visitors_evict_no_user_from_a_file(build: Build) -> None:
    world: World = build(store={"max_size": "1M"})
    users = [world.tab() for _ in range(30)]
    for number, tab in enumerate(users):
        await tab.login(f"user-{number}")
    for number in range(1000):
        world.clock.advance(0.001)
        assert (await world.tab().write(bot="x" * 500)).status == 200, number
    assert [await tab.user() for tab in users] == [f"user-{number}" for number in range(30)]
    assert world.backend.records() < 900
    world.backend.check()


@only(PLAIN_KINDS)
@pytest.mark.anyio
async def test_repeated_logins_of_one_user_evict_no_other_user(build: Build) -> None:
    """The logins fill the user's own cap."""
    world: World = build(store={"max_size": "80K"})
    users = [world.tab() for _ in range(50)]
    for number, tab in enumerate(users):
        await tab.login(f"user-{number}")
    for _ in range(130):
        world.clock.advance(0.001)
        await world.tab().login("bot")
    assert world.backend.live() == 50 + 100
    assert [await tab.user() for tab in users] == [f"user-{number}" for number in range(50)]
    world.backend.check()


def test_large_sessions_of_one_user_evict_no_other_user() -> None:
    """Forty of the largest sessions exceed the room of the store before the cap of sessions."""
    clock = FakeClock()
    manager = SessionManager(MemoryStore("4M", clock=clock))
    ids = [manager.create({"cart": [number]}, user_id=f"user-{number}") for number in range(1000)]
    bots = []
    for _ in range(40):
        clock.advance(1)
        bots.append(manager.create({"x": "x" * 250_000}, user_id="bot"))
    assert all(manager.get(session_id) for session_id in ids)
    assert manager.get(bots[-1]) is not None


@only(SESSION_KINDS)
@pytest.mark.anyio
async def test_requests_with_large_sessions_of_one_user_evict_no_other_user(build: Build) -> None:
    world: World = build(store={"max_size": "128K"})
    users = [world.tab() for _ in range(50)]
    for number, tab in enumerate(users):
        await tab.login(f"user-{number}")
    bot = world.tab()
    for _ in range(40):
        world.clock.advance(1)
        bot = world.tab()
        await bot.login("bot")
        assert (await bot.write(x="x" * 7000)).status == 200
    assert [await tab.user() for tab in users] == [f"user-{number}" for number in range(50)]
    assert await bot.user() == "bot"
    world.backend.check()


@pytest.mark.parametrize("again", ["login", "regenerate"])
def test_repeated_rotations_of_one_session_evict_no_other_user(again: str) -> None:
    """Each rotation leaves a rotated key of a logged-in user."""
    clock = FakeClock()
    store = MemoryStore("80K", clock=clock)
    manager = SessionManager(store)
    ids = [manager.create({"n": number}, user_id=f"user-{number}") for number in range(50)]
    bot: str | None = manager.create({"bot": True}, user_id="bot")
    first = before = bot
    for _ in range(600):
        clock.advance(0.01)
        session = manager.load(bot)
        session.login("bot") if again == "login" else session.regenerate_id()
        session.save()
        bot, before = session.issued_id, bot
    assert all(manager.get(session_id) for session_id in ids)
    assert store.stats().rotated <= 64
    assert before is not None
    assert manager.get(before) == {"bot": True}, "the latest rotated ID is still followed"
    assert first is not None
    assert manager.get(first) is None
