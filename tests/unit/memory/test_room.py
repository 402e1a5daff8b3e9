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
    core = place.core
    core.live_limit = PLENTY
    core.busy_at = 5.0
    core.limit = core.used + need
    core._make_room(size, outside, place.now)
    assert (core.evicted, core._pressed, core.busy_at) == (0, False, 5.0)
    core.limit = core.used + need - 1
    core._make_room(size, outside, place.now)
    assert core.evicted > 0
    assert (core._pressed, core.busy_at) == (True, -inf)


@pytest.mark.parametrize(
    ("missing", "gone"), [(0, 0), (1, 1), (128, 1), (129, 2), (7 * 128, 7), (7 * 128 + 1, 8)]
)
@pytest.mark.parametrize("outside", [0, 1000])
def test_so_many_go_that_a_sixteenth_of_the_segments_is_dead(
    place: Place, missing: int, gone: int, outside: int
) -> None:
    place.fill(0, 200)
    core = place.core
    core.live_limit = core.arena.live_total + 128 + outside - missing
    core._make_room(128, outside, place.now)
    assert core.evicted == gone
    assert place.there(range(200)) == list(range(gone, 200)), "the least recently used"


def test_of_what_fits_never_more_than_eight_go_at_a_time(place: Place) -> None:
    place.fill(0, 200)
    place.core.live_limit = 0
    place.core._make_room(128, 0, place.now)
    assert place.core.evicted == 8


def test_the_expired_count_among_the_eight(place: Place) -> None:
    place.fill(0, 100)
    place.fill(100, 5, idle=5)
    place.fill(200, 30)
    place.is_due(10)
    core = place.core
    core.live_limit = 0
    core._make_room(128, 0, place.now)
    assert (core.expired, core.evicted) == (5, 3)


@pytest.mark.parametrize(("living", "expired"), [(63, 1), (64, 0)])
def test_sixty_four_records_are_looked_at_before_one_goes(
    place: Place, living: int, expired: int
) -> None:
    size = 80  # of which more than a hundred lie in a segment
    place.fill(0, living, size)
    place.add(1000, size, idle=5)
    place.is_due(10)
    core = place.core
    core.live_limit = 0
    core._make_room(size, 0, place.now)
    assert (core.expired, core.evicted) == (expired, 8 - expired)


def test_who_makes_room_for_itself_stays(place: Place) -> None:
    place.fill(0, 3)
    core = place.core
    slot = core.index.find(key(2))
    core.live_limit = 0
    core._make_room(128, 0, place.now, spare=slot)
    assert core.evicted == 2
    assert place.there(range(3)) == [2]


def test_what_is_dead_is_taken_before_anybody_goes(place: Place) -> None:
    place.fill(0, 10 * FULL)
    place.destroy(range(0, 10 * FULL, 2))
    core = place.core
    segments = core.arena.in_use()
    place.bound(SEGMENT - 1)
    core._make_room(SEGMENT // 4, 0, place.now)
    assert core.evicted == 0
    assert len(set(segments) - set(core.arena.in_use())) == 1
    assert core._pressed


def test_where_it_fits_nothing_is_evacuated(place: Place) -> None:
    place.fill(0, 10 * FULL)
    place.destroy(range(0, 10 * FULL, 2))
    core = place.core
    held = core.arena.held
    core.live_limit = 0
    core._make_room(128, 0, place.now)
    assert core.evicted == 8
    assert core.arena.held == held


def test_what_was_forgotten_is_given_back_before_anything_else(place: Place) -> None:
    place.fill(0, 10 * FULL)
    core = place.core
    core.clear()
    place.fill(5000, FULL)
    assert core.arena.stale == 9
    place.bound(-1)
    core._make_room(128, 0, place.now)
    assert core.arena.stale == 7
    assert not core._pressed


def test_what_does_not_fit_into_an_empty_store_is_refused_with_its_size(place: Place) -> None:
    core = place.core
    core.max_size = core.fixed
    core.account()
    with pytest.raises(SessionTooLarge) as error:
        core._make_room(128, 1000, place.now)
    assert error.value.size == 1128


# --- after a write


@pytest.mark.parametrize(("due", "more"), [(0, False), (7, False), (8, True), (9, True)])
def test_a_write_looks_at_eight_records_that_are_due(place: Place, due: int, more: bool) -> None:
    place.fill(0, due, idle=5)
    place.is_due(10)
    core = place.core
    core._settle(place.now)
    assert core.expired == min(due, 8)
    assert core.busy_at == (-inf if more else core.wheel.next)
    assert core.wheel.next > place.now or more


def test_a_write_lets_the_tables_shrink_by_eight_slots(place: Place) -> None:
    place.fill(0, 300)
    place.destroy(range(270))
    core = place.core
    capacity = core.slots.edge
    core._settle(place.now)
    assert core.slots.edge == capacity - 8
    assert core.busy_at == -inf
    assert core.compact_step(place.now) == 0
    assert core.slots.edge == capacity - 10
    for _ in range(1000):
        core._settle(place.now)
    assert core.busy_at == core.wheel.next
    assert core.compact_step(place.now) == NONE
    assert place.there(range(300)) == list(range(270, 300))


def test_pressure_goes_on_until_a_write_finds_nothing_to_do(place: Place) -> None:
    place.fill(0, 100)
    core = place.core
    core.wheel.gather(place.now)
    core._pressed = True
    core.target = 0
    place.clock.advance(900)
    for _ in range(12):
        core._settle(place.now)
        assert core._pressed
        assert core.busy_at == -inf
    assert core.evicted == 96
    core._settle(place.now)
    assert not core._pressed
    assert core.evicted == 100


def test_without_pressure_nobody_goes_ahead_of_need(place: Place) -> None:
    place.fill(0, 100)
    place.core.target = 0
    place.clock.advance(10_000)
    place.core._settle(place.now)
    assert place.core.evicted == 0


# --- ahead of need


@pytest.mark.parametrize(("seconds", "gone"), [(899, 0), (900, 8), (5000, 8)])
def test_who_was_not_seen_for_a_quarter_of_an_hour_goes_ahead_of_need(
    place: Place, seconds: int, gone: int
) -> None:
    place.fill(0, 100)
    core = place.core
    core.target, core._pressed = 0, True
    place.clock.advance(seconds)
    core._ease(place.now)
    assert core.evicted == gone
    assert core._pressed == (gone > 0), "there may be more to do"


def test_the_logged_in_never_go_ahead_of_need(place: Place) -> None:
    for n in range(100):
        place.add(n, user=f"user{n}")
    core = place.core
    core.target, core._pressed = 0, True
    place.clock.advance(10_000)
    core._ease(place.now)
    assert core.evicted == 0
    assert not core._pressed


@pytest.mark.parametrize(("above", "gone"), [(0, 0), (1, 1), (2 * allocated(5000), 2)])
def test_ahead_of_need_goes_what_is_above_the_target(place: Place, above: int, gone: int) -> None:
    place.fill(0, 20, HEADER + 5000)
    core = place.core
    place.clock.advance(1000)
    core.target, core._pressed = core.used - above, True
    assert core._is_too_full()
    core._ease(place.now)
    assert core.evicted == gone
    assert not core._pressed


def test_ahead_of_need_one_segment_is_evacuated_at_a_time(place: Place) -> None:
    place.fill(0, 10 * FULL)
    place.destroy(range(0, 10 * FULL, 2))
    core = place.core
    core.target, core._pressed = core.used - SEGMENT, True
    place.clock.advance(1000)
    segments = core.arena.in_use()
    core._ease(place.now)
    assert core.evicted == 0
    assert core._pressed
    assert len(set(segments) - set(core.arena.in_use())) == 1
    assert place.there(range(10 * FULL)) == list(range(1, 10 * FULL, 2))


def test_ahead_of_need_nothing_is_evacuated_that_gives_nothing(place: Place) -> None:
    place.fill(0, 10 * FULL)
    core = place.core
    place.clock.advance(1000)
    core.target, core._pressed = core.used - 1, True
    core.arena.live_total -= 5 * SEGMENT  # as if it were little
    assert not core._is_too_full()
    core._ease(place.now)
    core.arena.live_total += 5 * SEGMENT
    assert core.evicted == 0
    assert not core._pressed


def test_when_evacuating_alone_is_not_enough(place: Place) -> None:
    """Two of the segments that the target leaves room for, and a thirty-second, do not count."""
    place.fill(0, 10 * FULL)
    place.fill(5000, 3, HEADER + 5000)
    core, arena = place.core, place.core.arena
    outside = core.used - arena.held
    assert outside > 3 * 5000
    core.target = outside + (2 + 32) * SEGMENT
    live = arena.live_total
    arena.live_total = 31 * SEGMENT
    assert not core._is_too_full()
    arena.live_total += 1
    assert core._is_too_full()
    arena.live_total = live


# --- down to the target, step by step


def test_a_step_down_gives_back_what_was_forgotten(place: Place) -> None:
    place.fill(0, 10 * FULL)
    core = place.core
    core.clear()
    place.fill(5000, 4)
    core.target = core.used
    assert core.step_down(place.now) == NONE, "it is reached"
    core.target = core.used - 1
    assert core.arena.stale == 9
    assert core.step_down(place.now) == 0
    assert core.arena.stale == 8
    assert core.records == 4


def test_a_step_down_evacuates_a_segment_where_that_is_enough(place: Place) -> None:
    place.fill(0, 10 * FULL)
    place.destroy(range(0, 10 * FULL, 2))
    core = place.core
    core.target = core.used - 1
    assert not core._is_too_full()
    segments = core.arena.in_use()
    assert core.step_down(place.now) == 0
    assert len(set(segments) - set(core.arena.in_use())) == 1
    assert core.evicted == 0


def test_a_step_down_evicts_one_where_it_is_not(place: Place) -> None:
    place.fill(0, 10 * FULL)
    place.destroy(range(0, 10 * FULL, 2))
    core = place.core
    core.target = core.used // 2
    assert core._is_too_full()
    segments = core.arena.in_use()
    assert [core.step_down(place.now) for _ in range(3)] == [1, 1, 1]
    assert core.evicted == 3
    assert core.arena.in_use() == segments


@pytest.mark.parametrize(("dead", "step"), [(7, NONE), (8, 0)])
def test_a_segment_is_evacuated_of_which_an_eighth_is_dead(
    place: Place, dead: int, step: int
) -> None:
    place.fill(0, FULL + 1)
    place.destroy(range(dead))
    core = place.core
    assert core.evacuate_step(place.now) == step
    assert len(core.arena.in_use()) == (2 if step == NONE else 1)
    assert place.there(range(100)) == list(range(dead, FULL + 1))
