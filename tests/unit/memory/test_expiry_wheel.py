"""The expiry wheel."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lembro.stores.memory import MemoryStore
from lembro.stores.memory.expiry_wheel import MOVED, ExpiryWheel
from lembro.stores.memory.linked_lists import NONE
from lembro.testing import FakeClock


@pytest.mark.parametrize(("max_size", "buckets"), [(2**16, 64), (2**20, 256), (2**23, 1024)])
def test_the_buckets_of_a_store_s_wheel(max_size: int, buckets: int, clock: FakeClock) -> None:
    wheel = MemoryStore(max_size, interval=10, clock=clock)._parts.wheel
    assert wheel._buckets == min(buckets, 1024)
    assert wheel._width == 5, "half an interval"
    assert MemoryStore(2**24, interval=10, clock=clock)._parts.wheel._buckets == 1024


def wheel(now: float = 0.0, width: float = 5.0, buckets: int = 8) -> ExpiryWheel:
    return ExpiryWheel(300, buckets, width, now)


def due(wheel: ExpiryWheel, now: float) -> list[int]:
    """Take out and return all segments whose bound has passed."""
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


def test_the_wheel_finds_due_segments() -> None:
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


def test_a_lowered_bound_is_found_in_time() -> None:
    w = wheel()
    w.add(0, 1010.0)  # in a bucket that is reached later
    w.lower_bound(0, 7.0)
    w.lower_bound(0, 9.0)  # changes nothing
    assert due(w, 6.0) == []
    assert due(w, 8.0) == [0]


def test_a_segment_with_a_later_bound_is_due_again_then() -> None:
    w = wheel()
    w.add(0, 7.0)
    w.collect(8.0)
    assert w.next_due(8.0) == 0
    w.set_bound(0, 33.0)
    assert w.next_due(8.0) == NONE, "it is no longer in the wheel"
    assert due(w, 32.0) == []
    assert due(w, 34.0) == [0]


def test_a_segment_is_due_as_soon_as_its_bucket_has_passed() -> None:
    w = wheel()
    w.add(0, 7.0)
    assert w.next_due(5.0) == MOVED  # the bucket before was empty
    assert w.next_due(10.0) == 0


def test_a_segment_listed_under_a_later_bound_is_reported_as_moved() -> None:
    w = wheel()
    w.add(0, 7.0)
    w.bound[0] = 33.0  # for example if the sweep finds that all its records live longer
    w.collect(8.0)
    assert w.next_due(8.0) == MOVED
    assert w.next_due(8.0) == NONE


def test_after_collect_segments_are_due() -> None:
    w = wheel()
    w.add(0, 7.0)
    assert w.next == 5.0
    w.collect(8.0)
    assert w.next < 0


def test_a_wheel_begins_at_the_present_time() -> None:
    assert ExpiryWheel(8, 8, 10.0, 25.0).next == 30.0


def test_next_is_when_a_segment_may_be_due() -> None:
    w = wheel()
    w.add(0, 7.0)
    assert w.next_due(8.0) == MOVED  # the bucket before was empty
    assert w.next_due(8.0) == NONE  # within a bucket that has not been reached yet
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
def test_the_wheel_equals_a_dict(steps: list[tuple[str, int, float]]) -> None:
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
