"""A restart keeps the times and the payload of each record, and the share of its user."""

from __future__ import annotations

import logging
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from lembro import MemoryStore
from lembro.errors import StoreUnavailable
from lembro.stores.base import Record
from lembro.stores.memory import restart
from lembro.stores.memory.snapshot_records import in_order_of_use
from lembro.testing import FakeClock
from tests.support.memory import add, alive, key, recounted

pytest.importorskip("fcntl")

AWAY = 50.0
"""Seconds between the two processes."""


class Restarts:
    """Stores of one file, each in the process after the one before."""

    def __init__(self, path: Path, wall: SimpleNamespace) -> None:
        self._path = path
        self._wall = wall
        self.clock = FakeClock()

    def open(self, max_size: str = "1M", **options: Any) -> MemoryStore:
        return MemoryStore(max_size, snapshot=self._path, clock=self.clock, **options)

    def restart(self, store: MemoryStore, max_size: str = "1M", **options: Any) -> MemoryStore:
        store.close()
        self._wall.now += AWAY
        self.clock = FakeClock(5.0)  # each process has its own clock
        next_store = self.open(max_size, **options)
        next_store.length()
        return next_store


@pytest.fixture
def restarts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Restarts:
    wall = SimpleNamespace(now=1e9)
    monkeypatch.setattr(restart, "time", SimpleNamespace(time=lambda: wall.now))
    return Restarts(tmp_path / "sessions.bin", wall)


def test_the_last_use_is_kept(restarts: Restarts) -> None:
    store = restarts.open()
    for n in range(2):
        add(store, n)
        restarts.clock.advance(100)
    store = restarts.restart(store)
    restarts.clock.advance(1000)
    reader = store._parts.reader
    slots = in_order_of_use(store._parts)
    unused = [restarts.clock() - reader.last_used(slot) for slot in slots]
    assert unused == pytest.approx([1000 + AWAY + 200, 1000 + AWAY + 100], abs=2)


def test_sessions_that_expire_do_not_hide_later_ones(restarts: Restarts) -> None:
    store = restarts.open()
    for n, idle in enumerate((10, 1e6, 100 + AWAY / 2, 1e6)):
        add(store, n, idle=idle)
    restarts.clock.advance(100)
    store = restarts.restart(store)
    assert alive(store, range(4)) == [1, 3]


@pytest.mark.parametrize(("idle", "lives"), [(AWAY + 1, True), (AWAY, False), (AWAY - 1, False)])
def test_the_time_between_the_processes_counts(
    restarts: Restarts, idle: float, lives: bool
) -> None:
    store = restarts.open()
    add(store, 1, idle=idle)
    store = restarts.restart(store)
    assert alive(store, [1]) == ([1] if lives else [])


def test_the_marks_of_legacy_sessions_keep_their_times(restarts: Restarts) -> None:
    store = restarts.open()
    store.reserve_marks()
    store.length()
    marks = store._parts.adoption.marks
    now = restarts.clock()
    marks.put(key(1), key(2), now - 30, now + 400)
    marks.put(key(3), key(4), now - 30, now)  # it has expired
    store = restarts.restart(store)
    marks, now = store._parts.adoption.marks, restarts.clock()
    (row,) = [marks.row(number) for number in marks.rows() if marks.row(number)[3] > now]
    assert row[:2] == (key(1), key(2))
    assert row[2:] == pytest.approx((now - AWAY - 30, now - AWAY + 400), abs=1)


def test_a_table_of_marks_that_is_closed_stays_closed(restarts: Restarts) -> None:
    store = restarts.open()
    store.reserve_marks()
    store.length()
    store._parts.adoption.marks.close(restarts.clock() + 400)
    store = restarts.restart(store)
    closed_until = store._parts.adoption.marks.closed_until
    assert closed_until == pytest.approx(restarts.clock() + 400 - AWAY, abs=1)


def test_a_session_that_is_too_large_for_the_next_store_is_left_out(
    restarts: Restarts, caplog: pytest.LogCaptureFixture
) -> None:
    store = restarts.open(max_session_size="16K")
    add(store, 1, size=10_000)
    add(store, 2, size=100)
    with caplog.at_level(logging.INFO, "lembro"):
        store = restarts.restart(store, max_session_size="4K")
    assert alive(store, [1, 2]) == [2]
    assert "1 sessions were read from it" in caplog.text


def test_a_user_with_large_sessions_is_still_known(restarts: Restarts) -> None:
    store = restarts.open(max_session_size="60K")
    for n in range(4):
        add(store, n, size=50_000, user="bot")
        add(store, 10 + n, size=100, user=f"user-{n}")
        add(store, 20 + n, size=50_000)  # a visitor is no user
    heavy = store._parts.user_share.heavy
    assert len(heavy) == 1
    store = restarts.restart(store, max_session_size="60K")
    assert store._parts.user_share.heavy == heavy


def test_many_rotated_keys_fit_into_a_smaller_store(restarts: Restarts) -> None:
    store = restarts.open("256K")
    for n in range(60):
        add(store, n, size=500, user="user" * 10)
        rotated: dict[str, Any] = {"expected": b"x" * 500, "idle": 1e6, "life": 1e6, "grace": 1e5}
        assert store.replace(key(n), key(100 + n), Record(b"x" * 500, "user" * 10), **rotated)
    store = restarts.restart(store, "64K")
    assert 0 < store.length() < 60
    assert store._parts.ledger.used <= store.max_size
    recounted(store)


def test_a_change_after_the_store_was_closed_is_written_at_the_end(restarts: Restarts) -> None:
    store = restarts.open()
    add(store, 1, size=5)
    store.close()
    found = store.get(key(1))
    assert found is not None
    assert store.set(key(1), Record(b"changed"), expected=found.payload, idle=1e6)
    store._save(end=True)
    found = restarts.open().get(key(1))
    assert found is not None
    assert found.payload == b"changed"


def test_a_change_after_the_end_is_refused(restarts: Restarts) -> None:
    store = restarts.open()
    add(store, 1, size=5)
    found = store.get(key(1))
    assert found is not None
    store._save(end=True)
    with pytest.raises(StoreUnavailable, match="the process ends"):
        store.set(key(1), Record(b"changed"), expected=found.payload, idle=1e6)
    with pytest.raises(StoreUnavailable, match="the process ends"):
        add(store, 2)
