"""The sessions of a user, where the contract's suite does not reach."""

from __future__ import annotations

from lembro.stores.base import Record
from lembro.stores.memory import MemoryStore
from tests.support.memory import add, key


def test_a_rotated_key_belongs_to_the_user_it_had(
    store: MemoryStore,
) -> None:
    add(store, 1, size=3, user="ana")
    options = {"expected": b"xxx", "idle": 10, "life": None, "grace": 5}
    store.replace(key(1), key(2), Record(b"y", "bob"), **options)  # type: ignore[arg-type]
    assert store.destroy_user("ana", keep=key(3)) == []
    assert store.get(key(1)) is None
    assert store.get(key(2)) is not None
