"""MemoryStore as a whole: bounds, eviction, standing, events, settings. Time is a fake clock."""

from __future__ import annotations

import gc
import logging
import math
import random
import struct
import sys
import threading
import time
import tracemalloc
from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import pytest

from lembro.errors import ConfigError, SessionTooLarge
from lembro.events import Event
from lembro.ids import handle_for
from lembro.stores.base import PerUser, Record
from lembro.stores.memory import MemoryStore, layout, limits, parts
from lembro.stores.memory.audit import recount
from lembro.stores.memory.eviction import MOST_SKIPPED, TIERS
from lembro.stores.memory.reserved_memory import PAGE
from lembro.stores.memory.user_index import user_tag
from lembro.testing import FakeClock

CAPS: list[PerUser | None] = [None, (3, "oldest"), (3, "refuse")]


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture
def store(clock: FakeClock) -> Iterator[MemoryStore]:
    store = MemoryStore("64K", interval=10, clock=clock)
    yield store
    recounted(store)
    store.close()


def recounted(store: MemoryStore) -> int:
    """As every verb does: with the lock, or on a slow machine the purger comes in between."""
    with store._lock:
        return recount(store._parts)


def key(n: int) -> bytes:
    return random.Random(n).randbytes(32)


def add(
    store: MemoryStore,
    n: int,
    size: int = 500,
    user: str | None = None,
    reputation: bytes | None = None,
    idle: float = 1e6,
) -> bool:
    record = Record(b"x" * size, user, None, reputation)
    return store.add(key(n), record, idle=idle, life=1e7)


def fill(store: MemoryStore, start: int, count: int, size: int = 500) -> None:
    for n in range(start, start + count):
        add(store, n, size)


def alive(store: MemoryStore, numbers: Any) -> list[int]:
    """Which of them are there; ``all`` is no use of a session."""
    there = {k for k, _ in store.all()}
    return [n for n in numbers if key(n) in there]


# --- settings


@pytest.mark.parametrize(
    "options",
    [
        {"max_size": "63K"},
        {"max_size": 65535},
        {"max_size": "lots"},
        {"max_size": -1},
        {"max_size": math.nan},
        {"max_size": math.inf},
        {"max_size": 2**63},
        {"max_size": True},
        {"max_size": None},
        {"interval": 0},
        {"interval": -1},
        {"interval": math.nan},
        {"interval": math.inf},
        {"interval": 2**63},
        {"interval": timedelta.max},
        {"interval": timedelta(0)},
        {"interval": "360"},
        {"interval": True},
        {"interval": None},
        {"max_session_size": 0},
        {"max_session_size": 100},
        {"max_session_size": "2M"},
        {"max_session_size": 2**63},
        {"max_session_size": math.nan},
        {"reduce_to": 0},
        {"reduce_to": 1.01},
        {"reduce_to": -0.5},
        {"reduce_to": math.nan},
        {"reduce_to": math.inf},
        {"reduce_to": 10**400},
        {"reduce_to": True},
        {"reduce_to": "75%"},
        {"clock": 5},
    ],
)
def test_settings_that_cannot_work(options: dict[str, Any]) -> None:
    with pytest.raises(ConfigError) as error:
        MemoryStore(**options)
    name, value = next(iter(options.items()))
    assert repr(value) in str(error.value), name


def test_settings_that_can() -> None:
    assert MemoryStore().max_size == 4 * 2**20
    assert MemoryStore().interval == 360
    assert MemoryStore("1M", interval=timedelta(minutes=1)).interval == 60
    assert MemoryStore("1M").max_session_size == 2**16
    assert MemoryStore("1M", max_session_size="256K").max_session_size == 2**18
    assert MemoryStore("1M", reduce_to=1).reduce_to == 1.0


def test_a_key_is_32_bytes(store: MemoryStore) -> None:
    for wrong in (b"", b"x" * 31, b"x" * 33):
        with pytest.raises(ConfigError, match="32 bytes"):
            store.add(wrong, Record(b""), idle=1, life=1)
        assert store.get(wrong) is None
        assert store.destroy(wrong) is None


def test_a_standing_is_16_bytes(store: MemoryStore) -> None:
    with pytest.raises(ConfigError, match="16 bytes"):
        add(store, 1, reputation=b"short")


def test_durations_are_numbers(store: MemoryStore) -> None:
    for idle, life in ((math.nan, 1.0), (1.0, math.nan)):
        with pytest.raises(ConfigError):
            store.add(key(1), Record(b""), idle=idle, life=life)
    add(store, 1)
    with pytest.raises(ConfigError):
        store.touch(key(1), idle=math.nan)
    with pytest.raises(ConfigError):
        store.set(key(1), Record(b""), expected=b"x" * 500, idle=math.nan)
    assert store.length() == 1


# --- the bound


def test_a_storm_never_passes_the_bound(clock: FakeClock) -> None:
    for size, steps in ((2**16, 4000), (2**18, 4000), (2**21, 8000)):
        rng = random.Random(size)
        store = MemoryStore(size, interval=10, clock=clock)
        keys = [rng.randbytes(32)]
        for step in range(steps):
            clock.advance(rng.random() / 10)
            some, new = rng.choice(keys), rng.randbytes(32)
            payload = rng.randbytes(int(rng.expovariate(1 / 700)) % (size // 16 - 400))
            user = rng.choice([None, None, f"user{rng.randrange(50)}"])
            record = Record(payload, user, None, rng.choice([None, store.new_reputation()]))
            found = store.get(some)
            verb = rng.random()
            if verb < 0.6 or found is None:
                cap = rng.choice(CAPS)
                store.add(new, record, idle=rng.choice([1, 60, 9000]), life=9000, per_user=cap)
                keys.append(new)
            elif verb < 0.75:
                store.set(some, record, expected=found.payload, idle=60)
            elif verb < 0.9:
                options = {"expected": found.payload, "idle": 60, "life": None, "grace": 10}
                store.replace(some, new, record, **options)  # type: ignore[arg-type]
                keys.append(new)
            elif verb < 0.95:
                store.touch(some, idle=60)
            else:
                store.destroy(some)
            assert store._parts.ledger.used <= size
            if not step % 50:
                recounted(store)
        assert store.stats().evicted + store.stats().expired > 0
        recounted(store)


def test_sizes_that_shift_give_the_tables_back(clock: FakeClock) -> None:
    store = MemoryStore("256K", clock=clock, max_session_size="64K")
    fill(store, 0, 3000, size=0)
    small = store.stats()
    assert small.sessions > 700
    for n in range(10000, 10100):
        add(store, n, size=60000)
        recounted(store)
    assert store.stats().sessions == 3  # all that the payloads alone allow
    for n in range(20000, 21000):
        add(store, n, size=0)
        recounted(store)
    assert store.stats().sessions > 700


def test_payloads_survive_however_often_they_are_moved(clock: FakeClock) -> None:
    for max_size, count, most in ((2**18, 300, 900), (2**20, 200, 9000), (2**20, 1000, 300)):
        rng = random.Random(count)
        store = MemoryStore(max_size, interval=10, clock=clock)
        keys = [key(n) for n in range(count)]
        model: dict[bytes, bytes] = {}
        for step in range(6 * count):
            some = rng.choice(keys)
            payload = rng.randbytes(int(rng.random() ** 3 * most))
            if rng.random() < 0.1 and some in model:
                found = store.destroy(some)
                assert found is not None
                assert found.payload == model.pop(some)
            elif some in model:
                found = store.set(some, Record(payload), expected=model[some], idle=1e6)
                assert found is not None
                model[some] = payload
            else:
                user = rng.choice([None, "ana", "bob"])
                assert store.add(some, Record(payload, user), idle=1e6, life=1e7)
                model[some] = payload
            if not step % 500:
                recounted(store)
        assert store.stats().evicted == 0
        assert {k: found.payload for k, found in store.all()} == model
        recounted(store)


def test_half_of_the_memory_comes_back_when_half_expire(clock: FakeClock) -> None:
    store = MemoryStore("16M", interval=10, clock=clock)
    before = store._parts.ledger.used
    for n in range(20000):
        add(store, n, size=300, idle=10 if n % 2 else 1e6)
    full = store._parts.ledger.used
    clock.advance(11)
    assert store.purge() == 10000
    recounted(store)
    assert store._parts.ledger.used - before < (full - before) * 0.56
    assert len(alive(store, range(20000))) == 10000


def test_the_largest_session_always_fits(clock: FakeClock) -> None:
    for max_size in (2**16, 2**20):
        store = MemoryStore(max_size, clock=clock, max_session_size=max_size // 4)
        largest = max_size // 4 - 200
        fill(store, 0, 400, size=0)
        assert add(store, 1000, size=largest)
        fill(store, 2000, 2000, size=0)
        last = key(3999)
        assert store.set(last, Record(b"y" * largest), expected=b"", idle=10) is not None
        options = {"expected": b"y" * largest, "idle": 60, "life": None, "grace": 10}
        found = store.replace(last, key(5000), Record(b"z" * largest), **options)  # type: ignore[arg-type]
        assert found is not None
        assert found.payload == b"z" * largest
        recounted(store)


def test_room_is_made_a_few_sessions_at_a_time(clock: FakeClock) -> None:
    """Also when all the tables grow at about the same time."""
    store = MemoryStore("4M", clock=clock)
    evicted = 0
    for n in range(30_000):
        add(store, n, size=10 if n > 15_000 else 100)
        before, evicted = evicted, store.stats().evicted
        assert evicted - before <= 64
    assert evicted > 4_000
    recounted(store)


def test_too_large_evicts_nobody(store: MemoryStore) -> None:
    fill(store, 0, 200)
    before = store.stats()
    with pytest.raises(SessionTooLarge) as error:
        add(store, 1000, size=4096)
    assert error.value.limit == 4096 < error.value.size
    after = store.stats()
    assert after.sessions == before.sessions
    assert after.evicted == before.evicted
    assert after.rejected_too_large == 1


@pytest.mark.parametrize("limit", [*range(1025, 1033), 4095])
def test_the_limit_of_a_session_is_exact_however_it_is_written(
    limit: int, clock: FakeClock
) -> None:
    """Records have room up to the next multiple of 8, which is not the session's to grow into."""
    store = MemoryStore("1M", max_session_size=limit, clock=clock)
    with pytest.raises(SessionTooLarge) as error:
        add(store, 1, size=limit)
    most = limit - (error.value.size - limit)  # all but what a record has besides
    add(store, 1, size=most)
    payload = b"x" * most
    with pytest.raises(SessionTooLarge) as error:
        store.set(key(1), Record(b"y" * (most + 1)), expected=payload, idle=10)
    assert (error.value.size, error.value.limit) == (limit + 1, limit)
    found = store.set(key(1), Record(b"z" * most), expected=payload, idle=10)
    assert found is not None
    assert found.payload == b"z" * most
    recounted(store)


def test_bogus_ids_leave_nothing(store: MemoryStore) -> None:
    before = store._parts.ledger.used
    for n in range(10000):
        assert store.get(key(n)) is None
        assert store.touch(key(n), idle=10) is False
    assert store._parts.ledger.used == before


def test_clear_gives_everything_back(clock: FakeClock) -> None:
    store = MemoryStore("4M", clock=clock)
    before = store._parts.ledger.used
    fill(store, 0, 3000)
    store.clear()
    assert store._parts.ledger.used == recounted(store) < before + 1024  # arrays keep a little
    assert add(store, 1)


def test_clear_goes_in_slices_and_others_come_in_between(
    clock: FakeClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What is forgotten and not yet given back is counted, and makes way for whoever writes."""
    store = MemoryStore("4M", clock=clock)
    empty = store._parts.ledger.used
    for n in range(10):
        add(store, n, 100_000)
    fill(store, 10, 5000)
    monkeypatch.setattr("lembro.stores.memory.store.SLICE", 0.0)
    seen: list[int] = []

    def others(seconds: float) -> None:
        assert not store._lock.locked()
        seen.append(recount(store._parts))
        add(store, 10_000 + len(seen), 5000)

    monkeypatch.setattr("lembro.stores.memory.store.time.sleep", others)
    was = store.stats()
    store.clear()
    assert len(seen) > 5
    assert seen == sorted(seen, reverse=True)
    assert store.stats().evicted == was.evicted
    after = alive(store, range(10_001, 10_001 + len(seen)))
    assert after[-1] == 10_000 + len(seen)
    assert after == list(range(after[0], after[-1] + 1)), "all since it was forgotten"
    for n in after:
        store.destroy(key(n))
    assert recount(store._parts) < empty + 1024


@pytest.mark.parametrize("then", ["fill", "large ones", "reduce", "clear"])
def test_a_store_that_was_cleared_and_has_given_nothing_back(clock: FakeClock, then: str) -> None:
    store = MemoryStore("1M", clock=clock)
    fill(store, 0, 3000)
    evicted = store.stats().evicted
    fits = store.stats().sessions
    store._parts.clear()
    assert store._parts.arena.stale > 0
    recount(store._parts)
    if then == "fill":
        fill(store, 5000, fits - 50)
        assert store.stats().sessions == fits - 50
    elif then == "large ones":  # which lie outside of what is to be given back
        fill(store, 5000, 12, 60_000)
        assert store.stats().sessions == 12
    elif then == "reduce":
        fill(store, 5000, 10)
        store.reduce()
        assert store.stats().sessions == 10
    else:
        store.clear()
        assert store._parts.arena.stale == 0
    assert store.stats().evicted == evicted
    assert recount(store._parts) <= store.max_size
    store.clear()
    fill(store, 0, 3000)
    assert recount(store._parts) <= store.max_size


def test_the_tables_shrink_when_most_sessions_are_gone(clock: FakeClock) -> None:
    store = MemoryStore("4M", interval=10, clock=clock)
    before = store._parts.ledger.used
    for n in range(5000):
        add(store, n, size=10, user=f"u{n % 700}" if n % 2 else None, idle=10 if n % 50 else 1e6)
    full = store._parts.ledger.used
    clock.advance(11)
    assert store.purge() == 4900
    recounted(store)
    assert store.length() == 100
    assert store._parts.ledger.used - before < (full - before) / 10
    assert len(alive(store, range(0, 5000, 50))) == 100


# --- purging


def test_purge_goes_on_where_it_stopped(clock: FakeClock) -> None:
    store = MemoryStore("4M", interval=10, clock=clock)
    for n in range(1000):
        add(store, n, size=1, idle=n / 100)
    clock.advance(100)
    assert store.purge(limit=10) == 10
    assert store.purge(limit=0) == 0
    assert store.stats().sessions == 990
    assert store.purge() == 990
    assert store.stats().expired == 1000


def test_purge_releases_the_lock_between_slices(
    clock: FakeClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = MemoryStore("4M", interval=10, clock=clock)
    for n in range(2000):
        add(store, n, size=1, idle=1)
    clock.advance(100)
    seen = []

    def rest(seconds: float) -> None:
        assert not store._lock.locked()
        seen.append(store.stats().sessions)

    monkeypatch.setattr("lembro.stores.memory.store.time.sleep", rest)
    monkeypatch.setattr("lembro.stores.memory.store.SLICE", 0.0)
    assert store.purge() == 2000
    assert len(seen) > 50
    assert seen == sorted(seen, reverse=True)


@pytest.mark.parametrize("verb", ["touch", "set", "set to another length"])
def test_a_deadline_that_moves_earlier_is_kept(clock: FakeClock, verb: str) -> None:
    store = MemoryStore("4M", interval=10, clock=clock)
    add(store, 1, size=10, idle=1e6)
    if verb == "touch":
        store.touch(key(1), idle=5)
    else:
        payload = b"y" * (10 if verb == "set" else 14)
        store.set(key(1), Record(payload), expected=b"x" * 10, idle=5)
    recounted(store)
    clock.advance(6)
    assert store.purge() == 1


def test_all_lists_what_stays_while_the_table_shrinks(clock: FakeClock) -> None:
    store = MemoryStore("4M", interval=10, clock=clock)
    for n in range(5000):
        add(store, n, size=10, idle=1e6 if n > 4800 else 10)
    sessions = store.all()
    seen = {next(sessions)[0]}
    clock.advance(11)
    store.purge()
    seen |= {k for k, _ in sessions}
    assert seen > {key(n) for n in range(4801, 5000)}
    full = store._parts.ledger.used
    store.purge()
    assert store._parts.ledger.used < full
    recounted(store)


def test_writes_alone_purge_what_is_due(clock: FakeClock) -> None:
    store = MemoryStore("4M", interval=10, clock=clock)
    for n in range(300):
        add(store, n, size=1, idle=1)
    clock.advance(20)
    for n in range(1000, 1100):
        add(store, n)
    assert store.stats().sessions == 100


def test_expired_go_before_anybody_is_evicted(clock: FakeClock) -> None:
    store = MemoryStore("64K", interval=10, clock=clock)
    fill(store, 0, 30)
    for n in range(100, 130):
        add(store, n, idle=5)
    clock.advance(20)
    fill(store, 200, 30)
    assert alive(store, range(30)) == list(range(30))
    assert store.stats().evicted == 0


# --- who is evicted


def test_least_recently_used_goes_first(store: MemoryStore, clock: FakeClock) -> None:
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


def test_a_use_within_the_same_second_does_not_move(store: MemoryStore, clock: FakeClock) -> None:
    fill(store, 0, 2)
    clock.advance(0.9)
    store.get(key(0))
    assert next(store._parts.queues.walk(0)) == 0
    clock.advance(0.1)
    store.get(key(0))
    assert next(store._parts.queues.walk(0)) == 1


def test_a_flood_takes_passers_by_and_leaves_the_rest(store: MemoryStore, clock: FakeClock) -> None:
    for n in range(20):
        add(store, n, user=f"user{n}")
    fill(store, 20, 20)
    clock.advance(15)
    for n in range(20, 40):
        store.touch(key(n), idle=1e6)
    assert store.stats().tiers == (0, 20, 0, 0, 20)
    fill(store, 1000, 3000)
    assert alive(store, range(40)) == list(range(40))
    assert store.stats().evicted > 2900


def test_a_thousand_logged_in_survive_a_flood(clock: FakeClock) -> None:
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


def test_levels_follow_the_age_at_the_last_use(store: MemoryStore, clock: FakeClock) -> None:
    add(store, 1)
    for seconds, tier in ((5, 0), (5, 1), (50, 2), (540, 3)):
        clock.advance(seconds)
        store.get(key(1))
        assert store.stats().tiers.index(1) == tier


def test_a_login_that_was_flooded_still_leaves_room_for_newcomers(
    store: MemoryStore, clock: FakeClock
) -> None:
    for n in range(1000):
        add(store, n, user=f"user{n}")
    assert store.stats().tiers[4] > 50
    fill(store, 2000, 10)
    # Up to the floor the newcomers keep what they have, and the logged-in make room for them.
    assert alive(store, range(2005, 2010)) == [2005, 2006, 2007, 2008, 2009]


def test_a_standing_lifts_a_new_session(store: MemoryStore, clock: FakeClock) -> None:
    reputation = store.new_reputation()
    clock.advance(700)
    add(store, 1, reputation=reputation)
    assert store.stats().tiers == (0, 0, 0, 1, 0)


def test_a_record_has_the_standing_it_was_given(store: MemoryStore) -> None:
    reputation = store.new_reputation()
    for n, given, user in ((1, reputation, None), (2, reputation, "ana"), (3, None, None)):
        add(store, n, reputation=given, user=user)
        found = store.get(key(n))
        assert found is not None
        assert found.reputation == given


def test_a_standing_from_the_future_is_born_now(store: MemoryStore, clock: FakeClock) -> None:
    add(store, 1, reputation=b"t" * 8 + struct.pack(">d", clock() + 9999))
    assert store.stats().tiers == (1, 0, 0, 0, 0)
    clock.advance(11)
    store.get(key(1))
    assert store.stats().tiers == (0, 1, 0, 0, 0)


def test_a_token_is_borne_by_one_session(store: MemoryStore, clock: FakeClock) -> None:
    reputation = store.new_reputation()
    clock.advance(700)
    add(store, 1, reputation=reputation)
    add(store, 2, reputation=reputation)
    assert store.stats().tiers == (1, 0, 0, 1, 0)
    clock.advance(10000)
    store.get(key(1))  # the one that lost it stays at the bottom for good
    store.get(key(2))
    assert store.stats().tiers == (1, 0, 0, 1, 0)
    add(store, 3, reputation=reputation)
    assert store.stats().tiers == (2, 0, 0, 1, 0)
    found = store.get(key(3))
    assert found is not None
    assert found.reputation == reputation


def test_one_token_replayed_lifts_one_session(clock: FakeClock) -> None:
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


def test_a_rotation_hands_the_standing_on(store: MemoryStore, clock: FakeClock) -> None:
    reputation = store.new_reputation()
    clock.advance(700)
    add(store, 1, reputation=reputation)
    record = Record(b"new", None, None, reputation)
    store.replace(key(1), key(2), record, expected=b"x" * 500, idle=60, life=None, grace=10)
    assert store.stats().tiers == (0, 0, 0, 1, 0)
    assert store.stats().rotated == 1


def test_a_login_keeps_its_level_whatever_becomes_of_the_token(
    store: MemoryStore, clock: FakeClock
) -> None:
    reputation = store.new_reputation()
    add(store, 1, user="ana", reputation=reputation)
    add(store, 2, reputation=reputation)
    clock.advance(100)
    store.get(key(1))
    assert store.stats().tiers == (1, 0, 0, 0, 1)


def test_the_one_being_written_is_never_evicted_for_itself(
    store: MemoryStore, clock: FakeClock
) -> None:
    fill(store, 0, 100, size=400)
    next_to_go = alive(store, range(100))[0]
    found = store.set(key(next_to_go), Record(b"y" * 3500), expected=b"x" * 400, idle=100)
    assert found is not None
    assert found == store.get(key(next_to_go))
    assert alive(store, range(100))[0] == next_to_go


# --- reduce


def test_reduce_goes_down_to_its_share(
    store: MemoryStore, clock: FakeClock, caplog: pytest.LogCaptureFixture
) -> None:
    heard: list[Event] = []
    store.on("reduced", heard.append)
    fill(store, 0, 200)
    before = store.stats()
    with caplog.at_level(logging.DEBUG, logger="lembro"):
        count = store.reduce()
    after = store.stats()
    assert count == before.sessions - after.sessions > 0
    assert 0.7 * store.max_size < after.used <= 0.75 * store.max_size
    start, done = (r.getMessage() for r in caplog.records if r.name == "lembro")
    assert start.startswith("lembro: reduce starts at 6")
    assert done.startswith("lembro: reduce ends at 4")
    assert [event.name for event in heard] == ["reduced"]
    assert store.reduce() == 0


def test_pressure_goes_on_only_with_whom_nobody_misses(clock: FakeClock) -> None:
    store = MemoryStore("64K", clock=clock)
    fill(store, 0, 200)
    assert store.stats().used > 0.9 * store.max_size
    fresh = store.stats().sessions
    fill(store, 1000, 10)
    assert store.stats().sessions >= fresh - 1  # all came a moment ago: one for one
    clock.advance(901)
    least = store.max_size
    for n in range(2000, 2100):
        add(store, n, size=10)
        least = min(least, store.stats().used)
    assert least <= 0.75 * store.max_size


# --- events


def test_expired_and_evicted_are_told_after_the_lock_is_released(
    store: MemoryStore, clock: FakeClock
) -> None:
    heard: list[tuple[str, str | None, str | None, str]] = []

    def listen(event: Event) -> None:
        store.stats()  # would wait for ever if the lock were held
        heard.append((event.name, event.handle, event.user, event.reason))

    store.on("expired", listen)
    store.on("evicted")(listen)
    add(store, 1, user="ana", idle=5)
    clock.advance(6)
    assert store.get(key(1)) is None
    assert heard == [("expired", handle_for(key(1)), "ana", "")]
    heard.clear()
    add(store, 2, user="bob")
    record = Record(b"")
    store.add(key(3), Record(b"", "bob"), idle=10, life=10, per_user=(1, "oldest"))
    assert heard == [("evicted", handle_for(key(2)), "bob", "max_sessions_per_user")]
    heard.clear()
    store.off("expired", listen)
    clock.advance(11)
    assert store.get(key(3)) is None
    assert heard == []
    fill(store, 100, 200)
    assert {(name, reason) for name, _, _, reason in heard} == {("evicted", "memory")}
    assert len(heard) == store.stats().evicted - 1
    assert record.user is None


def test_once(store: MemoryStore, clock: FakeClock) -> None:
    heard: list[Event] = []
    store.once("expired", heard.append)
    for n in (1, 2):
        add(store, n, idle=1)
    clock.advance(2)
    assert store.purge() == 2
    assert len(heard) == 1


def test_a_listener_that_fails_breaks_nothing(
    store: MemoryStore, clock: FakeClock, caplog: pytest.LogCaptureFixture
) -> None:
    def fail(event: Event) -> None:
        raise ZeroDivisionError

    store.on("expired", fail)
    add(store, 1, idle=1)
    clock.advance(2)
    assert store.purge() == 1
    assert "a listener" in caplog.text


# --- clocks


def test_a_clock_that_is_set_back_stands_still(store: MemoryStore, clock: FakeClock) -> None:
    add(store, 1, idle=100)
    clock.advance(50)
    found = store.get(key(1))
    assert found is not None
    clock.advance(-(10**9))
    again = store.get(key(1))
    assert again == found
    clock.advance(10**9 + 49)
    assert store.get(key(1)) is not None
    clock.advance(2)
    assert store.get(key(1)) is None


def test_the_wall_clock_does_not_matter(monkeypatch: pytest.MonkeyPatch) -> None:
    store = MemoryStore()
    add(store, 1, idle=100)
    monkeypatch.setattr("time.time", lambda: 4e9)
    assert store.get(key(1)) is not None
    monkeypatch.setattr("time.time", lambda: 0.0)
    found = store.get(key(1))
    assert found is not None
    assert 99 < found.idle_left <= 100
    store.close()


# --- numbers


def test_stats(store: MemoryStore, clock: FakeClock) -> None:
    assert store.stats().oldest_visitor_age is None
    add(store, 1)
    clock.advance(7)
    add(store, 2, user="ana")
    stats = store.stats()
    assert (stats.sessions, stats.tiers, stats.oldest_visitor_age) == (2, (1, 0, 0, 0, 1), 7)
    assert (stats.used, stats.max_size) == (store._parts.ledger.used, 65536)
    assert "2 sessions" in repr(store)


def test_the_oldest_visitor_age_is_not_of_a_rotated_key(
    store: MemoryStore, clock: FakeClock
) -> None:
    def rotate(old: int, new: int, user: str | None = None) -> None:
        record = Record(b"x" * 500, user)
        store.replace(key(old), key(new), record, expected=b"x" * 500, idle=60, life=None, grace=50)

    add(store, 1)
    clock.advance(3)
    rotate(1, 2)
    clock.advance(4)
    assert store.stats().oldest_visitor_age == 4
    rotate(2, 3)
    clock.advance(1)
    assert store.stats().oldest_visitor_age == 1
    rotate(3, 4, "ana")
    clock.advance(1)
    assert store.stats().tiers == (0, 0, 0, 0, 1)
    assert store.stats().rotated == 3
    assert store.stats().oldest_visitor_age is None


def test_the_search_for_the_oldest_visitor_age_is_short(clock: FakeClock) -> None:
    store = MemoryStore("4M", clock=clock)

    def rotate(n: int) -> None:
        store.replace(key(n), key(n + 1), Record(b""), expected=b"", idle=60, life=None, grace=50)

    add(store, 0, size=0)
    for n in range(MOST_SKIPPED):
        rotate(n)
    clock.advance(2)
    rotate(MOST_SKIPPED)
    clock.advance(1)
    assert store.stats().oldest_visitor_age == 3  # no further than this
    for n in range(2):
        store.destroy(key(n))
    assert store.stats().oldest_visitor_age == 1
    store.close()


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="there is no /proc elsewhere")
def test_the_resident_bytes_of_the_process(store: MemoryStore) -> None:
    before = store.stats().rss
    block = b"\1" * (32 << 20)
    after = store.stats().rss
    assert before is not None
    assert after is not None
    assert 16 << 20 < after - before < 64 << 20
    del block


def test_where_the_system_does_not_tell(
    store: MemoryStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fails(*_: object) -> int:
        raise FileNotFoundError

    monkeypatch.setattr("os.open", fails)
    assert store.stats().rss is None


def test_overhead_of_a_session() -> None:
    store = MemoryStore("64M")
    before = store._parts.ledger.used
    for n in range(10000):
        add(store, n, size=300)
    assert (store._parts.ledger.used - before) / 10000 - 300 < 130
    store.close()


def test_the_ledger_counts_no_less_than_was_allocated(clock: FakeClock) -> None:
    for max_size in ("64K", "4M"):
        MemoryStore(max_size, clock=clock)
        gc.collect()
        tracemalloc.start()
        before, _ = tracemalloc.get_traced_memory()
        store = MemoryStore(max_size, clock=clock)
        store.close()
        empty, _ = tracemalloc.get_traced_memory()
        assert empty - before <= store._parts.ledger.used
        for n in range(3000):
            user = f"user{n}" if n % 3 else None
            add(store, n, size=n % 1500, user=user, reputation=store.new_reputation())
        gc.collect()
        full, _ = tracemalloc.get_traced_memory()
        tracemalloc.stop()
        assert full - before <= store._parts.ledger.used <= store.max_size


def test_what_is_no_record_leaves_no_trace(store: MemoryStore) -> None:
    before = store._parts.ledger.used
    for wrong in (Record("text"), Record(None), Record(b"", 5), Record(b"", None, None, "s" * 16)):  # type: ignore[arg-type]
        with pytest.raises((TypeError, AttributeError)):
            store.add(key(1), wrong, idle=1, life=1)
        recounted(store)
    add(store, 1)
    with pytest.raises(TypeError):
        store.set(key(1), Record("text"), expected=b"x" * 500, idle=1)  # type: ignore[arg-type]
    store.destroy(key(1))
    assert store.length() == 0
    assert store._parts.ledger.used >= before


def test_purge_of_less_than_nothing(store: MemoryStore, clock: FakeClock) -> None:
    add(store, 1, idle=1)
    clock.advance(5)
    assert store.purge(limit=-1) == 0
    assert store.purge() == 1


def test_what_is_opened_again_purges_again() -> None:
    """An application may be started more than once in a process."""
    store = MemoryStore(interval=0.02)
    store.open()
    assert store._purger is None, "at the first add"
    for n in range(2):
        add(store, n, idle=0.01)
        wait_until_empty(store)
        store.close()
    add(store, 3, idle=0.01)
    store.open()
    wait_until_empty(store)
    store.close()


def wait_until_empty(store: MemoryStore) -> None:
    store.open()
    for _ in range(500):
        if not store.stats().sessions:
            return
        time.sleep(0.01)
    raise AssertionError("nothing was purged")


# --- what hardly ever happens


def test_tables_that_shrink_take_logged_in_sessions_along(clock: FakeClock) -> None:
    store = MemoryStore("4M", interval=10, clock=clock)
    for n in range(2000):
        add(store, n, size=20, user=f"user{n % 50}")
    for n in range(1900):
        store.destroy(key(n))
    store.purge()
    assert store._parts.slots.capacity < 500
    recounted(store)
    for n in range(50):
        assert [k for k, _ in store.of_user(f"user{n}")] == [key(1900 + n), key(1950 + n)]
    assert len(store.destroy_user("user7")) == 2
    recounted(store)


def test_a_rotation_gives_a_token_up_and_the_table_its_room(clock: FakeClock) -> None:
    store = MemoryStore("256K", interval=10, clock=clock)
    for n in range(200):
        add(store, n, size=10, reputation=store.new_reputation())
    before = store._parts.user_index.size
    for n in range(200):
        options = {"expected": b"x" * 10, "idle": 10, "life": None, "grace": 5}
        assert store.replace(key(n), key(1000 + n), Record(b"y"), **options)  # type: ignore[arg-type]
        recounted(store)
    assert store._parts.user_index.size < before


def test_a_token_is_taken_over_while_the_table_shrinks(clock: FakeClock) -> None:
    store = MemoryStore("256K", interval=10, clock=clock)
    token = store.new_reputation()
    for n in range(200):
        add(store, n, size=10, reputation=store.new_reputation())
    for n in range(200):
        store.destroy(key(n))
        add(store, 1000 + n, size=10, reputation=token)
        recounted(store)
    assert store._parts.user_index.count == 1


def test_a_token_that_looks_like_a_user_takes_nothing_from_them(store: MemoryStore) -> None:
    forged = user_tag(b"ana").to_bytes(8, "big") + bytes(8)
    add(store, 1, user="ana")
    add(store, 2, reputation=forged)
    recounted(store)
    assert [k for k, _ in store.of_user("ana")] == [key(1)]
    assert store.stats().tiers[4] == 1


def test_a_user_s_pointer_to_another_s_session_goes_with_the_user(store: MemoryStore) -> None:
    add(store, 1, size=3, user="ana")
    options = {"expected": b"xxx", "idle": 10, "life": None, "grace": 5}
    store.replace(key(1), key(2), Record(b"y", "bob"), **options)  # type: ignore[arg-type]
    assert store.destroy_user("ana", keep=key(3)) == []
    assert store.get(key(1)) is None
    assert store.get(key(2)) is not None


def test_a_key_of_another_length_is_no_successor(store: MemoryStore) -> None:
    add(store, 1, size=3)
    options = {"expected": b"xxx", "idle": 10, "life": None, "grace": 5}
    with pytest.raises(ConfigError, match="32 bytes"):
        store.replace(key(1), b"short", Record(b"y"), **options)  # type: ignore[arg-type]


def test_a_name_too_long_for_a_segment_is_refused(store: MemoryStore) -> None:
    with pytest.raises(SessionTooLarge):
        add(store, 1, user="u" * 500)
    assert store.length() == 0


def test_easing_ends_where_no_memory_would_come_back(clock: FakeClock) -> None:
    """Three of these fill a segment and leave a quarter of it, which evacuating does not give."""
    store = MemoryStore("1M", interval=10, clock=clock)
    n = 0
    while not store.stats().evicted:
        n += 1
        add(store, n, size=1975)
    clock.advance(1000)  # nobody misses them
    for n in range(1000, 1060):
        add(store, n, size=1975)
    assert store.stats().used > store._parts.ledger.target
    assert store.stats().evicted < 100
    recounted(store)


def test_reduce_ends_where_nothing_is_left_to_go(clock: FakeClock) -> None:
    store = MemoryStore("64K", interval=10, reduce_to=0.01, clock=clock)
    fill(store, 0, 10)
    assert store.reduce() == 10
    assert store.stats().used > store._parts.ledger.target
    recounted(store)


def test_a_write_for_which_nothing_makes_room_is_refused(store: MemoryStore) -> None:
    """It cannot be, with settings that are accepted; but neither must a write spin."""
    parts = store._parts
    add(store, 1, size=100)
    fill(store, 1000, 4)
    parts.ledger.max_size = parts.ledger.fixed
    parts.ledger.update()
    with pytest.raises(SessionTooLarge):
        store.set(key(1), Record(b"y" * 1000), expected=b"x" * 100, idle=10)
    assert parts.records.count == 1
    with pytest.raises(SessionTooLarge):
        add(store, 3)
    assert parts.records.count == 0
    parts.ledger.max_size = store.max_size
    parts.ledger.update()


def test_what_fits_is_written_though_nothing_can_go(store: MemoryStore) -> None:
    store._parts.ledger.live_limit = 0
    assert add(store, 1)
    assert store.stats().evicted == 0


def test_a_size_that_the_system_does_not_give() -> None:
    with pytest.raises(ConfigError, match="Use a smaller max_size"):
        MemoryStore(2**60)


def test_without_a_thread_the_store_works_on(
    store: MemoryStore, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def start(self: threading.Thread) -> None:
        raise RuntimeError("can't start new thread at interpreter shutdown")

    monkeypatch.setattr(threading.Thread, "start", start)
    with caplog.at_level(logging.DEBUG, "lembro"):
        assert add(store, 1)
    assert "the purge thread was not started" in caplog.text
    assert store.length() == 1


@pytest.mark.parametrize("text", [b"", b"17", b"17 many pages"])
def test_where_the_system_does_not_tell_there_is_no_number(
    text: bytes, store: MemoryStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("os.read", lambda fd, count: text)
    assert store.stats().rss is None


# --- the ledger, number by number


@pytest.mark.parametrize("max_size", [2**16, 2**20 - 8, 2**20, 2**20 + PAGE, 2**24])
def test_what_an_empty_store_takes(max_size: int, clock: FakeClock) -> None:
    store = MemoryStore(max_size, interval=10, clock=clock)
    parts, arena = store._parts, store._parts.arena
    pages = max_size >= 2**20  # the last page of each of eight stretches is counted as well
    unit = PAGE if pages else 256
    assert parts.ledger.fixed == 9 * 1024 + arena.tables + parts.wheel.size + pages * 8 * PAGE
    assert parts.ledger.used == parts.ledger.fixed + 2 * unit + arena.segment
    assert parts.ledger.limit == max_size - parts.slots.growth() - 2 * unit
    room = parts.ledger.limit - parts.ledger.fixed - 2 * unit - 2 * arena.segment
    assert parts.ledger.live_limit == int(room * 15 / 16)
    assert parts.user_share.share == max_size // 16, "of a user"
    recounted(store)


@pytest.mark.parametrize(("max_size", "buckets"), [(2**16, 64), (2**20, 256), (2**23, 1024)])
def test_how_finely_time_is_told(max_size: int, buckets: int, clock: FakeClock) -> None:
    wheel = MemoryStore(max_size, interval=10, clock=clock)._parts.wheel
    assert wheel._buckets == min(buckets, 1024)
    assert wheel._width == 5, "half an interval"
    assert MemoryStore(2**24, interval=10, clock=clock)._parts.wheel._buckets == 1024


def test_the_longest_name_in_a_small_store(store: MemoryStore) -> None:
    assert add(store, 1, size=1, user="u" * 384)
    with pytest.raises(SessionTooLarge):
        add(store, 2, size=1, user="u" * 385)


def test_places_are_told_in_as_many_bits_as_it_takes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(parts, "WIDEST", 2**16)
    for max_size, bytes_each in ((2**16, 4), (2**16 + 1, 8)):
        store = MemoryStore(max_size)
        assert store._parts.reader.place.itemsize == bytes_each
        assert add(store, 1)
        recounted(store)


def test_the_largest_numbers_fit_in_their_fields() -> None:
    assert parts.WIDEST == 8 * 2**32  # places: 32 bits, in eights of bytes
    assert 2**31 - 100 < parts.MOST_SLOTS < 2**31 - 2 * (TIERS + 1)
    assert limits.MOST_INSIDE + layout.LONGEST_USER + max(layout.BODY) <= 8 * 0xFFFF  # extents


def test_every_step_of_a_growing_table_is_counted(clock: FakeClock) -> None:
    store = MemoryStore("512K", interval=10, clock=clock)
    for n in range(300):
        add(store, n, size=1, reputation=store.new_reputation())
        with store._lock:  # the purger goes by the real time, and may tidy up in between
            assert recount(store._parts) == store._parts.ledger.used
    for n in range(300):
        store.destroy(key(n))
        with store._lock:
            assert recount(store._parts) == store._parts.ledger.used


def test_a_record_takes_no_eight_bytes_more_than_it_must(store: MemoryStore) -> None:
    parts = store._parts
    slot = 0
    for n, length in ((80, 7), (88, 8), (88, 15)):
        store.clear()
        assert add(store, 1, size=length)
        assert parts.reader.size(slot) == n
    for length, size in ((207, 280), (208, 288), (439, 512)):
        found = store.get(key(1))
        assert found is not None
        store.set(key(1), Record(b"y" * length), expected=found.payload, idle=100)
        assert parts.reader.size(slot) == size
        assert len(parts.overflow) == 0
    found = store.get(key(1))
    assert found is not None
    store.set(key(1), Record(b"z" * 440), expected=found.payload, idle=100)
    assert len(parts.overflow) == 1


def test_since_when_the_oldest_passer_by_has_not_been_seen(
    store: MemoryStore, clock: FakeClock
) -> None:
    add(store, 1)
    clock.advance(5)
    store.get(key(1))
    clock.advance(3)
    assert store.stats().oldest_visitor_age == 3
