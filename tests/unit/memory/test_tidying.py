"""What goes on beside the verbs, step by step: looking for what has expired, evacuating segments,
letting tables shrink, forgetting all."""

from __future__ import annotations

from lembro.stores.base import Record
from lembro.stores.memory.audit import recount
from lembro.stores.memory.layout import HEADER, LINKS
from lembro.stores.memory.linked_lists import NONE
from lembro.stores.memory.user_index import user_tag
from tests.support.place import FULL, IDLE, RECORD, SEGMENT, Place, key

# --- looking for what has expired


def test_each_look_is_at_one_record_and_says_what_it_was(place: Place) -> None:
    place.add(0, idle=5)
    place.add(1)
    place.add(2, idle=10)  # to the second
    place.add(3, idle=11)
    place.is_due(10)
    parts = place.parts
    assert [parts.sweep.step(place.now) for _ in range(4)] == [1, 0, 1, 0]
    assert parts.sweep.step(place.now) == 0, "the end of the segment"
    assert parts.sweep.step(place.now) == NONE
    assert parts.counters.expired == 2
    assert place.there(range(4)) == [1, 3]
    segment = parts.arena.open
    assert parts.wheel.bound[segment] == place.now + 1, "the soonest of those that stay"


def test_what_expires_sooner_while_its_segment_is_looked_through_is_found(place: Place) -> None:
    for n in range(4):
        place.add(n, idle=5 if n == 0 else IDLE)
    place.is_due(10)
    parts = place.parts
    assert [parts.sweep.step(place.now) for _ in range(2)] == [1, 0]
    assert place.store.touch(key(1), idle=7)
    while parts.sweep.step(place.now) != NONE:
        pass
    recount(parts)
    place.is_due(8)
    assert parts.sweep.step(place.now) == 1


def test_a_turn_of_the_wheel_is_a_look_at_nobody(place: Place) -> None:
    place.add(0, idle=6)
    parts = place.parts
    assert parts.sweep.step(place.now) == NONE
    place.clock.advance(7)
    assert parts.sweep.step(place.now) == 0
    assert parts.sweep.step(place.now) == NONE, "its bucket has not come round"
    place.clock.advance(5)
    assert parts.sweep.step(place.now) == 1


def test_dead_records_are_passed_over_in_the_same_look(place: Place) -> None:
    place.fill(0, 50, idle=5)
    place.destroy(range(1, 49))
    place.is_due(10)
    parts = place.parts
    assert [parts.sweep.step(place.now) for _ in range(2)] == [1, 1]
    assert parts.records.count == 0


def test_dead_records_of_slots_that_are_gone_are_passed_over(place: Place) -> None:
    place.fill(0, 300)
    place.add(300, idle=5)
    place.destroy(range(300))
    parts = place.parts
    while parts.compaction.shrink_step(place.now) != NONE:
        pass
    assert parts.slots.capacity <= 256
    place.is_due(10)
    assert place.store.purge() == 1
    assert parts.records.count == 0


# --- evacuating


def test_what_lay_in_a_segment_lies_in_the_open_one(place: Place) -> None:
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


def test_a_record_that_has_become_shorter_takes_less_when_it_moves(place: Place) -> None:
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


def test_what_is_due_is_found_where_it_was_moved_to(place: Place) -> None:
    """Also if the open segment had no room for all."""
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


def test_a_segment_that_is_being_looked_through_may_be_evacuated(place: Place) -> None:
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


def test_another_segment_is_evacuated_and_the_look_goes_on(place: Place) -> None:
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


def test_the_memory_of_an_evacuated_segment_is_counted_no_more(place: Place) -> None:
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


# --- tables


def test_a_table_is_halved_when_three_quarters_are_unused(place: Place) -> None:
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


def test_it_is_halved_to_the_end_also_if_it_fills_meanwhile(place: Place) -> None:
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


def test_while_somebody_iterates_slots_keep_their_numbers(place: Place) -> None:
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


# --- what lies outside, and forgetting all


def test_large_ones_go_one_at_a_time(place: Place) -> None:
    place.fill(0, 3)
    place.fill(100, 2, HEADER + 5000)
    parts = place.parts
    assert [parts.compaction.remove_overflow_step(place.now) for _ in range(3)] == [0, 0, NONE]
    assert place.there(range(200)) == [0, 1, 2]
    assert parts.counters.evicted == parts.counters.expired == 0


def test_what_is_forgotten_leaves_nothing(place: Place) -> None:
    empty = place.parts.ledger.used
    for n in range(50):
        place.add(n, user="ana", size=2000)
    place.fill(100, 2, HEADER + 5000)
    place.add(200, idle=5)
    place.is_due(10)
    parts = place.parts
    parts.sweep.step(place.now)
    assert parts.wheel.sweeping != NONE
    parts.reclaim.under_pressure = True
    parts.user_share.heavy.add(user_tag(b"ana"))
    stale = len(parts.arena.in_use())
    parts.clear()
    assert (parts.records.count, parts.reclaim.under_pressure, parts.wheel.sweeping) == (
        0,
        False,
        NONE,
    )
    assert parts.user_share.heavy == set()
    assert parts.ledger.used == empty + stale * SEGMENT
    recount(parts)
    given_back = [parts.compaction.give_back_step(place.now) for _ in range(stale + 1)]
    assert given_back == [0] * stale + [NONE]
    assert parts.ledger.used == empty
    assert place.store.of_user("ana") == []
