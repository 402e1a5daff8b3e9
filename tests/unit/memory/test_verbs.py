"""The verbs of MemoryStore, where the contract's suite does not reach."""

from __future__ import annotations

import math

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
