"""The statistics."""

from __future__ import annotations

import sys

import pytest

from lembro.stores.base import Record
from lembro.stores.memory import MemoryStore
from lembro.stores.memory.eviction import MOST_SKIPPED
from lembro.testing import FakeClock
from tests.support.memory import add, key


def test_stats_counts_sessions_and_bytes(store: MemoryStore, clock: FakeClock) -> None:
    assert store.stats().oldest_visitor_age is None
    add(store, 1)
    clock.advance(7)
    add(store, 2, user="ana")
    stats = store.stats()
    assert (stats.sessions, stats.tiers, stats.oldest_visitor_age) == (2, (1, 0, 0, 0, 1), 7)
    assert (stats.used, stats.max_size) == (store._parts.ledger.used, 65536)
    assert "2 sessions" in repr(store)


def test_the_oldest_visitor_age_ignores_rotated_keys(store: MemoryStore, clock: FakeClock) -> None:
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
    assert store.stats().oldest_visitor_age == 3  # the search goes no further
    for n in range(2):
        store.destroy(key(n))
    assert store.stats().oldest_visitor_age == 1
    store.close()


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="/proc exists on Linux only")
def test_rss_is_the_resident_memory_of_the_process(store: MemoryStore) -> None:
    before = store.stats().rss
    block = b"\1" * (32 << 20)
    after = store.stats().rss
    assert before is not None
    assert after is not None
    assert 16 << 20 < after - before < 64 << 20
    del block


def test_rss_is_none_without_proc(store: MemoryStore, monkeypatch: pytest.MonkeyPatch) -> None:
    def fails(*_: object) -> int:
        raise FileNotFoundError

    monkeypatch.setattr("os.open", fails)
    assert store.stats().rss is None


@pytest.mark.parametrize("text", [b"", b"17", b"17 many pages"])
def test_rss_is_none_if_proc_has_no_number(
    text: bytes, store: MemoryStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("os.read", lambda fd, count: text)
    assert store.stats().rss is None


def test_the_oldest_visitor_age_counts_from_the_last_use(
    store: MemoryStore, clock: FakeClock
) -> None:
    add(store, 1)
    clock.advance(5)
    store.get(key(1))
    clock.advance(3)
    assert store.stats().oldest_visitor_age == 3
