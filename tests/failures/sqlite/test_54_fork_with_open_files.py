"""54. Fork with open files (gunicorn #1953).

The process uses the store and forks. Then parent and children use the store at the same time. No
process gets the reply of another, and no write is lost.
"""

from __future__ import annotations

import multiprocessing
import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from lembro import Record, StoreUnavailable
from lembro.stores import SQLiteStore
from lembro.testing import Blocking

LIVES: dict[str, Any] = {"idle": 1000.0, "life": 1000.0}
CHILDREN = 3
TIMES = 100


def key_of(name: str) -> bytes:
    return name.encode().ljust(32, b".")


def hammer(store: Any, name: str) -> None:
    """Write the numbers up to ``TIMES`` to the session of this name, and check every reply."""
    key = key_of(name)
    payload = f"{name} 0".encode()
    while True:
        try:
            assert store.add(key, Record(payload), **LIVES)
            break
        except StoreUnavailable:  # SQLite does not grant its lock in order
            continue
    number = 0
    while number < TIMES:
        found = store.get(key)
        assert found.payload == payload, found
        new = f"{name} {number + 1}".encode()
        try:
            found = store.set(key, Record(new), expected=payload, idle=1000.0)
        except StoreUnavailable:
            continue
        assert found.payload == new, found
        payload, number = new, number + 1


def hammer_in_a_loop(store: SQLiteStore, name: str) -> None:
    twin = Blocking(lambda: store.aio)
    hammer(twin, name)
    twin.close()


@pytest.mark.parametrize("target", [hammer, hammer_in_a_loop], ids=["sync", "async"])
def test_parent_and_children_use_the_store_at_once(tmp_path: Path, target: Any) -> None:
    path = tmp_path / "sessions.db"
    store = SQLiteStore(path, timeout=1.0)
    target(store, "before")
    context = multiprocessing.get_context("fork")
    names = [f"child {number}" for number in range(CHILDREN)]
    children = [context.Process(target=target, args=(store, name)) for name in names]
    for child in children:
        child.start()
    target(store, "parent")
    for child in children:
        child.join(timeout=60)
    assert [child.exitcode for child in children] == [0] * CHILDREN
    for name in (*names, "before", "parent"):
        found = store.get(key_of(name))
        assert found is not None
        assert found.payload == f"{name} {TIMES}".encode()
    store.close()
    with closing(sqlite3.connect(path)) as database:
        assert database.execute("pragma integrity_check").fetchone() == ("ok",)
