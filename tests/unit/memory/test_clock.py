"""The store's clock."""

from __future__ import annotations

import pytest

from lembro.stores.memory import MemoryStore
from lembro.testing import FakeClock
from tests.support.memory import add, key


def test_the_time_stops_while_the_clock_is_set_back(store: MemoryStore, clock: FakeClock) -> None:
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


def test_expiry_does_not_depend_on_the_wall_clock(monkeypatch: pytest.MonkeyPatch) -> None:
    store = MemoryStore()
    add(store, 1, idle=100)
    monkeypatch.setattr("time.time", lambda: 4e9)
    assert store.get(key(1)) is not None
    monkeypatch.setattr("time.time", lambda: 0.0)
    found = store.get(key(1))
    assert found is not None
    assert 99 < found.idle_left <= 100
    store.close()
