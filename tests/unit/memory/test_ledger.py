"""The ledger: all bytes are counted, and never exceed max_size."""

from __future__ import annotations

import os
import random
import subprocess
import sys

import pytest

from lembro.stores.base import PerUser, Record
from lembro.stores.memory import MemoryStore
from lembro.stores.memory.arena import Arena
from lembro.stores.memory.audit import recount
from lembro.stores.memory.expiry_wheel import ExpiryWheel
from lembro.stores.memory.index import Index
from lembro.stores.memory.ledger import FIXED, Ledger
from lembro.stores.memory.overflow import Overflow, allocated
from lembro.stores.memory.reserved_memory import PAGE
from lembro.stores.memory.user_index import UserIndex
from lembro.testing import FakeClock
from tests.support import NOT_MEASURED, ROOT
from tests.support.memory import add, alive, fill, key, recounted
from tests.support.table import MOST, Table

CAPS: list[PerUser | None] = [None, (3, "oldest"), (3, "refuse")]


def test_random_verbs_never_exceed_max_size(clock: FakeClock) -> None:
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


def test_the_tables_shrink_when_sessions_become_fewer_and_larger(clock: FakeClock) -> None:
    store = MemoryStore("256K", clock=clock)
    fill(store, 0, 3000, size=0)
    small = store.stats()
    assert small.sessions > 700
    for n in range(10000, 10100):
        add(store, n, size=3800)
        recounted(store)
    assert store.stats().sessions < 60  # as many as if only the payloads counted
    for n in range(20000, 21000):
        add(store, n, size=0)
        recounted(store)
    assert store.stats().sessions > 700


def test_half_of_the_memory_is_free_after_half_expired(clock: FakeClock) -> None:
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


def test_the_overhead_of_a_session_is_below_130_bytes() -> None:
    store = MemoryStore("64M")
    before = store._parts.ledger.used
    for n in range(10000):
        add(store, n, size=300)
    assert (store._parts.ledger.used - before) / 10000 - 300 < 130
    store.close()


MEASURE = """
import gc, sys, tracemalloc
from lembro.stores.memory import MemoryStore
from lembro.testing import FakeClock
from tests.support.memory import add

def measure(max_size):
    clock = FakeClock()
    warm = MemoryStore(max_size, clock=clock)
    add(warm, 0, size=1, user="user", reputation=warm.new_reputation())
    warm.close()
    del warm
    gc.collect()
    tracemalloc.start()
    before, _ = tracemalloc.get_traced_memory()
    store = MemoryStore(max_size, clock=clock)
    store.close()
    gc.collect()
    empty, _ = tracemalloc.get_traced_memory()
    assert empty - before <= store._parts.ledger.used, (empty - before, store)
    for n in range(3000):
        user = f"user{n}" if n % 3 else None
        add(store, n, size=n % 1500, user=user, reputation=store.new_reputation())
    gc.collect()
    full, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    used = store._parts.ledger.used
    assert full - before <= used <= store.max_size, (full - before, used)

measure("64K")
measure("4M")
"""


def test_the_ledger_counts_at_least_what_was_allocated() -> None:
    # In a separate process, because tracemalloc counts what other threads allocate, too.
    done = subprocess.run(
        [sys.executable, "-c", MEASURE],
        capture_output=True,
        text=True,
        cwd=ROOT,
        env={**os.environ, **NOT_MEASURED},
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("max_size", [2**16, 2**20 - 8, 2**20, 2**20 + PAGE, 2**24])
def test_the_size_of_an_empty_store(max_size: int, clock: FakeClock) -> None:
    store = MemoryStore(max_size, interval=10, clock=clock)
    parts, arena = store._parts, store._parts.arena
    pages = max_size >= 2**20  # the last page of each of the eight mappings counts too
    unit = PAGE if pages else 256
    assert parts.ledger.fixed == 9 * 1024 + arena.tables + parts.wheel.size + pages * 8 * PAGE
    assert parts.ledger.used == parts.ledger.fixed + 2 * unit + arena.segment
    assert parts.ledger.limit == max_size - parts.slots.growth() - 2 * unit
    room = parts.ledger.limit - parts.ledger.fixed - 2 * unit - 2 * arena.segment
    assert parts.ledger.live_limit == int(room * 15 / 16)
    assert parts.user_share.share == max_size // 16, "of a user"
    recounted(store)


def test_every_step_of_a_growing_table_is_counted(clock: FakeClock) -> None:
    store = MemoryStore("512K", interval=10, clock=clock)
    for n in range(300):
        add(store, n, size=1, reputation=store.new_reputation())
        with store._lock:  # the purger uses the real time and may run in between
            assert recount(store._parts) == store._parts.ledger.used
    for n in range(300):
        store.destroy(key(n))
        with store._lock:
            assert recount(store._parts) == store._parts.ledger.used


class Counted:
    """A ledger with the parts that it counts."""

    def __init__(self) -> None:
        table = Table()
        self.arena = Arena(2**16)
        self.slots = table.slots
        self.index: Index = table.index()
        self.user_index = UserIndex(table.place, table.memory, MOST, 256)
        self.overflow = Overflow()
        self.wheel = ExpiryWheel(self.arena.segments, 8, 5.0, 0.0)
        self.ledger = Ledger(
            2**16,
            0.75,
            self.arena,
            self.slots,
            self.index,
            self.user_index,
            self.overflow,
            self.wheel,
        )


def test_the_sum_follows_segments_tables_and_overflow() -> None:
    counted = Counted()
    ledger = counted.ledger
    assert ledger.fixed == FIXED + counted.arena.tables + counted.wheel.size
    assert ledger.target == 2**16 * 3 // 4
    before = ledger.used
    counted.arena.open_next()
    counted.slots.grow()
    counted.overflow.put(1, b"x" * 3000)
    assert ledger.used == before, "until the next update"
    ledger.update()
    grown = counted.arena.segment + counted.slots.size + allocated(3000)
    assert ledger.used == before + grown


def test_the_limit_leaves_room_for_one_more_step_of_each_table() -> None:
    counted = Counted()
    ledger = counted.ledger
    for _ in range(3):
        growth = counted.slots.growth() + counted.index.growth() + counted.user_index.growth()
        assert ledger.limit == 2**16 - growth
        counted.slots.grow()
        ledger.update()
