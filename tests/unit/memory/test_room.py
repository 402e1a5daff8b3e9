"""Room for a write: who has to go and how many, what is done ahead of need and what is not, when
segments are evacuated and when tables shrink. Each step alone, with the numbers set to the byte."""

from __future__ import annotations

import random
from collections.abc import Iterator
from math import inf

import pytest

from lembro.errors import SessionTooLarge
from lembro.events import Event
from lembro.stores.base import Record
from lembro.stores.memory import MemoryStore
from lembro.stores.memory.audit import recount
from lembro.stores.memory.chains import NONE
from lembro.stores.memory.core import Core
from lembro.stores.memory.large import allocated
from lembro.stores.memory.layout import HEADER, LINKS
from lembro.stores.memory.records import user_tag
from lembro.testing import FakeClock

SEGMENT = 8192
RECORD = 128  # bytes; 63 of them fill a segment but for 120
FULL = 63
PLENTY = 1 << 40
IDLE = 1e6


def key(n: int) -> bytes:
    return random.Random(n).randbytes(32)


class Place:
    """A store of 1 MB, without its thread, in which every step is taken by hand."""

    def __init__(self) -> None:
        self.clock = FakeClock()
        self.store = MemoryStore("1M", interval=10, clock=self.clock)
        self.store.close()
        self.heard: list[tuple[str, str]] = []
        for name in ("evicted", "expired"):
            self.store.on(name, self._listen)

    def _listen(self, event: Event) -> None:
        self.heard.append((event.name, event.reason))

    @property
    def core(self) -> Core:
        return self.store._core

    @property
    def now(self) -> float:
        return self.clock()

    def add(self, n: int, size: int = RECORD, user: str | None = None, idle: float = IDLE) -> None:
        """A record that takes so many bytes: in its segment, or its payload outside."""
        head = HEADER if user is None else HEADER + LINKS + len(user)
        record = Record(b"x" * (size - head), user)
        assert self.store.add(key(n), record, idle=idle, life=1e7)

    def fill(self, start: int, count: int, size: int = RECORD, idle: float = IDLE) -> None:
        for n in range(start, start + count):
            self.add(n, size, idle=idle)

    def destroy(self, numbers: range) -> None:
        for n in numbers:
            assert self.store.destroy(key(n)) is not None

    def there(self, numbers: range) -> list[int]:
        known = {k for k, _ in self.store.all()}
        return [n for n in numbers if key(n) in known]

    def is_due(self, seconds: float) -> None:
        """Later: and everything that may have expired waits to be looked at."""
        self.clock.advance(seconds)
        self.core.wheel.gather(self.now)

    def bound(self, spare: int) -> None:
        """Let the store be so large that ``spare`` bytes are free."""
        core = self.core
        core.max_size = core.used + core.max_size - core.limit + spare
        core.account()
        assert core.limit == core.used + spare

    def check(self) -> None:
        self.core.max_size = PLENTY
        self.core.account()
        recount(self.core)


@pytest.fixture
def place() -> Iterator[Place]:
    place = Place()
    yield place
    place.check()


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


# --- looking for what has expired


def test_each_look_is_at_one_record_and_says_what_it_was(place: Place) -> None:
    place.add(0, idle=5)
    place.add(1)
    place.add(2, idle=10)  # to the second
    place.add(3, idle=11)
    place.is_due(10)
    core = place.core
    assert [core.look(place.now) for _ in range(4)] == [1, 0, 1, 0]
    assert core.look(place.now) == 0, "the end of the segment"
    assert core.look(place.now) == NONE
    assert core.expired == 2
    assert place.there(range(4)) == [1, 3]
    segment = core.arena.open
    assert core.wheel.bound[segment] == place.now + 1, "the soonest of those that stay"


def test_what_expires_sooner_while_its_segment_is_looked_through_is_found(place: Place) -> None:
    for n in range(4):
        place.add(n, idle=5 if n == 0 else IDLE)
    place.is_due(10)
    core = place.core
    assert [core.look(place.now) for _ in range(2)] == [1, 0]
    assert place.store.touch(key(1), idle=7)
    while core.look(place.now) != NONE:
        pass
    recount(core)
    place.is_due(8)
    assert core.look(place.now) == 1


def test_a_turn_of_the_wheel_is_a_look_at_nobody(place: Place) -> None:
    place.add(0, idle=6)
    core = place.core
    assert core.look(place.now) == NONE
    place.clock.advance(7)
    assert core.look(place.now) == 0
    assert core.look(place.now) == NONE, "its bucket has not come round"
    place.clock.advance(5)
    assert core.look(place.now) == 1


def test_dead_records_are_passed_over_in_the_same_look(place: Place) -> None:
    place.fill(0, 50, idle=5)
    place.destroy(range(1, 49))
    place.is_due(10)
    core = place.core
    assert [core.look(place.now) for _ in range(2)] == [1, 1]
    assert core.records == 0


def test_dead_records_of_slots_that_are_gone_are_passed_over(place: Place) -> None:
    place.fill(0, 300)
    place.add(300, idle=5)
    place.destroy(range(300))
    core = place.core
    while core.compact_step(place.now) != NONE:
        pass
    assert core.slots.capacity <= 256
    place.is_due(10)
    assert place.store.purge() == 1
    assert core.records == 0


# --- who goes, and as what


def test_who_has_expired_is_not_evicted(place: Place) -> None:
    place.add(0, idle=10)
    place.add(1, idle=11)
    place.clock.advance(10)
    core = place.core
    assert core.evict(place.now)
    assert (core.expired, core.evicted) == (1, 0)
    assert core.evict(place.now)
    assert (core.expired, core.evicted) == (1, 1)
    assert not core.evict(place.now)
    place.store._tell()
    assert place.heard == [("expired", ""), ("evicted", "memory")]


def test_a_replaced_key_goes_without_a_word(place: Place) -> None:
    place.add(0)
    record = Record(b"new")
    was = b"x" * (RECORD - HEADER)
    place.store.replace(
        key(0), key(1), record, expected=was, idle=60, life=None, grace=10
    )  # fmt: skip
    core = place.core
    core.target = 0
    assert [core.step_down(place.now) for _ in range(3)] == [0, 1, NONE]
    assert core.evicted == 1
    place.store._tell()
    assert place.heard == [("evicted", "memory")]


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


# --- evacuating


def test_what_lay_in_a_segment_lies_in_the_open_one(place: Place) -> None:
    place.fill(0, 40)
    place.add(40, user="ana")
    place.add(41, HEADER + 5000)
    place.add(42, HEADER + LINKS + 3 + 5000, user="bob")
    place.fill(100, FULL)
    place.destroy(range(30))
    core = place.core
    before = dict(place.store.all())
    segments = core.arena.in_use()
    live = core.arena.live_total
    core._evacuate(segments[0])
    assert dict(place.store.all()) == before
    assert segments[0] not in core.arena.in_use()
    assert core.arena.live_total == live
    recount(core)


def test_a_record_that_has_become_shorter_takes_less_when_it_moves(place: Place) -> None:
    place.fill(0, FULL + 1)
    core = place.core
    was = b"x" * (RECORD - HEADER)
    for n, left in ((0, 1), (1, 7), (2, 8), (3, 20)):
        record = Record(b"y" * (RECORD - HEADER - left))
        assert place.store.set(key(n), record, expected=was, idle=IDLE) is not None
    sizes = core.queues.sizes[0]
    core._evacuate(core.arena.in_use()[0])
    assert [core.size(core.index.find(key(n))) for n in range(5)] == [128, 128, 120, 112, 128]
    assert core.queues.sizes[0] == sizes - 8 - 16
    recount(core)


def test_what_is_due_is_found_where_it_was_moved_to(place: Place) -> None:
    """Also if the open segment had no room for all."""
    place.add(0, idle=20)
    place.fill(1, FULL - 2)
    place.add(2000, idle=30)
    place.fill(100, FULL - 20)
    core = place.core
    core._evacuate(core.arena.in_use()[0])
    recount(core)
    assert len(core.arena.in_use()) == 2
    place.clock.advance(21)
    assert place.store.purge() == 1
    place.clock.advance(10)
    assert place.store.purge() == 1


def test_a_segment_that_is_being_looked_through_may_be_evacuated(place: Place) -> None:
    place.add(0, idle=5)
    place.fill(1, FULL, idle=50)
    place.is_due(10)
    core = place.core
    assert core.look(place.now) == 1
    assert core._sweeping == core.arena.in_use()[0]
    core._evacuate(core._sweeping)
    assert core._sweeping == NONE
    recount(core)
    place.clock.advance(50)
    assert place.store.purge() == FULL


def test_another_segment_is_evacuated_and_the_look_goes_on(place: Place) -> None:
    place.add(0, idle=5)
    place.fill(1, 2 * FULL)
    place.is_due(10)
    core = place.core
    assert core.look(place.now) == 1
    sweeping = core._sweeping
    other = next(segment for segment in core.arena.in_use()[1:] if segment != core.arena.open)
    core._evacuate(other)
    assert core._sweeping == sweeping
    assert core.look(place.now) == 0


def test_the_memory_of_an_evacuated_segment_is_counted_no_more(place: Place) -> None:
    place.fill(0, FULL + 1)
    place.destroy(range(40))
    core = place.core
    used = core.used
    core._evacuate(core.arena.in_use()[0])
    assert core.used == used - SEGMENT
    recount(core)


def test_the_open_segment_is_filled_to_its_last_byte_before_another_is_opened(
    place: Place,
) -> None:
    place.fill(0, 2)
    place.add(2, size=120)
    place.fill(3, FULL - 3)
    place.fill(1000, FULL - 1)
    place.destroy(range(1))
    place.destroy(range(3, FULL))
    core = place.core
    core._evacuate(core.arena.in_use()[0])
    assert len(core.arena.in_use()) == 1
    assert core.arena.at == core.arena.end


# --- tables


def test_a_table_is_halved_when_three_quarters_are_unused(place: Place) -> None:
    place.fill(0, 600)
    core = place.core
    capacity = core.slots.capacity
    quarter = capacity // 4
    assert capacity > 512
    place.destroy(range(quarter + 1, 600))
    assert core.records == quarter + 1
    assert not core.compact(8)
    place.destroy(range(quarter, quarter + 1))
    assert core.compact(8)
    assert core.slots.edge == capacity - 8
    used = core.used
    while core.slots.capacity == capacity:
        assert core.compact(8)
    assert core.slots.capacity == core.slots.edge == capacity // 2
    assert core.used < used
    assert place.there(range(600)) == list(range(quarter))


def test_it_is_halved_to_the_end_also_if_it_fills_meanwhile(place: Place) -> None:
    place.fill(0, 600)
    core = place.core
    capacity = core.slots.capacity
    place.destroy(range(100, 600))
    assert core.compact(8)
    place.fill(1000, 100)
    assert core.records * 4 > capacity
    assert core.compact(8)
    recount(core)


def test_a_small_table_does_not_shrink(place: Place) -> None:
    core = place.core
    while core.slots.capacity < 256:
        core.slots.grow()
    core.slots.capacity = core.slots.edge = 256
    core.account()
    assert not core.compact(8)
    core.slots.capacity = core.slots.edge = 257
    core.account()
    assert core.compact(8)


def test_while_somebody_iterates_slots_keep_their_numbers(place: Place) -> None:
    place.fill(0, 600)
    place.destroy(range(50, 600))
    core = place.core
    reader = object()
    core.readers.add(reader)
    assert not core.compact(8)
    core.readers.remove(reader)
    assert core.compact(8)


def test_records_in_high_slots_move_to_low_ones(place: Place) -> None:
    place.fill(0, 600)
    place.destroy(range(560))
    core = place.core
    while core.compact(16):
        recount(core)
    assert core.slots.capacity <= 256
    assert place.there(range(600)) == list(range(560, 600))


# --- what lies outside, and forgetting all


def test_large_ones_go_one_at_a_time(place: Place) -> None:
    place.fill(0, 3)
    place.fill(100, 2, HEADER + 5000)
    core = place.core
    assert [core.large_step(place.now) for _ in range(3)] == [0, 0, NONE]
    assert place.there(range(200)) == [0, 1, 2]
    assert core.evicted == core.expired == 0


def test_what_is_forgotten_leaves_nothing(place: Place) -> None:
    empty = place.core.used
    for n in range(50):
        place.add(n, user="ana", size=2000)
    place.fill(100, 2, HEADER + 5000)
    place.add(200, idle=5)
    place.is_due(10)
    core = place.core
    core.look(place.now)
    assert core._sweeping != NONE
    core._pressed = True
    core.heavy.add(user_tag(b"ana"))
    stale = len(core.arena.in_use())
    core.clear()
    assert (core.records, core._pressed, core._sweeping) == (0, False, NONE)
    assert core.heavy == set()
    assert core.used == empty + stale * SEGMENT
    recount(core)
    assert [core.give_back_step(place.now) for _ in range(stale + 1)] == [0] * stale + [NONE]
    assert core.used == empty
    assert place.store.of_user("ana") == []


# --- who holds more than a share


def held(place: Place, user: str) -> int:
    return place.core._held(user_tag(user.encode()))


def test_what_a_user_holds_is_what_their_sessions_take_but_for_replaced_keys(place: Place) -> None:
    place.add(0, user="ana", size=256)
    place.add(1, user="ana", size=HEADER + LINKS + 3 + 5000)
    place.add(2, user="bob")
    place.add(3)
    assert held(place, "ana") == 256 + 96 + allocated(5000)
    was = b"x" * (256 - HEADER - LINKS - 3)
    place.store.replace(
        key(0), key(4), Record(b"", "ana"), expected=was, idle=60, life=None, grace=10
    )
    assert held(place, "ana") == 96 + 96 + allocated(5000)


def test_a_token_that_looks_like_a_user_counts_for_nobody(place: Place) -> None:
    forged = user_tag(b"ana").to_bytes(8, "big") + bytes(8)
    place.add(0, user="ana")
    assert place.store.add(key(1), Record(b"", None, None, forged), idle=1, life=1)
    assert held(place, "ana") == RECORD


def test_of_very_many_sessions_the_latest_512_are_summed_up(place: Place) -> None:
    for n in range(512):
        place.add(n, user="ana")
    assert held(place, "ana") == 512 * RECORD
    place.add(512, user="ana", size=256)
    assert held(place, "ana") == 511 * RECORD + 256


def test_sessions_of_a_128th_of_a_share_are_looked_at_from_the_128th_on(place: Place) -> None:
    core = place.core
    size = core.share // 128
    for n in range(130):
        place.add(n, user="ana", size=size)
    assert held(place, "ana") > core.share
    assert core.heavy == set(), "each of them is small"
    place.add(130, user="ana", size=size + 8)
    assert core.heavy == {user_tag(b"ana")}
    core.heavy.clear()
    record = Record(b"", "ana")
    assert place.store.add(key(131), record, idle=1, life=1, per_user=(1000, "oldest"))
    assert core.heavy == {user_tag(b"ana")}


def test_above_the_share_to_the_byte(place: Place) -> None:
    place.add(0, user="ana", size=256)
    core = place.core
    core._note(b"ana", core.share - 256)
    assert core.heavy == set()
    core._note(b"ana", core.share - 255)
    assert core.heavy == {user_tag(b"ana")}
    core._note(b"ana", 0)
    assert core.heavy == {user_tag(b"ana")}, "it is known"


def test_who_holds_no_more_than_a_share_is_forgotten_when_looked_for(place: Place) -> None:
    core = place.core
    for n in range(3):
        place.add(n, user="ana", size=1024)
        place.add(10 + n, user="bob", size=1024)
        place.clock.advance(2)
    core.heavy |= {user_tag(b"ana"), user_tag(b"bob"), user_tag(b"nobody")}
    core.share = 3 * 1024
    assert core._of_too_much(NONE) == NONE
    assert core.heavy == set()
    core.heavy |= {user_tag(b"ana"), user_tag(b"nobody")}
    core.share = 3 * 1024 - 1
    assert core._of_too_much(NONE) == core.index.find(key(0))


def test_of_a_user_s_sessions_the_least_recently_used_goes(place: Place) -> None:
    core = place.core
    for n in range(3):
        place.add(n, user="ana", size=1024)
    core.heavy.add(user_tag(b"ana"))
    core.share = 1024
    first, second, third = (core.index.find(key(n)) for n in range(3))
    assert core._of_too_much(NONE) == first, "at the same time: the first that was added"
    assert core._of_too_much(first) == second
    place.clock.advance(2)
    for n in (0, 1):
        place.store.touch(key(n), idle=IDLE)
    assert core._of_too_much(NONE) == third


def test_the_last_session_of_a_user_is_none_too_many(place: Place) -> None:
    core = place.core
    place.add(0, user="ana", size=1024)
    core.heavy.add(user_tag(b"ana"))
    core.share = 100
    slot = core.index.find(key(0))
    assert core._of_too_much(NONE) == NONE
    assert core._of_too_much(slot) == NONE
    place.add(1, user="ana", size=1024)
    assert core._of_too_much(slot) == core.index.find(key(1))


def test_so_many_above_their_share_there_cannot_be(place: Place) -> None:
    core = place.core
    place.add(0, user="ana", size=1032)
    place.add(1, user="bob", size=1032)
    place.add(2, user="dan", size=1024)
    core.share = 1024
    core.heavy |= {user_tag(b"ana"), user_tag(b"dan"), *range(100, 113)}
    core._note(b"bob", 1)
    assert len(core.heavy) == 16, "fifteen are no reason to look"
    core._note(b"cleo", 1025)
    assert core.heavy == {user_tag(name) for name in (b"ana", b"bob", b"cleo")}


def test_somebody_s_too_much_goes_in_place_of_a_logged_in_session_only(place: Place) -> None:
    core = place.core
    place.add(0, user="bob")
    for n in (1, 2):
        place.add(n, user="ana", size=1024)
    place.add(3)
    core.heavy.add(user_tag(b"ana"))
    core.share = 1024
    assert core.evict(place.now)
    assert place.there(range(4)) == [0, 1, 2], "who is not logged in goes first"
    assert core.evict(place.now)
    assert place.there(range(4)) == [0, 2]
    assert core.evict(place.now)
    assert place.there(range(4)) == [2], "ana is within the share; the least recently used"


def test_a_replaced_key_of_a_user_stays_while_somebody_holds_too_much(place: Place) -> None:
    core = place.core
    place.add(0, user="bob")
    was = b"x" * (RECORD - HEADER - LINKS - 3)
    place.store.replace(
        key(0), key(5), Record(b"", "bob"), expected=was, idle=60, life=None, grace=10
    )
    for n in (1, 2):
        place.add(n, user="ana", size=1024)
    core.heavy.add(user_tag(b"ana"))
    core.share = 1024
    assert core.evict(place.now)
    assert core.index.find(key(0)) >= 0
    assert place.there(range(6)) == [2, 5]
    place.add(6, user="ana", size=1024)
    assert core._of_too_much(NONE) == core.index.find(key(2))
    assert core.evict(place.now, spare=core.index.find(key(6)))
    assert place.there(range(7)) == [5, 6]
