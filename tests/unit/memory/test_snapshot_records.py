"""Records are written to a snapshot and read back unchanged."""

from __future__ import annotations

from collections.abc import Callable
from math import inf, nan
from pathlib import Path

import pytest

from lembro.stores.base import MARK, NO_ROOM, Found, Record
from lembro.stores.memory import MemoryStore
from lembro.stores.memory.layout import HAS_USER
from lembro.stores.memory.snapshot import Entry, Invalid
from lembro.stores.memory.snapshot_records import restore
from lembro.testing import FakeClock
from tests.support.memory import add, alive, key, recounted

Open = Callable[..., MemoryStore]


@pytest.fixture
def opened(tmp_path: Path) -> Open:
    """Return a function that makes a store with the snapshot of this test and a clock of its own,
    which begins at another time."""
    begin = [1000.0]

    def opened(size: str = "1M", **keywords: object) -> MemoryStore:
        begin[0] *= 3
        clock = FakeClock(begin[0])
        path = tmp_path / "sessions.bin"
        return MemoryStore(size, clock=clock, snapshot=path, **keywords)  # type: ignore[arg-type]

    return opened


def wait(store: MemoryStore, seconds: float) -> None:
    store._now._clock.advance(seconds)  # type: ignore[attr-defined]


def close_to(found: Found | None, other: Found | None) -> bool:
    """Return whether two records are the same, but for the time that a restart takes."""
    assert found is not None
    assert other is not None
    assert (found.payload, found.user, found.successor, found.reputation) == (
        *(other.payload, other.user, other.successor, other.reputation),
    )
    times = (found.age, found.idle_left, found.life_left)
    return times == pytest.approx((other.age, other.idle_left, other.life_left), abs=5)


def test_each_kind_of_record_comes_back(opened: Open) -> None:
    store = opened()
    reputation = store.new_reputation()
    wait(store, 100)
    records = [
        Record(b"plain"),
        Record(b"x" * 60_000),
        Record(b"user", "heidi \ud800", None, reputation, 50.0),
        Record(b"known", None, None, store.new_reputation()),
        Record(b"", ""),
    ]
    for n, record in enumerate(records):
        assert store.add(key(n), record, idle=1000, life=inf if n else 5000)
    for n, user in ((10, "peter"), (12, None)):
        store.add(key(n), Record(b"old", user), idle=1000, life=2000)
        args = {"expected": b"old", "idle": 1000, "life": 2000, "grace": 100}
        store.replace(key(n), key(n + 1), Record(b"new", user), **args)  # type: ignore[arg-type]
    add(store, 20, idle=1)
    wait(store, 2)
    numbers = [0, 1, 2, 3, 4, 10, 11, 12, 13]
    before = {n: store.get(key(n)) for n in numbers}
    store.close()
    after = opened()
    assert all(close_to(after.get(key(n)), before[n]) for n in numbers)
    assert after.get(key(20)) is None
    assert after.stats().sessions == 7
    assert after.stats().rotated == 2
    assert [found.payload for _, found in after.of_user("peter")] == [b"new"]
    assert after.stats().tiers[-1] == 3
    recounted(after)


def test_marks_come_back(opened: Open) -> None:
    store = opened("64K")
    store.reserve_marks()
    args = {"expected": None, "idle": 1000, "life": 2000, "grace": 500}
    for n in range(3):
        mark = MARK + bytes(23) + bytes([n])
        assert store.replace(mark, key(n), Record(b"x"), **args)  # type: ignore[arg-type]
        args["grace"] = 1 if n == 1 else 500
    wait(store, 2)
    store.close()
    after = opened("64K")
    for n, there in enumerate((True, True, False)):
        found = after.get(MARK + bytes(23) + bytes([n]))
        assert (found is not None) == there
        assert found is None or found.successor == key(n)
    recounted(after)


def test_a_closed_table_of_marks_stays_closed(opened: Open) -> None:
    store = opened("64K")
    store.reserve_marks()
    store.get(key(0))
    store._parts.adoption.marks.close(store._now() + 500)
    store.close()
    found = opened("64K").get(MARK + bytes(24))
    assert found is not None
    assert found.payload == NO_ROOM
    assert 490 < found.idle_left <= 500


def test_marks_that_have_no_room_close_the_table(opened: Open) -> None:
    store = opened("1M")
    store.reserve_marks()
    for n in range(200):
        mark = MARK + n.to_bytes(24, "big")
        args = {"expected": None, "idle": 1000, "life": 2000, "grace": 500}
        store.replace(mark, key(n), Record(b"x", "u"), **args)  # type: ignore[arg-type]
    store.close()
    after = opened("64K")
    assert 0 < after._parts.adoption.marks.count < 200 or after.get(MARK + bytes(24))
    found = after.get(MARK + b"unknown".ljust(24))
    assert found is not None
    assert found.payload == NO_ROOM


def test_a_smaller_store_keeps_the_sessions_that_were_used_last(opened: Open) -> None:
    store = opened("1M")
    for n in range(1000):
        add(store, n)
        if n % 100 == 99:
            wait(store, 2)
    store.get(key(0))
    store.close()
    after = opened("64K")
    kept = alive(after, range(1000))
    assert kept[0] == 0
    assert 20 < len(kept) < 200
    assert kept[1:] == list(range(1001 - len(kept), 1000))
    recounted(after)


def test_a_session_that_is_too_large_for_the_new_store_is_left_out(opened: Open) -> None:
    store = opened("1M")
    add(store, 1, size=50_000, user="heidi")
    add(store, 2)
    store.close()
    assert alive(opened("1M", max_session_size="4K"), range(3)) == [2]


def entry(**changes: object) -> Entry:
    return Entry(key(1), 0, 5.0, 60.0, 90.0, 0.0, b"", b"x")._replace(**changes)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"age": -1.0}, "impossible times"),
        ({"age": nan}, "impossible times"),
        ({"unused": nan}, "impossible times"),
        ({"life_left": 1.0}, "impossible times"),
        ({"life_left": nan}, "impossible times"),
        ({"flags": HAS_USER, "user": b"\xff"}, "a user that is not text"),
    ],
)
def test_an_impossible_entry_is_refused(changes: dict[str, object], reason: str) -> None:
    """Without a secret, anyone who can write the file can make one."""
    with pytest.raises(Invalid, match=reason):
        restore(MemoryStore("64K")._parts, [entry(**changes)], 0.0, 0.0)


def test_an_entry_that_comes_twice_counts_once(clock: FakeClock) -> None:
    store = MemoryStore("64K", clock=clock)
    entries = [entry(), entry(payload=b"second"), entry(key=key(2), idle_left=9.0)]
    assert restore(store._parts, entries, 10.0, clock()) == 1
    found = store.get(key(1))
    assert found is not None
    assert found.payload == b"x"
    assert found.idle_left == 50.0
