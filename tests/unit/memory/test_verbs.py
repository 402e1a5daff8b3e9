"""The verbs of MemoryStore, in cases that the contract's suite does not cover."""

from __future__ import annotations

import math
from collections.abc import Callable

import pytest

from lembro.errors import ConfigError
from lembro.stores.base import Record
from lembro.stores.memory import MemoryStore
from lembro.testing import FakeClock
from tests.support.memory import add, key, recounted


def test_a_key_is_32_bytes(store: MemoryStore) -> None:
    for wrong in (b"", b"x" * 31, b"x" * 33):
        with pytest.raises(ConfigError, match="32 bytes"):
            store.add(wrong, Record(b""), idle=1, life=1)
        assert store.get(wrong) is None
        assert store.destroy(wrong) is None


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


def test_unknown_keys_take_no_memory(store: MemoryStore) -> None:
    before = store._parts.ledger.used
    for n in range(10000):
        assert store.get(key(n)) is None
        assert store.touch(key(n), idle=10) is False
    assert store._parts.ledger.used == before


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


def test_an_invalid_record_changes_nothing(store: MemoryStore) -> None:
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


def test_a_new_key_of_another_length_raises_an_error(store: MemoryStore) -> None:
    add(store, 1, size=3)
    options = {"expected": b"xxx", "idle": 10, "life": None, "grace": 5}
    with pytest.raises(ConfigError, match="32 bytes"):
        store.replace(key(1), b"short", Record(b"y"), **options)  # type: ignore[arg-type]


VERBS: dict[str, Callable[[MemoryStore, int], object]] = {
    "get": lambda store, n: store.get(key(1)),
    "add": lambda store, n: add(store, 1000 + n, size=10),
    "set": lambda store, n: store.set(key(1), Record(b"x" * 10), expected=b"x" * 10, idle=1e6),
    "replace": lambda store, n: store.replace(
        key(n), key(n + 1), Record(b"x" * 10), expected=b"x" * 10, idle=1e6, life=None, grace=0
    ),
    "touch": lambda store, n: store.touch(key(1), idle=1e6),
}


@pytest.mark.parametrize("verb", ["add", "set", "replace", "touch"])
def test_each_write_sweeps_a_few_expired_sessions(clock: FakeClock, verb: str) -> None:
    store = MemoryStore("4M", interval=10, clock=clock)
    store.close()  # only writes purge
    for n in range(2000, 2040):
        add(store, n, size=10, idle=5)
    add(store, 1, size=10)
    clock.advance(60)
    for n in range(1, 60):
        VERBS[verb](store, n)
    assert store.stats().expired == 40


@pytest.mark.parametrize("verb", ["get", "set", "touch"])
def test_the_last_use_is_exact_to_a_second(clock: FakeClock, verb: str) -> None:
    store = MemoryStore("4M", interval=10, clock=clock)
    add(store, 1, size=10)
    parts = store._parts
    slot = parts.index.find(key(1))
    began = parts.reader.last_used(slot)
    clock.advance(0.9)
    VERBS[verb](store, 1)
    assert parts.reader.last_used(slot) == began
    clock.advance(0.1)
    VERBS[verb](store, 1)
    assert parts.reader.last_used(slot) == began + 1
    store.close()


def test_a_session_is_absent_from_its_deadline_on(clock: FakeClock) -> None:
    verbs: list[Callable[[MemoryStore], object]] = [
        lambda store: store.get(key(1)),
        lambda store: store.set(key(1), Record(b""), expected=b"x" * 10, idle=5) is not None,
        lambda store: store.touch(key(1), idle=5),
        lambda store: store.destroy(key(1)) is not None,
        lambda store: list(store.all()),
        lambda store: store.of_user("ana"),
    ]
    for verb in verbs:
        store = MemoryStore("64K", interval=1000, clock=clock)
        add(store, 1, size=10, user="ana", idle=5)
        clock.advance(4.5)
        assert store._parts.records.live(key(1), clock()) >= 0
        clock.advance(0.5)
        assert not verb(store)
        store.close()


def test_a_record_that_becomes_much_shorter_releases_its_place(clock: FakeClock) -> None:
    store = MemoryStore("4M", interval=10, clock=clock)
    add(store, 1, size=4000)
    before = store._parts.arena.live_total
    for size, moves in ((3200, False), (2900, True)):
        held = store.get(key(1))
        assert held is not None
        store.set(key(1), Record(b"y" * size), expected=held.payload, idle=100)
        assert (store._parts.arena.live_total < before) == moves
    recounted(store)
    store.close()
