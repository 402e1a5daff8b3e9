"""The eviction order: in a store, then the queues alone."""

from __future__ import annotations

import math

import pytest

from lembro.stores.base import Record
from lembro.stores.memory import MemoryStore
from lembro.stores.memory.eviction import (
    LARGE_FROM,
    LOGGED_IN,
    QUEUES,
    TIERS,
    Queues,
    tier_for,
)
from lembro.stores.memory.linked_lists import NONE
from lembro.stores.memory.slots import Slots
from lembro.testing import FakeClock
from tests.support.memory import add, alive, fill, key, recounted


def test_the_least_recently_used_is_evicted_first(store: MemoryStore, clock: FakeClock) -> None:
    fill(store, 0, 20)
    clock.advance(2)
    for n in range(10):
        store.get(key(n))
    left = list(range(20))
    for n in range(100, 1000):
        if len(left) <= 5:
            break
        add(store, n)
        left = alive(store, range(20))
    assert left == list(range(10 - len(left), 10)) != []


def test_a_use_within_a_second_does_not_change_the_order(
    store: MemoryStore, clock: FakeClock
) -> None:
    fill(store, 0, 2)
    clock.advance(0.9)
    store.get(key(0))
    assert next(store._parts.queues.walk(0)) == 0
    clock.advance(0.1)
    store.get(key(0))
    assert next(store._parts.queues.walk(0)) == 1


def test_a_flood_evicts_new_visitors_only(store: MemoryStore, clock: FakeClock) -> None:
    for n in range(20):
        add(store, n, user=f"user{n}")
    for n in range(20, 40):
        add(store, n, reputation=store.new_reputation())
    clock.advance(15)
    for n in range(20, 40):
        store.touch(key(n), idle=1e6)
    assert store.stats().tiers == (0, 20, 0, 0, 20)
    fill(store, 1000, 3000)
    assert alive(store, range(40)) == list(range(40))
    assert store.stats().evicted > 2900


def test_a_thousand_logged_in_sessions_survive_a_flood(clock: FakeClock) -> None:
    store = MemoryStore("1M", clock=clock)
    for n in range(1000):
        add(store, n, size=200, user=f"user{n}")
    for n in range(50_000):
        clock.advance(0.001)
        record = Record(b"bot" * 50, None, None, None)
        store.add((n + 10**6).to_bytes(32), record, idle=1e6, life=1e6)
    assert store.stats().tiers[4] == 1000
    assert store.stats().evicted > 45_000
    recounted(store)


def test_the_tier_is_that_of_the_last_use(store: MemoryStore, clock: FakeClock) -> None:
    add(store, 1, reputation=store.new_reputation())
    add(store, 2)  # stays in tier 0 without a reputation
    for seconds, tier in ((5, 0), (5, 1), (50, 2), (540, 3)):
        clock.advance(seconds)
        store.get(key(1))
        store.get(key(2))
        tiers = [0] * TIERS
        tiers[0] += 1
        tiers[tier] += 1
        assert store.stats().tiers == tuple(tiers)


def test_a_flood_of_logins_leaves_room_for_new_visitors(
    store: MemoryStore, clock: FakeClock
) -> None:
    for n in range(1000):
        add(store, n, user=f"user{n}")
    assert store.stats().tiers[4] > 50
    fill(store, 2000, 10)
    # Up to the floor the newcomers keep their sessions; logged-in sessions are evicted to make
    # room.
    assert alive(store, range(2005, 2010)) == [2005, 2006, 2007, 2008, 2009]


LAST_USED = [0.0] * 32


def queues(max_size: int = 1000) -> Queues:
    slots = Slots(32, QUEUES)
    new = Queues(max_size, slots, LAST_USED.__getitem__)
    slots.grow()
    return new


@pytest.mark.parametrize(
    ("age", "tier"),
    [(-math.inf, 0), (0, 0), (9.99, 0), (10, 1), (59, 1), (60, 2), (599, 2), (600, 3), (1e9, 3)],
)
def test_tiers_by_age(age: float, tier: int) -> None:
    assert tier_for(age) == tier


def test_the_lowest_tier_above_its_floor_loses_first() -> None:
    q = queues(1000)  # the floor is 50, that of tier 0 is 200
    q.add(0, 0, 200)
    q.add(1, 2, 51)
    q.add(2, 4, 500)
    assert q.victim() == 1
    q.remove(1, 51)
    assert q.victim() == 2
    q.remove(2, 500)
    assert q.victim() == 0  # all at their floors: the lowest tier
    q.remove(0, 200)
    q.add(0, 0, 201)
    q.add(1, 2, 51)
    assert q.victim() == 0
    q.remove(0, 201)
    q.remove(1, 51)
    assert q.victim() == NONE


def test_within_a_tier_the_least_recently_used_is_first() -> None:
    q = queues(100)
    for slot in range(3):
        q.add(slot, 0, 100)
    q.use(0, 0, 100)
    assert q.victim() == 1
    q.use(1, 1, 100)
    assert q.victim() == 2
    assert (q.counts, q.sizes) == ([2, 1, 0, 0, 0], [200, 100, 0, 0, 0])


def test_the_spared_slot_is_never_the_victim() -> None:
    q = queues()
    q.add(0, 0, 100)
    q.add(1, 4, 100)
    assert q.victim(spare=0) == 1
    q.remove(1, 100)
    assert q.victim(spare=0) == NONE


def test_rotated_keys_have_a_size_but_do_not_count_as_sessions() -> None:
    q = queues()
    q.add(0, 0, 100, rotated=True)
    assert (q.counts[0], q.rotated, q.sizes[0]) == (0, 1, 100)
    assert q.victim() == 0
    q.remove(0, 100)
    assert (q.rotated, q.sizes[0]) == (0, 0)


def test_large_sessions_above_their_share_are_evicted_first() -> None:
    q = queues(16 * 5000)  # the share is 5000
    q.add(0, 0, 1)
    q.add(1, 0, LARGE_FROM + 1)
    q.add(2, 0, LARGE_FROM)
    assert (q.counts[0], q.sizes[0], q.large[0]) == (3, 2 * LARGE_FROM + 2, LARGE_FROM + 1)
    assert q.victim_of(0) == 0, "within the share the least recently used"
    q.add(3, 0, 5000 - LARGE_FROM - 1 + LARGE_FROM)
    assert q.victim_of(0) == 1
    q.remove(1, LARGE_FROM + 1)
    assert q.large[0] == 4999
    assert q.victim_of(0) == 0


def test_the_floor_does_not_protect_large_sessions_above_their_share() -> None:
    q = queues(16 * 5000)  # the floor of tier 0 is 16000
    q.add(0, 0, 5000)
    q.add(1, 4, 60_000)
    assert q.victim() == 1
    q.resize(0, 5000, 5001)
    assert q.victim() == 0


def test_the_share_of_large_sessions_is_a_sixteenth() -> None:
    q = queues(16 * 5000)
    q.add(0, 1, 100)
    q.add(1, 1, 5000)
    assert q.victim_of(1) == 0
    q.resize(1, 5000, 5001)
    assert q.victim_of(1) == 1
    assert (q.sizes[1], q.large[1]) == (5101, 5001)


def test_the_large_sessions_of_one_tier_do_not_count_in_another() -> None:
    q = queues(16 * 5000)
    q.add(0, 1, 5000)
    q.add(1, 2, 100)
    q.add(2, 2, 5000)
    assert q.victim_of(2) == 1


def test_large_sessions_within_their_share_are_evicted_in_order_of_use() -> None:
    q = queues(16 * 5000)
    q.add(0, 0, 5000)
    q.add(1, 0, 100)
    LAST_USED[0:2] = [1.0, 1.0]
    assert q.victim_of(0) == 1
    assert q.least_recently_used(0) == 1
    LAST_USED[0:2] = [1.0, 2.0]
    assert q.victim_of(0) == 0
    assert q.least_recently_used(0) == 0
    q.remove(1, 100)
    assert q.victim_of(0) == 0
    assert q.least_recently_used(0) == 0


def test_a_spared_slot_is_no_victim_in_either_queue() -> None:
    q = queues(16 * 5000)
    q.add(0, 0, 100)
    q.add(1, 0, 5001)
    assert q.victim_of(0, spare=1) == 0
    assert q.victim_of(0, spare=0) == 1
    q.remove(0, 100)
    assert q.victim_of(0, spare=1) == NONE


def test_the_least_recently_used_session_is_no_rotated_key() -> None:
    q = queues(16 * 5000)
    LAST_USED[0:2] = [1.0, 2.0]
    q.add(0, 0, 100, rotated=True)
    assert q.least_recently_used(0) == NONE
    q.add(1, 0, 5000)
    assert q.least_recently_used(0) == 1


def test_a_session_that_grows_or_shrinks_changes_its_queue() -> None:
    q = queues(16 * 5000)
    q.add(0, 0, 100)
    q.resize(0, 100, LARGE_FROM)
    assert (list(q.walk(0)), q.sizes[0], q.large[0]) == ([0], LARGE_FROM, 0)
    q.resize(0, LARGE_FROM, 6000)
    assert (list(q.walk(TIERS)), q.sizes[0], q.large[0], q.counts[0]) == ([0], 6000, 6000, 1)
    q.use(0, 3, 6000)
    assert (list(q.walk(TIERS + 3)), q.sizes, q.large) == (
        [0],
        [0, 0, 0, 6000, 0],
        [0, 0, 0, 6000, 0],
    )
    q.resize(0, 6000, 200)
    assert (list(q.walk(3)), q.sizes[3], q.large[3], q.counts[3]) == ([0], 200, 0, 1)


def test_sessions_of_users_have_one_queue() -> None:
    q = queues(16 * 5000)
    q.add(0, LOGGED_IN, 100)
    q.resize(0, 100, 6000)
    q.add(1, LOGGED_IN, 6000)
    q.use(0, LOGGED_IN, 6000)
    assert list(q.walk(LOGGED_IN)) == [1, 0]
    assert (q.sizes[LOGGED_IN], q.large) == (12000, [0] * TIERS)


def test_all_queues_are_empty_after_a_reset() -> None:
    q = queues(16 * 5000)
    q.add(0, 0, 5001)
    q.add(1, 0, 100)
    q.reset()
    assert (q.counts, q.sizes, q.large, q.rotated) == ([0] * TIERS, [0] * TIERS, [0] * TIERS, 0)
    assert q.victim() == NONE


def test_a_session_that_was_small_counts_as_large_from_its_next_write(clock: FakeClock) -> None:
    store = MemoryStore("1M", clock=clock)
    fill(store, 0, 100)
    record = Record(b"y" * 60_000)
    store.set(key(0), record, expected=b"x" * 500, idle=1e6)
    assert store._parts.queues.large[0] > 60_000
    recounted(store)
    fill(store, 100, 3000)
    assert store.get(key(0)) is not None, "alone it is within the share"
    store.set(key(3099), record, expected=b"x" * 500, idle=1e6)
    fill(store, 4000, 100)
    assert store.get(key(0)) is None
    recounted(store)


def test_a_flood_evicts_no_large_session_of_a_known_visitor(clock: FakeClock) -> None:
    store = MemoryStore("1M", clock=clock)
    for n in range(10):
        add(store, n, size=20_000, reputation=store.new_reputation())
    clock.advance(15)
    for n in range(10):
        store.touch(key(n), idle=1e6)
    fill(store, 100, 3000)
    assert alive(store, range(10)) == list(range(10))


def test_an_idle_large_visitor_is_evicted_ahead_of_need(clock: FakeClock) -> None:
    store = MemoryStore("1M", clock=clock)
    fill(store, 0, 3, size=20_000)
    clock.advance(1000)
    fill(store, 10, 3000)
    assert alive(store, range(3)) == []
    recounted(store)


def test_a_session_that_stays_small_or_large_keeps_its_position() -> None:
    q = queues(16 * 50_000)
    for slot, size in ((0, 100), (1, 100), (2, 6000), (3, 6000)):
        q.add(slot, 0, size)
    q.resize(0, 100, 200)
    q.resize(2, 6000, 7000)
    assert (list(q.walk(0)), list(q.walk(TIERS))) == ([0, 1], [2, 3])
    assert (q.sizes[0], q.large[0]) == (13_300, 13_000)
