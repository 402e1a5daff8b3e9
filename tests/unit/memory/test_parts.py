"""The parts of MemoryStore, each alone: tags, index, slots, wheel, queues, arena, standings."""

from __future__ import annotations

import math
import random
import struct
import sys
from mmap import mmap
from types import SimpleNamespace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lembro.stores.memory import layout, reserved_memory, user_index
from lembro.stores.memory.arena import Arena, segment_size
from lembro.stores.memory.eviction import TIERS, Queues, tier_for
from lembro.stores.memory.expiry import MOVED, ExpiryWheel
from lembro.stores.memory.index import END, Index
from lembro.stores.memory.layout import GRAIN
from lembro.stores.memory.linked_lists import NONE
from lembro.stores.memory.overflow import Overflow, allocated
from lembro.stores.memory.reputation import Reputations
from lembro.stores.memory.reserved_memory import PAGE, ReservedMemory, anonymous, release
from lembro.stores.memory.slots import Slots

MOST = 8192  # slots


class Table:
    """Slots, with a place of 128 bytes in memory for the record of each."""

    def __init__(self) -> None:
        self.slots = Slots(MOST, 1)
        self.place = self.slots.column("I")
        self.memory: mmap = anonymous(128 * (MOST + 1))

    def grow(self, capacity: int) -> None:
        while self.slots.capacity < capacity:
            self.slots.grow()

    def put(self, slot: int, key: bytes) -> None:
        at = 128 * (slot + 1)
        self.memory[at : at + 32] = key
        self.place[slot] = at >> 3

    def index(self, unit: int = 256) -> Index:
        return Index(self.slots, self.place, self.memory, MOST, unit)

    def tags(self, unit: int = 256) -> user_index.UserIndex:
        for slot in range(MOST):
            at = 128 * (slot + 1)
            self.place[slot] = at >> 3
            at += layout.HEADER
            self.memory[at : at + len(user_index.UNLINKED)] = user_index.UNLINKED
        return user_index.UserIndex(self.place, self.memory, MOST, unit)


# --- tags


@given(
    st.lists(st.tuples(st.booleans(), st.integers(0, 63), st.integers(0, 20)), max_size=200),
    st.integers(0, 40),
)
def test_tags_as_a_dict_of_lists(steps: list[tuple[bool, int, int]], stride: int) -> None:
    table = Table().tags(unit=16)
    model: dict[int, int] = {}
    for enter, slot, number in steps:
        tag = number << stride
        before, bound = table.size, table.growth()
        if enter and slot not in model:
            changed = table.add(slot, tag)
            model[slot] = tag
            assert table.size <= before + bound
        else:
            changed = table.remove(slot)
            model.pop(slot, None)
        assert changed == (table.size != before)
        assert table.count == len(model)
        assert {s for s in range(64) if table.has(s)} == set(model)
        for wanted in set(model.values()) | {tag}:
            expected = [s for s, t in model.items() if t == wanted]
            assert table.slots_of(wanted) == expected[::-1]


def test_tags_grow_and_shrink() -> None:
    table = Table().tags()
    start = table.size
    for slot in range(5000):
        table.add(slot, slot * 7919)
    assert all(table.slots_of(slot * 7919) == [slot] for slot in range(5000))
    assert table.size < 5000 * 5
    for slot in range(5000):
        table.remove(slot)
    assert table.size == start


def test_a_record_that_is_in_no_list_has_nothing_to_take_along() -> None:
    table = Table()
    by_tag = table.tags()
    by_tag.rename(3, 4)
    assert by_tag.count == 0
    assert by_tag.slots_of(0) == []


def test_a_tag_goes_with_its_record_to_another_slot() -> None:
    parts = Table()
    table = parts.tags()
    for slot in (1, 2, 3):
        table.add(slot, 7)
    parts.place[9] = parts.place[2]
    table.rename(2, 9)
    assert table.slots_of(7) == [3, 9, 1]
    assert table.remove(9) is False
    assert table.slots_of(7) == [3, 1]


# --- index


@given(st.lists(st.tuples(st.booleans(), st.integers(0, 99)), max_size=300))
def test_index_as_a_dict(steps: list[tuple[bool, int]]) -> None:
    keys = [bytes([n % 3]) * 8 + bytes([n]) * 24 for n in range(100)]
    table = Table()
    index = table.index(unit=16)
    table.grow(200)
    model: dict[bytes, int] = {}
    for enter, number in steps:
        key = keys[number]
        before = index.size
        if enter and key not in model:
            model[key] = number
            table.put(number, key)
            changed = index.add(key, number)
        elif key in model:
            changed = index.remove(key, model.pop(key))
        else:
            continue
        assert changed == (index.size != before)
        assert index.size >= 4 * index.buckets
        assert sorted(index.slots()) == sorted(model.values())
        assert [index.find(key) for key in keys] == [model.get(key, END) for key in keys]


def test_index_grows_and_shrinks_a_little_at_a_time() -> None:
    table = Table()
    index = table.index()
    table.grow(5000)
    keys = [random.Random(n).randbytes(32) for n in range(5000)]
    start = index.size
    for slot, key in enumerate(keys):
        before = index.buckets
        table.put(slot, key)
        index.add(key, slot)
        assert index.buckets - before <= 34
    assert [index.find(key) for key in keys] == list(range(5000))
    assert index.size < 5000 * 7
    for slot, key in enumerate(keys):
        index.remove(key, slot)
    assert index.size <= start + 256
    assert index.slots() == []


def test_index_wants_a_whole_key() -> None:
    table = Table()
    index = table.index()
    table.grow(1)
    key = bytes(range(32))
    table.put(0, key)
    index.add(key, 0)
    assert index.find(key) == 0
    for other in (key[:31], key + b"x", key[:8], b"", key[:31] + b"\0"):
        assert index.find(other) == END


def test_a_key_is_found_at_its_new_slot() -> None:
    table = Table()
    index = table.index()
    table.grow(100)
    keys = [random.Random(n).randbytes(32) for n in range(50)]
    for slot, key in enumerate(keys):
        table.put(slot, key)
        index.add(key, slot)
    for old, key in enumerate(keys):
        table.put(old + 50, key)
        index.rename(key, old, old + 50)
    assert [index.find(key) for key in keys] == list(range(50, 100))


# --- slots


def has_free(slots: Slots) -> bool:
    return slots.spare > 0 or slots.fresh < slots.edge


def test_slots_grow_within_the_bound_and_are_given_out_once() -> None:
    slots = Slots(5000, 3)
    slots.column("I")
    slots.column("i")
    slots.column("B")
    assert slots.row == 8 + 4 + 4 + 1
    taken: set[int] = set()
    for _ in range(3000):
        if not has_free(slots):
            before, bound = slots.size, slots.growth()
            slots.grow()
            assert slots.size <= before + bound
        slot = slots.take()
        assert slot not in taken
        taken.add(slot)
    assert taken == set(range(3000))
    for slot in (5, 7):
        slots.give(slot)
    assert slots.spare == 2
    assert {slots.take(), slots.take()} == {5, 7}


# --- memory


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere it may keep what it held")
def test_what_is_released_reads_as_zeros() -> None:
    column = ReservedMemory("I", 4 * PAGE)
    for entry in range(0, 4 * PAGE, PAGE // 4):
        column.view[entry] = 9
    column.release_from(PAGE + 1)
    kept = [entry for entry in range(0, 4 * PAGE, PAGE // 4) if column.view[entry]]
    assert kept == list(range(0, PAGE + PAGE // 4, PAGE // 4))


@pytest.mark.parametrize("platform", [sys.platform, "elsewhere"])
def test_what_is_cleared_reads_as_zeros(platform: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Also where pages that are given back may keep what they held."""
    monkeypatch.setattr(reserved_memory, "sys", SimpleNamespace(platform=platform))
    column = ReservedMemory("I", 4 * PAGE)
    for entry in range(4 * PAGE):
        column.view[entry] = 9
    column.clear(PAGE + 3)
    assert [*column.view] == [0] * (PAGE + 3) + [9] * (3 * PAGE - 3)


def test_only_whole_pages_are_released() -> None:
    memory = anonymous(2 * PAGE)
    memory[:] = b"x" * (2 * PAGE)
    release(memory, 10, PAGE)
    assert memory[:] == b"x" * (2 * PAGE)


def test_segments_are_a_hundredth_of_the_whole() -> None:
    assert segment_size(2**16) == 2048
    assert segment_size(2**22) == 2**15
    assert segment_size(10**8) == segment_size(2**34) == 2**17
    assert segment_size(2**40) == 2**22


def fits(arena: Arena, size: int) -> bool:
    """Whether such a record can be appended to the open segment."""
    return arena.at + size <= arena.end


@given(st.lists(st.tuples(st.booleans(), st.integers(1, 40), st.integers(0, 99)), max_size=300))
def test_arena_against_a_dict(steps: list[tuple[bool, int, int]]) -> None:
    arena = Arena(2**16)
    records: dict[int, int] = {}
    for enter, grains, pick in steps:
        size = grains * GRAIN
        if enter:
            if not fits(arena, size):
                arena.open_next()
            at = arena.take(size)
            assert all(at + size <= other or other + records[other] <= at for other in records)
            records[at] = size
        elif records:
            at = list(records)[pick % len(records)]
            segment = at >> arena.shift
            empty = arena.drop(at, records.pop(at))
            assert (empty == segment) == all(other >> arena.shift != segment for other in records)
        assert arena.live_total == sum(records.values())
        for segment in range(arena.segments):
            of_it = {at: size for at, size in records.items() if at >> arena.shift == segment}
            assert arena.live[segment] == sum(of_it.values())
            if of_it:
                start, end = arena.bounds(segment)
                assert start <= min(of_it)
                assert max(at + size for at, size in of_it.items()) <= end
        used = {at >> arena.shift for at in records} | {arena.open} - {NONE}
        assert set(arena.in_use()) == used
        assert arena.held == arena.segment * (len(used) + 1)


def test_an_arena_counts_its_tables() -> None:
    arena = Arena(2**20)
    links = (arena._classes._next, arena._classes._prev)
    columns = (arena.live, arena.fill, arena._class, *links)
    assert arena.tables == sum(memoryview(column).nbytes for column in columns)


def test_after_a_reset_an_arena_is_as_new() -> None:
    arena, new = Arena(2**20), Arena(2**20)  # whose segments are pages
    places = []
    for _ in range(3):
        arena.open_next()
        while fits(arena, 512):
            places.append(arena.take(512))
            arena.memory[places[-1]] = 1
    for at in [places[0], *places[3:9]]:
        arena.drop(at, 512)
    assert arena.sparsest() == 0
    arena.reset()
    while arena.give_back():
        assert arena.held > new.held - arena.segment
    for name in ("at", "end", "open", "held", "live", "live_total", "_reserve"):
        assert getattr(arena, name) == getattr(new, name), name
    assert arena.memory[:] == bytes(len(arena.memory))
    assert arena.in_use() == []
    assert arena.sparsest() == NONE
    assert sorted(arena.open_next() for _ in range(arena.segments)) == list(range(arena.segments))


def test_the_sparsest_segment_is_known() -> None:
    arena = Arena(2**16)
    places = []
    for _ in range(3 * 7 + 1):
        if not fits(arena, 256):
            arena.open_next()
        places.append(arena.take(256))
    assert arena.sparsest() == NONE
    for at in (places[0], places[7], places[8]):
        arena.drop(at, 256)
    assert arena.sparsest() == places[7] >> arena.shift
    sparse = arena.sparsest()
    assert arena.fill[sparse] - GRAIN - arena.live[sparse] == 512
    assert arena.sparsest(5) == NONE
    arena.vacate(places[7] >> arena.shift)
    assert arena.sparsest() == places[0] >> arena.shift


@pytest.mark.parametrize("sealed", [True, False], ids=["sealed before", "sealed after"])
def test_how_sparse_a_segment_is_in_sixteenths(sealed: bool) -> None:
    arena = Arena(2**16)
    segment = arena.open_next()
    places = [arena.take(64) for _ in range(31)]  # of 2048 bytes
    if sealed:
        arena.open_next()
    for dead, at in enumerate(places[:-1], 1):
        arena.drop(at, 64)
        if not sealed:
            continue
        for least in range(1, 16):
            assert arena.sparsest(least) == (segment if dead // 2 >= least else NONE)
    if not sealed:
        arena.open_next()
    assert arena.sparsest(15) == segment
    arena.drop(places[-1], 64)
    assert arena.sparsest() == NONE


def test_one_free_segment_is_kept_and_the_others_are_given_back() -> None:
    arena = Arena(2**20)
    first = arena.open_next()
    assert first == 0
    places = []
    for _ in range(4):
        while fits(arena, 2048):
            places.append(arena.take(2048))
            arena.memory[places[-1]] = 1
        arena.open_next()
    held = arena.held
    emptied = [arena.drop(at, 2048) for at in places[:6]]  # three fill a segment
    assert emptied == [NONE, NONE, first, NONE, NONE, first + 1]
    assert arena.held == held - 2 * arena.segment
    assert arena.memory[places[0]] == 1, "the reserve keeps its memory"
    assert arena.memory[places[3]] == 0, "the other's went back to the system"
    assert [arena.open_next() for _ in range(3)] == [first, first + 1, first + 5]


def test_a_segment_can_be_filled_to_its_last_byte() -> None:
    arena = Arena(2**16)
    arena.open_next()
    assert fits(arena, 2048 - GRAIN)
    assert not fits(arena, 2048)
    arena.take(2048 - GRAIN)
    assert not fits(arena, GRAIN)


@pytest.mark.parametrize("sealed", [True, False], ids=["sealed before", "sealed after"])
def test_a_sixteenth_is_128_of_2048_bytes(sealed: bool) -> None:
    for dead, sparse in ((120, False), (128, True)):
        arena = Arena(2**16)
        segment = arena.open_next()
        at = arena.take(dead)
        arena.take(1024)
        if sealed:
            arena.open_next()
        arena.drop(at, dead)
        if not sealed:
            arena.open_next()
        assert arena.sparsest() == (segment if sparse else NONE)


def test_large_payloads() -> None:
    overflow = Overflow()
    payloads = {1: b"a" * 5000, 2: b"b" * 20_000, 3: b""}
    for slot, payload in payloads.items():
        overflow.put(slot, payload)
    overflow.rename(2, 4)
    payloads[4] = payloads.pop(2)
    assert {slot: overflow.get(slot) for slot in payloads} == payloads
    assert overflow.size == overflow.measured == sum(allocated(len(p)) for p in payloads.values())
    for slot in payloads:
        assert slot in overflow
        overflow.pop(slot)
    assert overflow.size == len(overflow) == 0


# --- wheel


def wheel(now: float = 0.0, width: float = 5.0, buckets: int = 8) -> ExpiryWheel:
    return ExpiryWheel(300, buckets, width, now)


def due(wheel: ExpiryWheel, now: float) -> list[int]:
    """All whose bound has passed, taken out."""
    wheel.collect(now)
    found: list[int] = []
    for _ in range(10000):
        slot = wheel.next_due(now)
        if slot == NONE:
            return sorted(found)
        if slot >= 0:
            wheel.remove(slot)
            found.append(slot)
    raise AssertionError("the wheel turns without end")


def test_a_wheel_counts_its_tables() -> None:
    wheel = ExpiryWheel(100, 8, 1.0, 0.0)
    columns = (wheel.bound, wheel._lists._next, wheel._lists._prev)
    assert wheel.size == sum(memoryview(column).nbytes for column in columns)


def test_wheel_finds_what_is_due() -> None:
    w = wheel()
    for slot, deadline in enumerate((3.0, 4.9, 5.0, 39.0, 41.0, 4000.0, math.inf, -7.0)):
        w.add(slot, deadline)
    assert due(w, 0.0) == [7]
    assert due(w, 4.0) == [0]
    assert due(w, 5.0) == [1, 2]
    assert due(w, 40.0) == [3]
    assert due(w, 3999.0) == [4]
    assert due(w, 4000.0) == [5]
    assert due(w, 1e12) == []
    assert w.segments() == [6]


def test_a_deadline_that_moves_earlier_is_found_in_time() -> None:
    w = wheel()
    w.add(0, 1010.0)  # in a bucket that does not come round by then
    w.lower_bound(0, 7.0)
    w.lower_bound(0, 9.0)  # no news
    assert due(w, 6.0) == []
    assert due(w, 8.0) == [0]


def test_with_a_later_bound_it_comes_round_again() -> None:
    w = wheel()
    w.add(0, 7.0)
    w.collect(8.0)
    assert w.next_due(8.0) == 0
    w.set_bound(0, 33.0)
    assert w.next_due(8.0) == NONE, "it waits no longer"
    assert due(w, 32.0) == []
    assert due(w, 34.0) == [0]


def test_what_comes_round_is_found_at_the_first_look() -> None:
    w = wheel()
    w.add(0, 7.0)
    assert w.next_due(5.0) == MOVED  # the bucket before was empty
    assert w.next_due(10.0) == 0


def test_what_was_placed_anew_is_said() -> None:
    w = wheel()
    w.add(0, 7.0)
    w.bound[0] = 33.0  # as when the sweep finds that all in it live longer
    w.collect(8.0)
    assert w.next_due(8.0) == MOVED
    assert w.next_due(8.0) == NONE


def test_after_gathering_something_waits() -> None:
    w = wheel()
    w.add(0, 7.0)
    assert w.next == 5.0
    w.collect(8.0)
    assert w.next < 0


def test_a_wheel_begins_at_the_time_of_its_making() -> None:
    assert ExpiryWheel(8, 8, 10.0, 25.0).next == 30.0


def test_when_nothing_can_be_due_is_known() -> None:
    w = wheel()
    w.add(0, 7.0)
    assert w.next_due(8.0) == MOVED  # the bucket before was empty
    assert w.next_due(8.0) == NONE  # in the midst of a bucket that has not come round yet
    assert w.next == 10.0
    assert w.next_due(10.0) != NONE
    assert w.next < 10.0


@given(
    st.lists(
        st.tuples(
            st.sampled_from(["place", "earlier", "again", "wait", "purge", "look"]),
            st.integers(0, 30),
            st.floats(0, 500),
        ),
        max_size=80,
    )
)
def test_wheel_against_a_dict(steps: list[tuple[str, int, float]]) -> None:
    w = wheel(now=13.0)
    now = 13.0
    deadlines: dict[int, float] = {}
    for verb, slot, number in steps:
        if verb == "place" and slot not in deadlines:
            deadlines[slot] = now + number
            w.add(slot, now + number)
        elif verb == "earlier" and slot in deadlines:
            deadlines[slot] = min(deadlines[slot], now + number)
            w.lower_bound(slot, now + number)
        elif verb == "again" and slot in deadlines:
            deadlines[slot] = now + number
            w.set_bound(slot, now + number)
        elif verb == "wait":
            now += number
        elif verb == "look":
            found = w.next_due(now)
            if found >= 0:
                assert deadlines.pop(found) <= now
                w.remove(found)
        elif verb == "purge":
            expected = sorted(s for s, deadline in deadlines.items() if deadline <= now)
            assert due(w, now) == expected
            for gone in expected:
                del deadlines[gone]
        assert sorted(w.segments()) == sorted(deadlines)


# --- queues


def queues(max_size: int = 1000) -> Queues:
    slots = Slots(32, TIERS)
    new = Queues(max_size, slots)
    slots.grow()
    return new


@pytest.mark.parametrize(
    ("age", "tier"),
    [(-math.inf, 0), (0, 0), (9.99, 0), (10, 1), (59, 1), (60, 2), (599, 2), (600, 3), (1e9, 3)],
)
def test_levels_by_age(age: float, tier: int) -> None:
    assert tier_for(age) == tier


def test_the_lowest_level_above_its_floor_goes_first() -> None:
    q = queues(1000)  # the floor is 50, and that of newcomers 200
    q.add(0, 0, 200)
    q.add(1, 2, 51)
    q.add(2, 4, 500)
    assert q.victim() == 1
    q.remove(1, 51)
    assert q.victim() == 2
    q.remove(2, 500)
    assert q.victim() == 0  # all at their floors: the lowest
    q.remove(0, 200)
    q.add(0, 0, 201)
    q.add(1, 2, 51)
    assert q.victim() == 0
    q.remove(0, 201)
    q.remove(1, 51)
    assert q.victim() == NONE


def test_inside_a_level_the_least_recently_used_goes_first() -> None:
    q = queues(100)
    for slot in range(3):
        q.add(slot, 0, 100)
    q.use(0, 0, 100)
    assert q.victim() == 1
    q.use(1, 1, 100)
    assert q.victim() == 2
    assert (q.counts, q.sizes) == ([2, 1, 0, 0, 0], [200, 100, 0, 0, 0])


def test_the_spared_one_never_goes() -> None:
    q = queues()
    q.add(0, 0, 100)
    q.add(1, 4, 100)
    assert q.victim(spare=0) == 1
    q.remove(1, 100)
    assert q.victim(spare=0) == NONE


def test_replaced_keys_weigh_and_do_not_count() -> None:
    q = queues()
    q.add(0, 0, 100, rotated=True)
    assert (q.counts[0], q.rotated, q.sizes[0]) == (0, 1, 100)
    assert q.victim() == 0
    q.remove(0, 100)
    assert (q.rotated, q.sizes[0]) == (0, 0)


# --- standings


def test_a_standing_survives_a_restart() -> None:
    wall = 1_800_000_000.0
    before = Reputations(epoch=wall - 5000.0)  # a clock that shows 5000 at that time
    reputation = before.new(5000.0)
    after = Reputations(epoch=wall + 60 - 10.0)  # a minute later, with a clock that shows 10
    assert after.birth(reputation, 10.0) == pytest.approx(-50.0)


def test_births_that_cannot_be() -> None:
    reputations = Reputations(epoch=0.0)
    assert reputations.birth(None, 5.0) == 5.0
    for birth in (6.0, math.inf, math.nan):
        assert reputations.birth(struct.pack(">Qd", 1, birth), 5.0) == 5.0
