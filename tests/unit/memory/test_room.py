"""Room for a write: who has to go and how many, and what is done ahead of need and what is not.
Each step alone, with the numbers set to the byte."""

from __future__ import annotations

from math import inf

import pytest

from lembro.errors import SessionTooLarge
from lembro.stores.memory.layout import HEADER
from lembro.stores.memory.linked_lists import NONE
from lembro.stores.memory.overflow import allocated
from tests.support.place import FULL, PLENTY, SEGMENT, Place, key

# --- what a write needs


@pytest.mark.parametrize(
    ("size", "outside", "need"),
    [
        (120, 0, 0),  # what is left of the open segment, to the byte
        (128, 0, SEGMENT),
        (120, 1000, 1000),
        (128, 1000, SEGMENT + 1000),
    ],
)
def test_what_fits_to_the_byte_costs_nobody_their_session(
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
def test_so_many_go_that_a_sixteenth_of_the_segments_is_dead(
    place: Place, missing: int, gone: int, outside: int
) -> None:
    place.fill(0, 200)
    parts = place.parts
    parts.ledger.live_limit = parts.arena.live_total + 128 + outside - missing
    parts.reclaim.make_room(128, outside, place.now)
    assert parts.counters.evicted == gone
    assert place.there(range(200)) == list(range(gone, 200)), "the least recently used"


def test_of_what_fits_never_more_than_eight_go_at_a_time(place: Place) -> None:
    place.fill(0, 200)
    place.parts.ledger.live_limit = 0
    place.parts.reclaim.make_room(128, 0, place.now)
    assert place.parts.counters.evicted == 8


def test_the_expired_count_among_the_eight(place: Place) -> None:
    place.fill(0, 100)
    place.fill(100, 5, idle=5)
    place.fill(200, 30)
    place.is_due(10)
    parts = place.parts
    parts.ledger.live_limit = 0
    parts.reclaim.make_room(128, 0, place.now)
    assert (parts.counters.expired, parts.counters.evicted) == (5, 3)


@pytest.mark.parametrize(("living", "expired"), [(63, 1), (64, 0)])
def test_sixty_four_records_are_looked_at_before_one_goes(
    place: Place, living: int, expired: int
) -> None:
    size = 80  # of which more than a hundred lie in a segment
    place.fill(0, living, size)
    place.add(1000, size, idle=5)
    place.is_due(10)
    parts = place.parts
    parts.ledger.live_limit = 0
    parts.reclaim.make_room(size, 0, place.now)
    assert (parts.counters.expired, parts.counters.evicted) == (expired, 8 - expired)


def test_who_makes_room_for_itself_stays(place: Place) -> None:
    place.fill(0, 3)
    parts = place.parts
    slot = parts.index.find(key(2))
    parts.ledger.live_limit = 0
    parts.reclaim.make_room(128, 0, place.now, spare=slot)
    assert parts.counters.evicted == 2
    assert place.there(range(3)) == [2]


def test_what_is_dead_is_taken_before_anybody_goes(place: Place) -> None:
    place.fill(0, 10 * FULL)
    place.destroy(range(0, 10 * FULL, 2))
    parts = place.parts
    segments = parts.arena.in_use()
    place.bound(SEGMENT - 1)
    parts.reclaim.make_room(SEGMENT // 4, 0, place.now)
    assert parts.counters.evicted == 0
    assert len(set(segments) - set(parts.arena.in_use())) == 1
    assert parts.reclaim.under_pressure


def test_where_it_fits_nothing_is_evacuated(place: Place) -> None:
    place.fill(0, 10 * FULL)
    place.destroy(range(0, 10 * FULL, 2))
    parts = place.parts
    held = parts.arena.held
    parts.ledger.live_limit = 0
    parts.reclaim.make_room(128, 0, place.now)
    assert parts.counters.evicted == 8
    assert parts.arena.held == held


def test_what_was_forgotten_is_given_back_before_anything_else(place: Place) -> None:
    place.fill(0, 10 * FULL)
    parts = place.parts
    parts.clear()
    place.fill(5000, FULL)
    assert parts.arena.stale == 9
    place.bound(-1)
    parts.reclaim.make_room(128, 0, place.now)
    assert parts.arena.stale == 7
    assert not parts.reclaim.under_pressure


def test_what_does_not_fit_into_an_empty_store_is_refused_with_its_size(place: Place) -> None:
    parts = place.parts
    parts.ledger.max_size = parts.ledger.fixed
    parts.ledger.update()
    with pytest.raises(SessionTooLarge) as error:
        parts.reclaim.make_room(128, 1000, place.now)
    assert error.value.size == 1128


# --- after a write


@pytest.mark.parametrize(("due", "more"), [(0, False), (7, False), (8, True), (9, True)])
def test_a_write_looks_at_eight_records_that_are_due(place: Place, due: int, more: bool) -> None:
    place.fill(0, due, idle=5)
    place.is_due(10)
    parts = place.parts
    parts.reclaim.after_write(place.now)
    assert parts.counters.expired == min(due, 8)
    assert parts.reclaim.busy_at == (-inf if more else parts.wheel.next)
    assert parts.wheel.next > place.now or more


def test_a_write_lets_the_tables_shrink_by_eight_slots(place: Place) -> None:
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


def test_pressure_goes_on_until_a_write_finds_nothing_to_do(place: Place) -> None:
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


def test_without_pressure_nobody_goes_ahead_of_need(place: Place) -> None:
    place.fill(0, 100)
    place.parts.ledger.target = 0
    place.clock.advance(10_000)
    place.parts.reclaim.after_write(place.now)
    assert place.parts.counters.evicted == 0


# --- ahead of need


@pytest.mark.parametrize(("seconds", "gone"), [(899, 0), (900, 8), (5000, 8)])
def test_who_was_not_seen_for_a_quarter_of_an_hour_goes_ahead_of_need(
    place: Place, seconds: int, gone: int
) -> None:
    place.fill(0, 100)
    parts = place.parts
    parts.ledger.target, parts.reclaim.under_pressure = 0, True
    place.clock.advance(seconds)
    parts.reclaim.ease_pressure(place.now)
    assert parts.counters.evicted == gone
    assert parts.reclaim.under_pressure == (gone > 0), "there may be more to do"


def test_the_logged_in_never_go_ahead_of_need(place: Place) -> None:
    for n in range(100):
        place.add(n, user=f"user{n}")
    parts = place.parts
    parts.ledger.target, parts.reclaim.under_pressure = 0, True
    place.clock.advance(10_000)
    parts.reclaim.ease_pressure(place.now)
    assert parts.counters.evicted == 0
    assert not parts.reclaim.under_pressure


@pytest.mark.parametrize(("above", "gone"), [(0, 0), (1, 1), (2 * allocated(5000), 2)])
def test_ahead_of_need_goes_what_is_above_the_target(place: Place, above: int, gone: int) -> None:
    place.fill(0, 20, HEADER + 5000)
    parts = place.parts
    place.clock.advance(1000)
    parts.ledger.target, parts.reclaim.under_pressure = parts.ledger.used - above, True
    assert parts.reclaim.is_too_full()
    parts.reclaim.ease_pressure(place.now)
    assert parts.counters.evicted == gone
    assert not parts.reclaim.under_pressure


def test_ahead_of_need_one_segment_is_evacuated_at_a_time(place: Place) -> None:
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


def test_ahead_of_need_nothing_is_evacuated_that_gives_nothing(place: Place) -> None:
    place.fill(0, 10 * FULL)
    parts = place.parts
    place.clock.advance(1000)
    parts.ledger.target, parts.reclaim.under_pressure = parts.ledger.used - 1, True
    parts.arena.live_total -= 5 * SEGMENT  # as if it were little
    assert not parts.reclaim.is_too_full()
    parts.reclaim.ease_pressure(place.now)
    parts.arena.live_total += 5 * SEGMENT
    assert parts.counters.evicted == 0
    assert not parts.reclaim.under_pressure


def test_when_evacuating_alone_is_not_enough(place: Place) -> None:
    """Two of the segments that the target leaves room for, and a thirty-second, do not count."""
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


# --- down to the target, step by step


def test_a_step_down_gives_back_what_was_forgotten(place: Place) -> None:
    place.fill(0, 10 * FULL)
    parts = place.parts
    parts.clear()
    place.fill(5000, 4)
    parts.ledger.target = parts.ledger.used
    assert parts.reclaim.reduce_step(place.now) == NONE, "it is reached"
    parts.ledger.target = parts.ledger.used - 1
    assert parts.arena.stale == 9
    assert parts.reclaim.reduce_step(place.now) == 0
    assert parts.arena.stale == 8
    assert parts.records.count == 4


def test_a_step_down_evacuates_a_segment_where_that_is_enough(place: Place) -> None:
    place.fill(0, 10 * FULL)
    place.destroy(range(0, 10 * FULL, 2))
    parts = place.parts
    parts.ledger.target = parts.ledger.used - 1
    assert not parts.reclaim.is_too_full()
    segments = parts.arena.in_use()
    assert parts.reclaim.reduce_step(place.now) == 0
    assert len(set(segments) - set(parts.arena.in_use())) == 1
    assert parts.counters.evicted == 0


def test_a_step_down_evicts_one_where_it_is_not(place: Place) -> None:
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
def test_a_segment_is_evacuated_of_which_an_eighth_is_dead(
    place: Place, dead: int, step: int
) -> None:
    place.fill(0, FULL + 1)
    place.destroy(range(dead))
    parts = place.parts
    assert parts.compaction.compact_step(place.now) == step
    assert len(parts.arena.in_use()) == (2 if step == NONE else 1)
    assert place.there(range(100)) == list(range(dead, FULL + 1))
