"""Compaction, step by step: segments, the slot table, and clearing."""

from __future__ import annotations

import pytest

from lembro.stores.base import Record
from lembro.stores.memory import MemoryStore
from lembro.stores.memory.audit import recount
from lembro.stores.memory.layout import HEADER, LINKS
from lembro.stores.memory.linked_lists import NONE
from lembro.testing import FakeClock
from tests.support.memory import add, alive, fill, key, recounted
from tests.support.place import FULL, IDLE, RECORD, SEGMENT, Place


@pytest.mark.parametrize("then", ["fill", "large ones", "reduce", "clear"])
def test_a_cleared_store_works_before_its_memory_is_released(clock: FakeClock, then: str) -> None:
    store = MemoryStore("1M", clock=clock)
    fill(store, 0, 3000)
    evicted = store.stats().evicted
    fits = store.stats().sessions
    store._parts.clear()
    assert store._parts.arena.stale > 0
    recount(store._parts)
    if then == "fill":
        fill(store, 5000, fits - 50)
        assert store.stats().sessions == fits - 50
    elif then == "large ones":  # outside of the memory to be released
        fill(store, 5000, 12, 60_000)
        assert store.stats().sessions == 12
    elif then == "reduce":
        fill(store, 5000, 10)
        store.reduce()
        assert store.stats().sessions == 10
    else:
        store.clear()
        assert store._parts.arena.stale == 0
    assert store.stats().evicted == evicted
    assert recount(store._parts) <= store.max_size
    store.clear()
    fill(store, 0, 3000)
    assert recount(store._parts) <= store.max_size


def test_the_tables_shrink_after_most_sessions_expired(clock: FakeClock) -> None:
    store = MemoryStore("4M", interval=10, clock=clock)
    before = store._parts.ledger.used
    for n in range(5000):
        add(store, n, size=10, user=f"u{n % 700}" if n % 2 else None, idle=10 if n % 50 else 1e6)
    full = store._parts.ledger.used
    clock.advance(11)
    assert store.purge() == 4900
    recounted(store)
    assert store.length() == 100
    assert store._parts.ledger.used - before < (full - before) / 10
    assert len(alive(store, range(0, 5000, 50))) == 100


def test_logged_in_sessions_are_found_after_the_table_has_shrunk(clock: FakeClock) -> None:
    store = MemoryStore("4M", interval=10, clock=clock)
    for n in range(2000):
        add(store, n, size=20, user=f"user{n % 50}")
    for n in range(1900):
        store.destroy(key(n))
    store.purge()
    assert store._parts.slots.capacity < 500
    recounted(store)
    for n in range(50):
        assert [k for k, _ in store.of_user(f"user{n}")] == [key(1900 + n), key(1950 + n)]
    assert len(store.destroy_user("user7")) == 2
    recounted(store)


def test_the_records_of_a_compacted_segment_are_in_the_open_one(place: Place) -> None:
    place.fill(0, 40)
    place.add(40, user="ana")
    place.add(41, HEADER + 5000)
    place.add(42, HEADER + LINKS + 3 + 5000, user="bob")
    place.fill(100, FULL)
    place.destroy(range(30))
    parts = place.parts
    before = dict(place.store.all())
    segments = parts.arena.in_use()
    live = parts.arena.live_total
    parts.compaction.compact(segments[0])
    assert dict(place.store.all()) == before
    assert segments[0] not in parts.arena.in_use()
    assert parts.arena.live_total == live
    recount(parts)


def test_a_record_that_became_shorter_takes_less_after_it_was_moved(place: Place) -> None:
    place.fill(0, FULL + 1)
    parts = place.parts
    was = b"x" * (RECORD - HEADER)
    for n, left in ((0, 1), (1, 7), (2, 8), (3, 20)):
        record = Record(b"y" * (RECORD - HEADER - left))
        assert place.store.set(key(n), record, expected=was, idle=IDLE) is not None
    sizes = parts.queues.sizes[0]
    parts.compaction.compact(parts.arena.in_use()[0])
    sizes_now = [parts.reader.size(parts.index.find(key(n))) for n in range(5)]
    assert sizes_now == [
        128,
        128,
        120,
        112,
        128,
    ]
    assert parts.queues.sizes[0] == sizes - 8 - 16
    recount(parts)


def test_a_moved_record_expires_in_time(place: Place) -> None:
    """This holds also if the open segment had no room for all records."""
    place.add(0, idle=20)
    place.fill(1, FULL - 2)
    place.add(2000, idle=30)
    place.fill(100, FULL - 20)
    parts = place.parts
    parts.compaction.compact(parts.arena.in_use()[0])
    recount(parts)
    assert len(parts.arena.in_use()) == 2
    place.clock.advance(21)
    assert place.store.purge() == 1
    place.clock.advance(10)
    assert place.store.purge() == 1


def test_a_segment_that_is_being_swept_may_be_compacted(place: Place) -> None:
    place.add(0, idle=5)
    place.fill(1, FULL, idle=50)
    place.is_due(10)
    parts = place.parts
    assert parts.sweep.step(place.now) == 1
    assert parts.wheel.sweeping == parts.arena.in_use()[0]
    parts.compaction.compact(parts.wheel.sweeping)
    assert parts.wheel.sweeping == NONE
    recount(parts)
    place.clock.advance(50)
    assert place.store.purge() == FULL


def test_compacting_another_segment_does_not_end_the_sweep(place: Place) -> None:
    place.add(0, idle=5)
    place.fill(1, 2 * FULL)
    place.is_due(10)
    parts = place.parts
    assert parts.sweep.step(place.now) == 1
    sweeping = parts.wheel.sweeping
    other = next(segment for segment in parts.arena.in_use()[1:] if segment != parts.arena.open)
    parts.compaction.compact(other)
    assert parts.wheel.sweeping == sweeping
    assert parts.sweep.step(place.now) == 0


def test_a_compacted_segment_is_not_counted(place: Place) -> None:
    place.fill(0, FULL + 1)
    place.destroy(range(40))
    parts = place.parts
    used = parts.ledger.used
    parts.compaction.compact(parts.arena.in_use()[0])
    assert parts.ledger.used == used - SEGMENT
    recount(parts)


def test_the_open_segment_is_filled_to_its_last_byte_before_another_is_opened(
    place: Place,
) -> None:
    place.fill(0, 2)
    place.add(2, size=120)
    place.fill(3, FULL - 3)
    place.fill(1000, FULL - 1)
    place.destroy(range(1))
    place.destroy(range(3, FULL))
    parts = place.parts
    parts.compaction.compact(parts.arena.in_use()[0])
    assert len(parts.arena.in_use()) == 1
    assert parts.arena.at == parts.arena.end


def test_the_slot_table_is_halved_when_three_quarters_are_unused(place: Place) -> None:
    place.fill(0, 600)
    parts = place.parts
    capacity = parts.slots.capacity
    quarter = capacity // 4
    assert capacity > 512
    place.destroy(range(quarter + 1, 600))
    assert parts.records.count == quarter + 1
    assert not parts.compaction.shrink(8)
    place.destroy(range(quarter, quarter + 1))
    assert parts.compaction.shrink(8)
    assert parts.slots.edge == capacity - 8
    used = parts.ledger.used
    while parts.slots.capacity == capacity:
        assert parts.compaction.shrink(8)
    assert parts.slots.capacity == parts.slots.edge == capacity // 2
    assert parts.ledger.used < used
    assert place.there(range(600)) == list(range(quarter))


def test_halving_continues_if_the_table_fills_meanwhile(place: Place) -> None:
    place.fill(0, 600)
    parts = place.parts
    capacity = parts.slots.capacity
    place.destroy(range(100, 600))
    assert parts.compaction.shrink(8)
    place.fill(1000, 100)
    assert parts.records.count * 4 > capacity
    assert parts.compaction.shrink(8)
    recount(parts)


def test_a_small_table_does_not_shrink(place: Place) -> None:
    parts = place.parts
    while parts.slots.capacity < 256:
        parts.slots.grow()
    parts.slots.capacity = parts.slots.edge = 256
    parts.ledger.update()
    assert not parts.compaction.shrink(8)
    parts.slots.capacity = parts.slots.edge = 257
    parts.ledger.update()
    assert parts.compaction.shrink(8)


def test_the_table_does_not_shrink_during_an_iteration(place: Place) -> None:
    place.fill(0, 600)
    place.destroy(range(50, 600))
    parts = place.parts
    reader = object()
    parts.compaction.readers.add(reader)
    assert not parts.compaction.shrink(8)
    parts.compaction.readers.remove(reader)
    assert parts.compaction.shrink(8)


def test_records_in_high_slots_move_to_low_ones(place: Place) -> None:
    place.fill(0, 600)
    place.destroy(range(560))
    parts = place.parts
    while parts.compaction.shrink(16):
        recount(parts)
    assert parts.slots.capacity <= 256
    assert place.there(range(600)) == list(range(560, 600))


def test_records_with_a_large_payload_are_removed_one_by_one(place: Place) -> None:
    place.fill(0, 3)
    place.fill(100, 2, HEADER + 5000)
    parts = place.parts
    assert [parts.compaction.remove_overflow_step(place.now) for _ in range(3)] == [0, 0, NONE]
    assert place.there(range(200)) == [0, 1, 2]
    assert parts.counters.evicted == parts.counters.expired == 0
