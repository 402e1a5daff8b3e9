"""A session for a legacy cookie, its mark, and the memory for the marks."""

from __future__ import annotations

from typing import Any

import pytest

from lembro import MemoryStore, Record
from lembro.stores.base import MARK, Found
from lembro.stores.memory.linked_lists import NONE
from lembro.stores.memory.marks import STEPS, Marks
from lembro.stores.memory.user_share import MANY, UserShare
from lembro.testing import FakeClock
from tests.support.memory import add, alive, fill, key, recounted


def adopt(store: MemoryStore, number: int, record: Record, **lives: float) -> Found | None:
    mark = MARK + number.to_bytes(24, "big")
    times: dict[str, Any] = {"idle": 100.0, "life": 1000.0, "grace": 500.0, **lives}
    return store.replace(mark, key(number), record, expected=None, **times)


def test_a_mark_ends_at_its_deadline() -> None:
    marks = Marks(64 * 1024)
    marks.reserve()
    marks.put(key(1), key(2), 0.0, 100.0)
    assert marks.get(key(1), 99.9) is not None
    assert marks.get(key(1), 100.0) is None
    assert [marks.expire_step(now) for now in (99.9, 100.0, 100.0)] == [NONE, 1, NONE]


def test_a_new_mark_removes_eight_expired_ones() -> None:
    marks = Marks(64 * 1024)
    marks.reserve()
    for number in range(20):
        marks.put(key(number), key(99), 0.0, 100.0)
    assert marks.has_room(100.0, anonymous=False)
    assert (marks.count, STEPS) == (12, 8)


def test_an_adopted_session_has_the_age_and_the_times_that_were_given(store: MemoryStore) -> None:
    found = adopt(store, 1, Record(b"x", age=30.0))
    assert found is not None
    assert (found.age, found.idle_left, found.life_left) == (30.0, 100.0, 1000.0)
    found = adopt(store, 2, Record(b"x"), idle=2000.0)
    assert found is not None
    assert found.idle_left == 1000.0


def test_adopted_sessions_stay_within_the_memory(store: MemoryStore) -> None:
    fill(store, 0, 200)
    for number in range(1000, 1040):
        assert adopt(store, number, Record(b"x" * 2000, f"user-{number}")) is not None
        assert store._parts.ledger.used <= store._parts.ledger.limit
    recounted(store)


def test_each_adoption_removes_expired_sessions(store: MemoryStore, clock: FakeClock) -> None:
    for number in range(16):
        add(store, number, idle=1)
    adopt(store, 50, Record(b"x"))
    clock.advance(20)
    adopt(store, 51, Record(b"x"))
    assert store._parts.records.count < 18


@pytest.mark.parametrize(
    ("more", "user", "noted"), [(0, "heidi", False), (8, "heidi", True), (8, None, False)]
)
def test_an_adopted_session_above_a_part_of_a_users_share_is_noted(
    more: int, user: str | None, noted: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[tuple[bytes, int]] = []
    monkeypatch.setattr(UserShare, "note", lambda _, *args: seen.append(args))
    store = MemoryStore("1M")
    parts = store._parts
    size = parts.user_share.share // MANY + more
    head, _ = parts.limits.measure(b"heidi", Record(b""))
    payload = b"x" * (size - head)
    assert adopt(store, 1, Record(payload, user)) is not None
    assert seen == ([(b"heidi", size)] if noted else [])


# -- the memory for the marks ----------------------------------------------------------------------


def test_memory_that_clear_has_left_is_used_before_a_session_is_evicted() -> None:
    store = MemoryStore("256K", clock=FakeClock())
    fill(store, 0, 1500, 100)
    store._parts.clear()
    fill(store, 0, 20, 100)
    store.reserve_marks()
    assert store._parts.adoption.marks.size
    assert alive(store, range(20)) == list(range(20))


@pytest.mark.parametrize("kind", ["full", "sparse", "cleared"])
def test_each_step_of_reserving_returns_0_until_the_memory_is_reserved(kind: str) -> None:
    """Only a full store evicts sessions."""
    clock = FakeClock()
    store = MemoryStore("256K", clock=clock)
    fill(store, 0, 1500, 100)
    before = store.stats().evicted
    if kind == "sparse":
        for session, _ in list(store.all())[::2]:
            store.destroy(session)
    elif kind == "cleared":
        store._parts.clear()
    steps = []
    while (step := store._parts.adoption.reserve_step(clock())) != NONE:
        steps.append(step)
    assert steps
    assert set(steps) == {0}
    assert (store.stats().evicted > before) == (kind == "full")
    recounted(store)


def test_what_lives_fits_after_the_memory_was_reserved() -> None:
    """Otherwise the next write would have to evict many sessions at once."""
    for count in range(45, 60):
        store = MemoryStore("64K", clock=FakeClock())
        fill(store, 0, count)
        store.reserve_marks()
        assert store._parts.arena.live_total <= store._parts.ledger.live_limit


@pytest.mark.parametrize(
    ("excess", "missing", "reserved", "evicts"),
    [
        (0, 0, True, False),
        (1, 0, False, True),
        (0, 1, False, False),
        (1, 1, False, True),
    ],
)
def test_one_byte_more_needs_another_step(
    excess: int, missing: int, reserved: bool, evicts: bool
) -> None:
    """If too much lives, a session is evicted. Otherwise a segment with dead bytes is freed."""
    clock = FakeClock()
    store = MemoryStore("256K", clock=clock)
    fill(store, 0, 100)
    for number in range(0, 100, 2):
        store.destroy(key(number))
    parts = store._parts
    budget, ledger = parts.adoption.marks.budget, parts.ledger
    ledger.live_limit = parts.arena.live_total + budget - excess
    ledger.limit = ledger.used + budget - missing
    assert (parts.adoption.reserve_step(clock()) == NONE) == reserved
    assert bool(parts.adoption.marks.size) == reserved
    assert bool(store.stats().evicted) == evicts
