"""The sessions of a user, in cases that the contract's suite does not cover."""

from __future__ import annotations

from lembro.stores.base import Record
from lembro.stores.memory import MemoryStore
from lembro.stores.memory.user_sessions import MOST_ROTATED
from tests.support.memory import add, key


def test_a_rotated_key_belongs_to_the_user_of_its_session(
    store: MemoryStore,
) -> None:
    add(store, 1, size=3, user="ana")
    options = {"expected": b"xxx", "idle": 10, "life": None, "grace": 5}
    store.replace(key(1), key(2), Record(b"y", "bob"), **options)  # type: ignore[arg-type]
    assert store.destroy_user("ana", keep=key(3)) == []
    assert store.get(key(1)) is None
    assert store.get(key(2)) is not None


def test_a_rotation_removes_no_live_session_of_a_user_with_many(store: MemoryStore) -> None:
    sessions = MOST_ROTATED + 2
    for n in range(sessions):
        add(store, n, size=3, user="ana")
    options = {"expected": b"xxx", "idle": 1e6, "life": None, "grace": 5}
    new = Record(b"y", "ana")
    assert store.replace(key(0), key(1000), new, **options)  # type: ignore[arg-type]
    assert len(store.of_user("ana")) == sessions
    assert store.stats().rotated == 1


def test_the_rotated_keys_of_a_user_are_limited(store: MemoryStore) -> None:
    add(store, 0, size=3, user="ana")
    for n in range(MOST_ROTATED + 2):
        options = {"expected": b"xxx", "idle": 1e6, "life": None, "grace": 5 + n}
        assert store.replace(key(n), key(n + 1), Record(b"xxx", "ana"), **options)  # type: ignore[arg-type]
    assert store.stats().rotated == MOST_ROTATED
    assert store.get(key(1)) is None  # the remaining one that would expire first
    assert store.get(key(2)) is not None
