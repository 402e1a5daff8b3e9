"""Reputation tokens: in a store, then alone."""

from __future__ import annotations

import math
import struct

import pytest

from lembro.stores.base import Record
from lembro.stores.memory import MemoryStore
from lembro.stores.memory.reputation import Reputations
from lembro.testing import FakeClock
from tests.support.memory import add, alive, key


def test_a_reputation_raises_a_new_session_s_tier(store: MemoryStore, clock: FakeClock) -> None:
    reputation = store.new_reputation()
    clock.advance(700)
    add(store, 1, reputation=reputation)
    assert store.stats().tiers == (0, 0, 0, 1, 0)


def test_a_record_keeps_its_reputation(store: MemoryStore) -> None:
    reputation = store.new_reputation()
    for n, given, user in ((1, reputation, None), (2, reputation, "ana"), (3, None, None)):
        add(store, n, reputation=given, user=user)
        found = store.get(key(n))
        assert found is not None
        assert found.reputation == given


def test_a_birth_in_the_future_counts_as_now(store: MemoryStore, clock: FakeClock) -> None:
    add(store, 1, reputation=b"t" * 8 + struct.pack(">d", clock() + 9999))
    assert store.stats().tiers == (1, 0, 0, 0, 0)
    clock.advance(11)
    store.get(key(1))
    assert store.stats().tiers == (0, 1, 0, 0, 0)


def test_a_token_counts_for_its_newest_session_only(store: MemoryStore, clock: FakeClock) -> None:
    reputation = store.new_reputation()
    clock.advance(700)
    add(store, 1, reputation=reputation)
    add(store, 2, reputation=reputation)
    assert store.stats().tiers == (1, 0, 0, 1, 0)
    clock.advance(10000)
    store.get(key(1))  # the session that lost the token stays in tier 0
    store.get(key(2))
    assert store.stats().tiers == (1, 0, 0, 1, 0)
    add(store, 3, reputation=reputation)
    assert store.stats().tiers == (2, 0, 0, 1, 0)
    found = store.get(key(3))
    assert found is not None
    assert found.reputation == reputation


def test_a_replayed_token_raises_the_tier_of_one_session(clock: FakeClock) -> None:
    store = MemoryStore("256K", clock=clock)
    reputation = store.new_reputation()
    clock.advance(700)
    for n in range(100):
        add(store, n, reputation=store.new_reputation())
    clock.advance(700)
    for n in range(100):
        store.get(key(n))
    for n in range(1000, 3000):
        add(store, n, reputation=reputation)
    assert store.stats().tiers[3] == 101
    assert len(alive(store, range(100))) == 100


def test_a_rotation_keeps_the_reputation(store: MemoryStore, clock: FakeClock) -> None:
    reputation = store.new_reputation()
    clock.advance(700)
    add(store, 1, reputation=reputation)
    record = Record(b"new", None, None, reputation)
    store.replace(key(1), key(2), record, expected=b"x" * 500, idle=60, life=None, grace=10)
    assert store.stats().tiers == (0, 0, 0, 1, 0)
    assert store.stats().rotated == 1


def test_a_login_keeps_its_tier_when_another_session_has_its_token(
    store: MemoryStore, clock: FakeClock
) -> None:
    reputation = store.new_reputation()
    add(store, 1, user="ana", reputation=reputation)
    add(store, 2, reputation=reputation)
    clock.advance(100)
    store.get(key(1))
    assert store.stats().tiers == (1, 0, 0, 0, 1)


def test_a_birth_survives_a_restart() -> None:
    wall = 1_800_000_000.0
    before = Reputations(epoch=wall - 5000.0)  # a clock that shows 5000 at that time
    reputation = before.new(5000.0)
    after = Reputations(epoch=wall + 60 - 10.0)  # a minute later, with a clock that shows 10
    assert after.birth(reputation, 10.0) == pytest.approx(-50.0)


def test_impossible_births_count_as_now() -> None:
    reputations = Reputations(epoch=0.0)
    assert reputations.birth(None, 5.0) == 5.0
    for birth in (6.0, math.inf, math.nan):
        assert reputations.birth(struct.pack(">Qd", 1, birth), 5.0) == 5.0
