"""The arena against a dict."""

from __future__ import annotations

import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lembro.stores.memory.arena import Arena, segment_size
from lembro.stores.memory.layout import GRAIN
from lembro.stores.memory.linked_lists import NONE


def test_a_segment_is_a_hundredth_of_max_size() -> None:
    assert segment_size(2**16) == 2048
    assert segment_size(2**22) == 2**15
    assert segment_size(10**8) == segment_size(2**34) == 2**17
    assert segment_size(2**40) == 2**22


def fits(arena: Arena, size: int) -> bool:
    """Whether such a record can be appended to the open segment."""
    return arena.at + size <= arena.end


@given(st.lists(st.tuples(st.booleans(), st.integers(1, 40), st.integers(0, 99)), max_size=300))
def test_the_arena_equals_a_dict(steps: list[tuple[bool, int, int]]) -> None:
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


def test_the_arena_counts_its_tables() -> None:
    arena = Arena(2**20)
    links = (arena._classes._next, arena._classes._prev)
    columns = (arena.live, arena.fill, arena._class, *links)
    assert arena.tables == sum(memoryview(column).nbytes for column in columns)


def test_a_reset_arena_equals_a_new_one() -> None:
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
    if sys.platform == "linux":  # other systems may keep the content
        assert arena.memory[:] == bytes(len(arena.memory))
    assert arena.in_use() == []
    assert arena.sparsest() == NONE
    assert sorted(arena.open_next() for _ in range(arena.segments)) == list(range(arena.segments))


def test_the_sparsest_segment() -> None:
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
def test_dead_bytes_are_classed_by_sixteenths(sealed: bool) -> None:
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


def test_one_free_segment_is_kept_and_the_others_are_released() -> None:
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
    if sys.platform == "linux":  # other systems may keep the content
        assert arena.memory[places[3]] == 0, "the other segment was released"
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
