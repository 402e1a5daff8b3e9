"""The sweep, step by step."""

from __future__ import annotations

from lembro.stores.memory.audit import recount
from lembro.stores.memory.linked_lists import NONE
from tests.support.memory import key
from tests.support.place import IDLE, Place


def test_each_step_checks_one_record(place: Place) -> None:
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
    assert parts.wheel.bound[segment] == place.now + 1, (
        "the earliest deadline of the remaining ones"
    )


def test_a_deadline_lowered_during_the_sweep_of_its_segment_is_kept(place: Place) -> None:
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


def test_a_step_may_only_advance_the_wheel(place: Place) -> None:
    place.add(0, idle=6)
    parts = place.parts
    assert parts.sweep.step(place.now) == NONE
    place.clock.advance(7)
    assert parts.sweep.step(place.now) == 0
    assert parts.sweep.step(place.now) == NONE, "its bucket is not reached yet"
    place.clock.advance(5)
    assert parts.sweep.step(place.now) == 1


def test_dead_records_are_skipped_in_the_same_step(place: Place) -> None:
    place.fill(0, 50, idle=5)
    place.destroy(range(1, 49))
    place.is_due(10)
    parts = place.parts
    assert [parts.sweep.step(place.now) for _ in range(2)] == [1, 1]
    assert parts.records.count == 0


def test_dead_records_of_dropped_slots_are_skipped(place: Place) -> None:
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


def test_a_limited_step_stops_after_its_limit_of_removals(place: Place) -> None:
    place.fill(0, 5, idle=5)
    place.is_due(10)
    step = place.parts.sweep.limited(3)
    assert [step(place.now) for _ in range(4)] == [1, 1, 1, NONE]
    assert place.parts.records.count == 2
    assert place.parts.sweep.limited(0)(place.now) == NONE
    step = place.parts.sweep.limited(None)
    assert [step(place.now) for _ in range(2)] == [1, 1]
    assert place.parts.records.count == 0


def test_a_limited_step_does_not_count_a_check_without_a_due_segment(place: Place) -> None:
    step = place.parts.sweep.limited(1)
    assert [step(place.now) for _ in range(2)] == [NONE, NONE]
    place.fill(0, 2, idle=5)
    place.is_due(10)
    assert [step(place.now) for _ in range(2)] == [1, NONE]
