"""The parts of MemoryStore, each alone: tags, index, slots, wheel, queues, blobs, standings."""

from __future__ import annotations

import math
import random
import struct
from sys import getsizeof

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lembro.stores.memory import blob as b
from lembro.stores.memory.chains import NONE, Chains
from lembro.stores.memory.eviction import FREE_LIST, Queues, level_for
from lembro.stores.memory.expiry import Wheel
from lembro.stores.memory.index import Index, dict_bound, insertions_left
from lembro.stores.memory.slots import Slots
from lembro.stores.memory.standing import Standings
from lembro.stores.memory.tags import Tags


def table() -> Slots:
    return Slots(Chains(1), 0)


def grown(slots: Slots, capacity: int) -> Slots:
    while slots.capacity < capacity:
        slots.grow()
    return slots


# --- tags


@given(
    st.lists(st.tuples(st.booleans(), st.integers(0, 63), st.integers(0, 20)), max_size=200),
    st.integers(0, 40),
)
def test_tags_as_a_dict_of_lists(steps: list[tuple[bool, int, int]], stride: int) -> None:
    slots = table()
    tags = Tags(slots)
    grown(slots, 64)
    for slot in range(64):
        tags.leave_out(slot)
    model: dict[int, int] = {}
    for enter, slot, number in steps:
        tag = number << stride
        before = tags.heads_size
        bound = tags.growth(now=True)
        if enter and slot not in model:
            change = tags.add(slot, tag)
            model[slot] = tag
            assert change <= bound
        else:
            change = tags.remove(slot)
            model.pop(slot, None)
        assert tags.heads_size == before + change == tags.measured
        assert tags.count == len(model)
        for wanted in set(model.values()) | {tag}:
            expected = [s for s, t in model.items() if t == wanted]
            assert tags.slots_of(wanted) == expected[::-1]


def test_tags_grow_and_shrink() -> None:
    slots = table()
    tags = Tags(slots)
    grown(slots, 5000)
    start = tags.heads_size
    for slot in range(5000):
        tags.add(slot, slot * 7919)
    assert all(tags.slots_of(slot * 7919) == [slot] for slot in range(5000))
    assert tags.heads_size < 5000 * 5
    for slot in range(5000):
        tags.remove(slot)
    assert tags.heads_size <= start + 256


# --- index


def make_blob(key: bytes, slot: int) -> bytes:
    return b.pack(key, slot, 0.0, 0.0, 0.0, None, None, None, b"")


@given(st.lists(st.tuples(st.booleans(), st.integers(0, 9)), max_size=80))
def test_index_with_keys_that_begin_alike(steps: list[tuple[bool, int]]) -> None:
    keys = [bytes([n % 3]) * 8 + bytes([n]) * 24 for n in range(10)]
    index = Index(4)
    model: dict[bytes, bytes] = {}
    used = index.size
    for enter, number in steps:
        key = keys[number]
        if enter and key not in model:
            model[key] = make_blob(key, number)
            bound = index.growth(key, now=True)
            assert bound <= index.growth(key)
            change = index.put(key, model[key])
            assert change <= bound
            used += change
        elif enter:
            model[key] = make_blob(key, number)
            index.swap(key, model[key])
        elif key in model:
            del model[key]
            used += index.pop(key)
        assert index.size == used
        assert sorted(index) == sorted(model.values())
        for n, other in enumerate(keys):
            assert index.find(other) is model.get(other)
            if other in model:
                assert index.at(int.from_bytes(other[:8]) >> 4, n) is model[other]


def test_index_wants_a_whole_key() -> None:
    index = Index(1)
    key = bytes(range(32))
    index.put(key, make_blob(key, 0))
    assert index.find(key) is not None
    for other in (key[:31], key + b"x", key[:8], b"", key[:31] + b"\0"):
        assert index.find(other) is None


@pytest.mark.parametrize("churn", [0.0, 0.3, 0.49])
def test_when_a_dict_is_resized_and_to_what_is_known(churn: float) -> None:
    rng = random.Random(3)
    numbers: dict[int, bytes] = {}
    size, left, resized = getsizeof(numbers), 0, 0
    for _ in range(100000):
        if numbers and rng.random() < churn:
            del numbers[next(iter(reversed(numbers)))]
            continue
        bound = dict_bound(len(numbers) + 1)
        numbers[rng.getrandbits(60)] = b""
        after = getsizeof(numbers)
        if left:
            left -= 1
            assert after == size
        else:
            left = insertions_left(numbers)
            resized += 1
            assert after <= bound
        size = after
    assert 0 < resized < 1000 + 1000 * churn * 100


def test_a_sparse_shard_is_rebuilt() -> None:
    index = Index(1)
    keys = [random.Random(n).randbytes(32) for n in range(1000)]
    for n, key in enumerate(keys):
        index.put(key, make_blob(key, n))
    assert not index.is_sparse(0)
    for key in keys[10:]:
        index.pop(key)
    assert index.is_sparse(0)
    before = index.size
    change = index.shrink(0)
    assert change < 0
    assert index.size == before + change
    assert all(index.find(key) for key in keys[:10])


# --- slots


def test_slots_grow_within_the_bound_and_are_given_out_once() -> None:
    slots = table()
    columns = [slots.column(code) for code in "dQiB"]
    taken: set[int] = set()
    for _ in range(3000):
        if not slots.has_free():
            before, bound = slots.size, slots.growth()
            change = slots.grow()
            assert slots.size == before + change == sum(map(getsizeof, slots.columns))
            assert change <= bound
        slot = slots.take()
        assert slot not in taken
        taken.add(slot)
    assert all(len(column) == slots.capacity for column in columns)


# --- wheel


def wheel(now: float = 0.0, width: float = 5.0, buckets: int = 8) -> Wheel:
    slots = table()
    new = Wheel(slots, buckets, width, now)
    grown(slots, 300)
    return new


def due(wheel: Wheel, now: float) -> list[int]:
    """All that is expired, taken out."""
    wheel.gather(now)
    found: list[int] = []
    for _ in range(10000):
        slot = wheel.look(now)
        if slot == NONE:
            return sorted(found)
        if slot >= 0:
            wheel.remove(slot)
            found.append(slot)
    raise AssertionError("the wheel turns without end")


def test_wheel_finds_what_is_due() -> None:
    w = wheel()
    for slot, deadline in enumerate((3.0, 4.9, 5.0, 39.0, 41.0, 4000.0, math.inf, -7.0)):
        w.place(slot, deadline)
    assert due(w, 0.0) == [7]
    assert due(w, 4.0) == [0]
    assert due(w, 5.0) == [1, 2]
    assert due(w, 40.0) == [3]
    assert due(w, 3999.0) == [4]
    assert due(w, 4000.0) == [5]
    assert due(w, 1e12) == []
    assert w.entries() == [6]


def test_a_deadline_that_moves_earlier_is_found_in_time() -> None:
    w = wheel()
    w.place(0, 1010.0)  # in a bucket that does not come round by then
    w.defer(0, 7.0)
    assert due(w, 6.0) == []
    assert due(w, 8.0) == [0]


def test_a_deadline_that_moves_later_is_placed_anew_when_it_comes_round() -> None:
    w = wheel()
    w.place(0, 7.0)
    w.defer(0, 33.0)
    assert due(w, 32.0) == []
    assert due(w, 34.0) == [0]


@given(
    st.lists(
        st.tuples(
            st.sampled_from(["place", "defer", "wait", "purge", "look"]),
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
            w.place(slot, now + number)
        elif verb == "defer" and slot in deadlines:
            deadlines[slot] = now + number
            w.defer(slot, now + number)
        elif verb == "wait":
            now += number
        elif verb == "look":
            found = w.look(now)
            if found >= 0:
                assert deadlines.pop(found) <= now
                w.remove(found)
        elif verb == "purge":
            expected = sorted(s for s, deadline in deadlines.items() if deadline <= now)
            assert due(w, now) == expected
            for gone in expected:
                del deadlines[gone]
        assert sorted(w.entries()) == sorted(deadlines)


# --- queues


def queues(max_size: int = 1000) -> Queues:
    new = Queues(max_size)
    slots = Slots(new.chains, FREE_LIST)
    new.register(slots)
    grown(slots, 32)
    return new


@pytest.mark.parametrize(
    ("age", "level"),
    [(-math.inf, 0), (0, 0), (9.99, 0), (10, 1), (59, 1), (60, 2), (599, 2), (600, 3), (1e9, 3)],
)
def test_levels_by_age(age: float, level: int) -> None:
    assert level_for(age) == level


def test_the_lowest_level_above_its_floor_goes_first() -> None:
    q = queues(1000)  # the floor is 50
    q.enter(0, 0, 50)
    q.enter(1, 2, 51)
    q.enter(2, 4, 500)
    assert q.victim() == 1
    q.leave(1, 51)
    assert q.victim() == 2
    q.leave(2, 500)
    assert q.victim() == 0  # all at their floors: the lowest
    q.leave(0, 50)
    assert q.victim() == NONE


def test_inside_a_level_the_least_recently_used_goes_first() -> None:
    q = queues()
    for slot in range(3):
        q.enter(slot, 0, 100)
    q.use(0, 0, 100)
    assert q.victim() == 1
    q.use(1, 1, 100)
    assert q.victim() == 2
    assert (q.counts, q.sizes) == ([2, 1, 0, 0, 0], [200, 100, 0, 0, 0])


def test_the_spared_one_never_goes() -> None:
    q = queues()
    q.enter(0, 0, 100)
    q.enter(1, 4, 100)
    assert q.victim(spare=0) == 1
    q.leave(1, 100)
    assert q.victim(spare=0) == NONE


def test_replaced_keys_weigh_and_do_not_count() -> None:
    q = queues()
    q.enter(0, 0, 100, replaced=True)
    assert (q.counts[0], q.replaced, q.sizes[0]) == (0, 1, 100)
    assert q.victim() == 0
    q.leave(0, 100)
    assert (q.replaced, q.sizes[0]) == (0, 0)


# --- blobs


@given(
    st.one_of(st.none(), st.text(max_size=20)),
    st.one_of(st.none(), st.binary(min_size=16, max_size=16)),
    st.one_of(st.none(), st.binary(min_size=32, max_size=32)),
    st.binary(max_size=50),
)
def test_blob_round_trip(
    user: str | None, standing: bytes | None, successor: bytes | None, payload: bytes
) -> None:
    key = bytes(range(32))
    encoded = b.encode_user(user)
    blob = b.pack(key, 7, 1.0, 100.0, 2.0, encoded, standing, successor, payload)
    found = b.found(blob, 50.0, 10.0)
    assert (found.payload, found.user, found.standing, found.successor) == (
        payload,
        user,
        standing,
        successor,
    )
    assert (found.age, found.idle_left, found.life_left) == (9.0, 40.0, 90.0)
    assert (b.user_of(blob), b.standing_of(blob), b.successor_of(blob)) == (
        encoded,
        standing,
        successor,
    )
    if successor is None:
        assert len(blob) == b.length(encoded, standing, payload)
    again = b.repack(blob, 9, 1.0, 100.0, 3.0)
    assert b.fields(again, b.KEY)[:4] == (9, 1.0, 100.0, 3.0)
    assert b.found(again, 50.0, 10.0) == found
    assert getsizeof(blob) <= b.allocated(len(blob))


def test_lone_surrogates_in_a_user() -> None:
    blob = b.pack(bytes(32), 0, 0.0, 0.0, 0.0, b.encode_user("\ud800"), None, None, b"")
    assert b.found(blob, 0.0, 0.0).user == "\ud800"


# --- standings


def test_a_standing_survives_a_restart() -> None:
    wall = 1_800_000_000.0
    before = Standings(epoch=wall - 5000.0)  # a clock that shows 5000 at that time
    standing = before.new(5000.0)
    after = Standings(epoch=wall + 60 - 10.0)  # a minute later, with a clock that shows 10
    assert after.birth(standing, 10.0) == pytest.approx(-50.0)


def test_births_that_cannot_be() -> None:
    standings = Standings(epoch=0.0)
    assert standings.birth(None, 5.0) == 5.0
    for birth in (6.0, math.inf, math.nan):
        assert standings.birth(struct.pack(">Qd", 1, birth), 5.0) == 5.0
