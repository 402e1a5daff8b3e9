"""A small MemoryStore, and functions to fill and check it."""

from __future__ import annotations

import random
from typing import Any

from lembro.stores.base import Record
from lembro.stores.memory import MemoryStore
from lembro.stores.memory.audit import recount


def recounted(store: MemoryStore) -> int:
    """Recount the bytes with the lock held, or on a slow machine the purger may run in between."""
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
    """Return which of the keys are stored. ``all`` does not count as a use of a session."""
    there = {k for k, _ in store.all()}
    return [n for n in numbers if key(n) in there]
