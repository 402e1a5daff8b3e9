"""29. The purge never runs: sessions expire, and nobody comes. They are gone within two
intervals."""

from __future__ import annotations

import threading

import pytest

from lembro.events import Event
from tests.support.visits import World
from tests.support.worlds import Build

pytestmark = pytest.mark.anyio

MANY = 20


async def test_without_any_traffic(build: Build) -> None:
    world: World = build(store={"interval": 0.05}, idle_timeout=60)
    expired: list[Event] = []
    all_gone = threading.Event()

    def heard(event: Event) -> None:
        expired.append(event)
        if len(expired) == MANY:
            all_gone.set()

    world.backend.memory.on("expired", heard)
    for number in range(MANY):
        await world.tab().write(number=number)
    empty = world.backend.memory.stats().used
    world.clock.advance(61)
    assert all_gone.wait(20)  # seconds for two intervals of 50 ms; it is the fact that counts
    stats = world.backend.memory.stats()
    assert stats.sessions == 0
    assert stats.used < empty
    assert stats.purge_errors == 0
