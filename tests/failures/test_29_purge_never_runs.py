"""29. The purge never runs: sessions that expire without any traffic are freed within two
intervals.
"""

from __future__ import annotations

import weakref

import pytest

from lembro import MemoryStore, SessionManager
from lembro.stores.memory import purger
from lembro.testing import FakeClock

MANY = 500
INTERVAL = 100.0


class Timer:
    """The stop signal that the purge thread waits for: each wait advances a fake clock."""

    def __init__(self, clock: FakeClock, until: float) -> None:
        self._clock = clock
        self._until = until

    def acquire(self, *, timeout: float) -> bool:
        """Let the time pass. Return whether the thread has to stop."""
        if self._clock() + timeout > self._until:
            return True
        self._clock.advance(timeout)
        return False


@pytest.mark.parametrize("idle", [1, 50, 99, 100, 101, 160, 199, 12_345])
def test_expired_sessions_are_freed_without_traffic(
    monkeypatch: pytest.MonkeyPatch, idle: int
) -> None:
    started: list[tuple[MemoryStore, float]] = []
    monkeypatch.setattr(purger, "start", lambda store, seconds: started.append((store, seconds)))
    clock = FakeClock()
    store = MemoryStore(interval=INTERVAL, clock=clock)
    manager = SessionManager(store, idle_timeout=idle)
    empty = store.stats().used
    for number in range(MANY):
        manager.create({"number": number})
    [(its_store, seconds)] = started
    assert its_store is store
    deadline = clock() + idle
    purger._run(weakref.ref(store), Timer(clock, deadline + 2 * INTERVAL), seconds)  # type: ignore[arg-type]
    assert clock() <= deadline + 2 * INTERVAL
    stats = store.stats()
    assert (stats.sessions, stats.expired, stats.purge_errors) == (0, MANY, 0)
    assert stats.used < empty + 100 * MANY
