"""The locks of the stores when the process forks, and of a store before its first use."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any
from weakref import WeakSet

import pytest

from lembro import MemoryStore
from lembro.stores.memory import fork, lock
from lembro.stores.memory.lock import Lock


def test_a_fork_waits_a_second_at_most_for_a_verb(monkeypatch: pytest.MonkeyPatch) -> None:
    waits: list[float] = []

    def acquire(*, timeout: float) -> None:
        waits.append(timeout)

    store: Any = MemoryStore("64K")
    monkeypatch.setattr(fork, "_stores", WeakSet([store]))
    store._lock = SimpleNamespace(acquire=acquire)
    fork._before()
    fork._in_parent()
    assert waits == [1.0]


def test_the_lock_before_the_first_use_waits_by_default() -> None:
    calls: list[bool] = []
    first: Any = fork.FirstUse(MemoryStore("64K"), lambda: None)
    first._done = True
    first._real = SimpleNamespace(acquire=calls.append)
    first.acquire()  # no limit: the lock is an imitation
    first.acquire(False)
    assert calls == [True, False]


def test_a_held_lock_is_tried_again_after_a_tenth_of_a_millisecond(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    held, pauses = Lock(), list[float]()

    def sleep(seconds: float) -> None:
        pauses.append(seconds)
        held.release()

    assert held.acquire(False)
    monkeypatch.setattr(lock, "time", SimpleNamespace(sleep=sleep))
    held.wait()  # no limit: its first pause releases the lock
    assert pauses == [0.0001]
