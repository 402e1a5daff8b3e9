"""Reclaim: what a write evicts, and what is evicted and compacted ahead of need.

Each step is called alone, with numbers that are exact to the byte.
"""

from __future__ import annotations

from math import inf

import pytest

from lembro.errors import SessionTooLarge
from lembro.stores.base import Record
from lembro.stores.memory import MemoryStore
from lembro.stores.memory.layout import HEADER
from lembro.stores.memory.linked_lists import NONE
from lembro.stores.memory.overflow import allocated
from lembro.testing import FakeClock
from tests.support.memory import add, alive, fill, key, recounted
from tests.support.place import FULL, PLENTY, RECORD, SEGMENT, Place

# --- room for a write


@pytest.mark.parametrize(
    ("size", "outside", "need"),
    [
        (120, 0, 0),  # the rest of the open segment, in bytes
        (128, 0, SEGMENT),
        (120, 1000, 1000),
        (128, 1000, SEGMENT + 1000),
    ],
)
def test_a_write_that_fits_to_the_byte_evicts_nobody(
    place: Place, size: int, outside: int, need: int
) -> None:
    place.fill(0, FULL)
    parts = place.parts
    parts.ledger.live_limit = PLENTY
    parts.reclaim.busy_at = 5.0
    parts.ledger.limit = parts.ledger.used + need
    parts.reclaim.make_room(size, outside, place.now)
    assert (parts.counters.evicted, parts.reclaim.under_pressure, parts.reclaim.busy_at) == (
        0,
        False,
        5.0,
    )
    parts.ledger.limit = parts.ledger.used + need - 1
    parts.reclaim.make_room(size, outside, place.now)
    assert parts.counters.evicted > 0
    assert (parts.reclaim.under_pressure, parts.reclaim.busy_at) == (True, -inf)


@pytest.mark.parametrize(
    ("missing", "gone"), [(0, 0), (1, 1), (128, 1), (129, 2), (7 * 128, 7), (7 * 128 + 1, 8)]
)
@pytest.mark.parametrize("outside", [0, 1000])
def test_a_sixteenth_of_the_segments_is_kept_dead(
    place: Place, missing: int, gone: int, outside: int
) -> None:
    place.fill(0, 200)
    parts = place.parts
    parts.ledger.live_limit = parts.arena.live_total + 128 + outside - missing
    parts.reclaim.make_room(128, outside, place.now)
    assert parts.counters.evicted == gone
    assert place.there(range(200)) == list(range(gone, 200)), "the least recently used"


def test_a_write_that_fits_evicts_at_most_eight(place: Place) -> None:
    place.fill(0, 200)
    place.parts.ledger.live_limit = 0
    place.parts.reclaim.make_room(128, 0, place.now)
    assert place.parts.counters.evicted == 8


def test_expired_sessions_count_among_the_eight(place: Place) -> None:
    place.fill(0, 100)
    place.fill(100, 5, idle=5)
    place.fill(200, 30)
    place.is_due(10)
    parts = place.parts
    parts.ledger.live_limit = 0
    parts.reclaim.make_room(128, 0, place.now)
    assert (parts.counters.expired, parts.counters.evicted) == (5, 3)


@pytest.mark.parametrize(("living", "expired"), [(63, 1), (64, 0)])
def test_sixty_four_records_are_checked_before_one_is_evicted(
    place: Place, living: int, expired: int
) -> None:
    size = 80  # more than a hundred fit into a segment
    place.fill(0, living, size)
    place.add(1000, size, idle=5)
    place.is_due(10)
    parts = place.parts
    parts.ledger.live_limit = 0
    parts.reclaim.make_room(size, 0, place.now)
    assert (parts.counters.expired, parts.counters.evicted) == (expired, 8 - expired)


def test_the_spared_session_is_not_evicted(place: Place) -> None:
    place.fill(0, 3)
    parts = place.parts
    slot = parts.index.find(key(2))
    parts.ledger.live_limit = 0
    parts.reclaim.make_room(128, 0, place.now, spare=slot)
    assert parts.counters.evicted == 2
    assert place.there(range(3)) == [2]


def test_dead_bytes_are_used_before_a_session_is_evicted(place: Place) -> None:
    place.fill(0, 10 * FULL)
    place.destroy(range(0, 10 * FULL, 2))
    parts = place.parts
    segments = parts.arena.in_use()
    place.bound(SEGMENT - 1)
    parts.reclaim.make_room(SEGMENT // 4, 0, place.now)
    assert parts.counters.evicted == 0
    assert len(set(segments) - set(parts.arena.in_use())) == 1
    assert parts.reclaim.under_pressure


def test_a_write_that_fits_compacts_nothing(place: Place) -> None:
    place.fill(0, 10 * FULL)
    place.destroy(range(0, 10 * FULL, 2))
    parts = place.parts
    held = parts.arena.held
    parts.ledger.live_limit = 0
    parts.reclaim.make_room(128, 0, place.now)
    assert parts.counters.evicted == 8
    assert parts.arena.held == held


def test_cleared_segments_are_released_first(place: Place) -> None:
    place.fill(0, 10 * FULL)
    parts = place.parts
    parts.clear()
    place.fill(5000, FULL)
    assert parts.arena.stale == 9
    place.bound(-1)
    parts.reclaim.make_room(128, 0, place.now)
    assert parts.arena.stale == 7
    assert not parts.reclaim.under_pressure


def test_a_write_too_large_for_an_empty_store_is_rejected_with_its_size(place: Place) -> None:
    parts = place.parts
    parts.ledger.max_size = parts.ledger.fixed
    parts.ledger.update()
    with pytest.raises(SessionTooLarge) as error:
        parts.reclaim.make_room(128, 1000, place.now)
    assert error.value.size == 1128


# --- after a write


@pytest.mark.parametrize(("due", "more"), [(0, False), (7, False), (8, True), (9, True)])
def test_a_write_checks_eight_due_records(place: Place, due: int, more: bool) -> None:
    place.fill(0, due, idle=5)
    place.is_due(10)
    parts = place.parts
    parts.reclaim.after_write(place.now)
    assert parts.counters.expired == min(due, 8)
    assert parts.reclaim.busy_at == (-inf if more else parts.wheel.next)
    assert parts.wheel.next > place.now or more


def test_a_write_shrinks_the_slot_table_by_eight_slots(place: Place) -> None:
    place.fill(0, 300)
    place.destroy(range(270))
    parts = place.parts
    capacity = parts.slots.edge
    parts.reclaim.after_write(place.now)
    assert parts.slots.edge == capacity - 8
    assert parts.reclaim.busy_at == -inf
    assert parts.compaction.shrink_step(place.now) == 0
    assert parts.slots.edge == capacity - 10
    for _ in range(1000):
        parts.reclaim.after_write(place.now)
    assert parts.reclaim.busy_at == parts.wheel.next
    assert parts.compaction.shrink_step(place.now) == NONE
    assert place.there(range(300)) == list(range(270, 300))


def test_pressure_lasts_until_nothing_is_left_to_do(place: Place) -> None:
    place.fill(0, 100)
    parts = place.parts
    parts.wheel.collect(place.now)
    parts.reclaim.under_pressure = True
    parts.ledger.target = 0
    place.clock.advance(900)
    for _ in range(12):
        parts.reclaim.after_write(place.now)
        assert parts.reclaim.under_pressure
        assert parts.reclaim.busy_at == -inf
    assert parts.counters.evicted == 96
    parts.reclaim.after_write(place.now)
    assert not parts.reclaim.under_pressure
    assert parts.counters.evicted == 100


def test_without_pressure_no_session_is_evicted_ahead_of_need(place: Place) -> None:
    place.fill(0, 100)
    place.parts.ledger.target = 0
    place.clock.advance(10_000)
    place.parts.reclaim.after_write(place.now)
    assert place.parts.counters.evicted == 0


# --- ahead of need


@pytest.mark.parametrize(("seconds", "gone"), [(899, 0), (900, 8), (5000, 8)])
def test_a_visitor_idle_for_15_minutes_is_evicted_ahead_of_need(
    place: Place, seconds: int, gone: int
) -> None:
    place.fill(0, 100)
    parts = place.parts
    parts.ledger.target, parts.reclaim.under_pressure = 0, True
    place.clock.advance(seconds)
    parts.reclaim.ease_pressure(place.now)
    assert parts.counters.evicted == gone
    assert parts.reclaim.under_pressure == (gone > 0), "there may be more to do"


def test_logged_in_sessions_are_never_evicted_ahead_of_need(place: Place) -> None:
    for n in range(100):
        place.add(n, user=f"user{n}")
    parts = place.parts
    parts.ledger.target, parts.reclaim.under_pressure = 0, True
    place.clock.advance(10_000)
    parts.reclaim.ease_pressure(place.now)
    assert parts.counters.evicted == 0
    assert not parts.reclaim.under_pressure


@pytest.mark.parametrize(("above", "gone"), [(0, 0), (1, 1), (2 * allocated(5000), 2)])
def test_ahead_of_need_only_the_excess_over_the_target_is_evicted(
    place: Place, above: int, gone: int
) -> None:
    place.fill(0, 20, HEADER + 5000)
    parts = place.parts
    place.clock.advance(1000)
    parts.ledger.target, parts.reclaim.under_pressure = parts.ledger.used - above, True
    assert parts.reclaim.is_too_full()
    parts.reclaim.ease_pressure(place.now)
    assert parts.counters.evicted == gone
    assert not parts.reclaim.under_pressure


def test_ahead_of_need_one_segment_is_compacted_at_a_time(place: Place) -> None:
    place.fill(0, 10 * FULL)
    place.destroy(range(0, 10 * FULL, 2))
    parts = place.parts
    parts.ledger.target, parts.reclaim.under_pressure = parts.ledger.used - SEGMENT, True
    place.clock.advance(1000)
    segments = parts.arena.in_use()
    parts.reclaim.ease_pressure(place.now)
    assert parts.counters.evicted == 0
    assert parts.reclaim.under_pressure
    assert len(set(segments) - set(parts.arena.in_use())) == 1
    assert place.there(range(10 * FULL)) == list(range(1, 10 * FULL, 2))


def test_ahead_of_need_no_full_segment_is_compacted(place: Place) -> None:
    place.fill(0, 10 * FULL)
    parts = place.parts
    place.clock.advance(1000)
    parts.ledger.target, parts.reclaim.under_pressure = parts.ledger.used - 1, True
    parts.arena.live_total -= 5 * SEGMENT  # treated as if it were few
    assert not parts.reclaim.is_too_full()
    parts.reclaim.ease_pressure(place.now)
    parts.arena.live_total += 5 * SEGMENT
    assert parts.counters.evicted == 0
    assert not parts.reclaim.under_pressure


def test_compaction_alone_is_not_enough(place: Place) -> None:
    """Two segments within the target, and a thirty-second of it, do not count."""
    place.fill(0, 10 * FULL)
    place.fill(5000, 3, HEADER + 5000)
    parts, arena = place.parts, place.parts.arena
    outside = parts.ledger.used - arena.held
    assert outside > 3 * 5000
    parts.ledger.target = outside + (2 + 32) * SEGMENT
    live = arena.live_total
    arena.live_total = 31 * SEGMENT
    assert not parts.reclaim.is_too_full()
    arena.live_total += 1
    assert parts.reclaim.is_too_full()
    arena.live_total = live


# --- reducing, step by step


def test_a_reduce_step_releases_a_cleared_segment(place: Place) -> None:
    place.fill(0, 10 * FULL)
    parts = place.parts
    parts.clear()
    place.fill(5000, 4)
    parts.ledger.target = parts.ledger.used
    assert parts.reclaim.reduce_step(place.now) == NONE, "the target is reached"
    parts.ledger.target = parts.ledger.used - 1
    assert parts.arena.stale == 9
    assert parts.reclaim.reduce_step(place.now) == 0
    assert parts.arena.stale == 8
    assert parts.records.count == 4


def test_a_reduce_step_compacts_a_segment_if_that_is_enough(place: Place) -> None:
    place.fill(0, 10 * FULL)
    place.destroy(range(0, 10 * FULL, 2))
    parts = place.parts
    parts.ledger.target = parts.ledger.used - 1
    assert not parts.reclaim.is_too_full()
    segments = parts.arena.in_use()
    assert parts.reclaim.reduce_step(place.now) == 0
    assert len(set(segments) - set(parts.arena.in_use())) == 1
    assert parts.counters.evicted == 0


def test_a_reduce_step_evicts_one_session_if_compaction_is_not_enough(place: Place) -> None:
    place.fill(0, 10 * FULL)
    place.destroy(range(0, 10 * FULL, 2))
    parts = place.parts
    parts.ledger.target = parts.ledger.used // 2
    assert parts.reclaim.is_too_full()
    segments = parts.arena.in_use()
    assert [parts.reclaim.reduce_step(place.now) for _ in range(3)] == [1, 1, 1]
    assert parts.counters.evicted == 3
    assert parts.arena.in_use() == segments


@pytest.mark.parametrize(("dead", "step"), [(7, NONE), (8, 0)])
def test_a_compact_step_takes_a_segment_of_which_an_eighth_is_dead(
    place: Place, dead: int, step: int
) -> None:
    place.fill(0, FULL + 1)
    place.destroy(range(dead))
    parts = place.parts
    assert parts.compaction.compact_step(place.now) == step
    assert len(parts.arena.in_use()) == (2 if step == NONE else 1)
    assert place.there(range(100)) == list(range(dead, FULL + 1))


def test_the_largest_session_always_fits(clock: FakeClock) -> None:
    for max_size in (2**16, 2**20):
        store = MemoryStore(max_size, clock=clock, max_session_size=max_size // 4)
        largest = max_size // 4 - 200
        fill(store, 0, 400, size=0)
        assert add(store, 1000, size=largest)
        fill(store, 2000, 2000, size=0)
        last = key(3999)
        assert store.set(last, Record(b"y" * largest), expected=b"", idle=10) is not None
        options = {"expected": b"y" * largest, "idle": 60, "life": None, "grace": 10}
        found = store.replace(last, key(5000), Record(b"z" * largest), **options)  # type: ignore[arg-type]
        assert found is not None
        assert found.payload == b"z" * largest
        recounted(store)


def test_each_write_evicts_few_sessions(clock: FakeClock) -> None:
    """This holds also when all tables grow at about the same time."""
    store = MemoryStore("4M", clock=clock)
    evicted = 0
    for n in range(30_000):
        add(store, n, size=10 if n > 15_000 else 100)
        before, evicted = evicted, store.stats().evicted
        assert evicted - before <= 64
    assert evicted > 4_000
    recounted(store)


def test_expired_sessions_are_removed_before_others_are_evicted(clock: FakeClock) -> None:
    store = MemoryStore("64K", interval=10, clock=clock)
    fill(store, 0, 30)
    for n in range(100, 130):
        add(store, n, idle=5)
    clock.advance(20)
    fill(store, 200, 30)
    assert alive(store, range(30)) == list(range(30))
    assert store.stats().evicted == 0


def test_a_write_never_evicts_its_own_session(store: MemoryStore, clock: FakeClock) -> None:
    fill(store, 0, 100, size=400)
    next_to_go = alive(store, range(100))[0]
    found = store.set(key(next_to_go), Record(b"y" * 3500), expected=b"x" * 400, idle=100)
    assert found is not None
    assert found == store.get(key(next_to_go))
    assert alive(store, range(100))[0] == next_to_go


def test_ahead_of_need_only_idle_visitors_are_evicted(clock: FakeClock) -> None:
    store = MemoryStore("64K", clock=clock)
    fill(store, 0, 200)
    assert store.stats().used > 0.9 * store.max_size
    fresh = store.stats().sessions
    fill(store, 1000, 10)
    assert store.stats().sessions >= fresh - 1  # all came a moment ago: each new one evicts one
    clock.advance(901)
    least = store.max_size
    for n in range(2000, 2100):
        add(store, n, size=10)
        least = min(least, store.stats().used)
    assert least <= 0.75 * store.max_size


def test_easing_ends_when_compaction_frees_nothing(clock: FakeClock) -> None:
    """Three of these fill a segment up to a quarter, which compaction does not free."""
    store = MemoryStore("1M", interval=10, clock=clock)
    n = 0
    while not store.stats().evicted:
        n += 1
        add(store, n, size=1975)
    clock.advance(1000)  # all of them are idle
    for n in range(1000, 1060):
        add(store, n, size=1975)
    assert store.stats().used > store._parts.ledger.target
    assert store.stats().evicted < 100
    recounted(store)


def test_a_write_without_room_is_rejected(store: MemoryStore) -> None:
    """Accepted settings do not allow this case, but a write must not loop forever in it."""
    parts = store._parts
    add(store, 1, size=100)
    fill(store, 1000, 4)
    parts.ledger.max_size = parts.ledger.fixed
    parts.ledger.update()
    with pytest.raises(SessionTooLarge):
        store.set(key(1), Record(b"y" * 1000), expected=b"x" * 100, idle=10)
    assert parts.records.count == 1
    with pytest.raises(SessionTooLarge):
        add(store, 3)
    assert parts.records.count == 0
    parts.ledger.max_size = store.max_size
    parts.ledger.update()


def test_a_write_that_fits_succeeds_with_nothing_to_evict(store: MemoryStore) -> None:
    store._parts.ledger.live_limit = 0
    assert add(store, 1)
    assert store.stats().evicted == 0


def test_an_expired_session_expires_instead_of_being_evicted(place: Place) -> None:
    place.add(0, idle=10)
    place.add(1, idle=11)
    place.clock.advance(10)
    parts = place.parts
    assert parts.reclaim.evict(place.now)
    assert (parts.counters.expired, parts.counters.evicted) == (1, 0)
    assert parts.reclaim.evict(place.now)
    assert (parts.counters.expired, parts.counters.evicted) == (1, 1)
    assert not parts.reclaim.evict(place.now)
    place.store._emit_pending()
    assert place.heard == [("expired", ""), ("evicted", "memory")]


def test_a_rotated_key_is_evicted_without_an_event(place: Place) -> None:
    place.add(0)
    record = Record(b"new")
    was = b"x" * (RECORD - HEADER)
    place.store.replace(
        key(0), key(1), record, expected=was, idle=60, life=None, grace=10
    )  # fmt: skip
    parts = place.parts
    parts.ledger.target = 0
    assert [parts.reclaim.reduce_step(place.now) for _ in range(3)] == [0, 1, NONE]
    assert parts.counters.evicted == 1
    place.store._emit_pending()
    assert place.heard == [("evicted", "memory")]
