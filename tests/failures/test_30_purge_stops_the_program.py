"""30. The purge stops the program (starsessions 743 ms, express-lembro 1.2 s): half of all sessions
expire at once.

No call waits for more than a slice of the purge, and a write does only a limited part of it. The
test counts records; `python -m bench pauses` measures the time with a million sessions.
"""

from __future__ import annotations

import pytest

from lembro import MemoryStore, SessionManager
from lembro.stores.memory.sweep import Sweep
from lembro.testing import FakeClock

MANY = 8_000
LOOK = 5e-6  # assumed time to check one record, in seconds
# The bounds are fixed numbers. Bounds derived from the store's constants would hold for slices of
# any length.
IN_A_SLICE = 200  # records in a millisecond
IN_A_WRITE = 100  # records in half a millisecond


class Counted:
    """A store half of whose sessions have just expired, which counts the records checked under its
    lock.
    """

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.clock = FakeClock()
        self.store = MemoryStore("64M", interval=60, clock=self.clock)
        manager = SessionManager(self.store, idle_timeout=3600)
        soon = SessionManager(self.store, idle_timeout=60)
        for number in range(MANY // 2):
            soon.create({"n": number})
            manager.create({"n": number})
        self.clock.advance(121)
        self.looks = 0
        step, self.seconds = Sweep.step, 0.0

        def counted(sweep: Sweep, now: float) -> int:
            self.looks += 1
            self.seconds += LOOK
            return step(sweep, now)

        monkeypatch.setattr(Sweep, "step", counted)
        monkeypatch.setattr("lembro.stores.memory.slices.time.perf_counter", lambda: self.seconds)

    def taken(self) -> int:
        looks, self.looks = self.looks, 0
        return looks


@pytest.fixture
def half(monkeypatch: pytest.MonkeyPatch) -> Counted:
    return Counted(monkeypatch)


def test_the_purge_checks_a_limited_number_of_records_at_a_time(
    half: Counted, monkeypatch: pytest.MonkeyPatch
) -> None:
    slices = []

    def others_come_first(seconds: float) -> None:
        assert not half.store._lock.locked()
        slices.append(half.taken())

    monkeypatch.setattr("lembro.stores.memory.slices.time.sleep", others_come_first)
    half.store._purge_round()
    assert half.store.stats().sessions == MANY // 2
    assert sum(slices) >= MANY // 2
    assert max(slices) <= IN_A_SLICE


def test_a_write_checks_a_limited_number_of_records(half: Counted) -> None:
    manager = SessionManager(half.store)
    before, most = half.store.stats().sessions, 0
    for number in range(100):
        session_id = manager.create({"n": number})
        most = max(most, half.taken())
        manager.set(session_id, {"n": "more than before"})
        most = max(most, half.taken())
    assert 0 < most <= IN_A_WRITE
    assert half.store.stats().sessions < before


def test_a_read_checks_no_records(half: Counted) -> None:
    manager = SessionManager(half.store)
    for info in half.store.all():
        assert half.store.get(info[0]) is not None
    assert manager.stats().sessions == MANY
    assert half.taken() == 0
