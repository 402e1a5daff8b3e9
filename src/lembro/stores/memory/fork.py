"""What a fork does to stores: the child gets copies in a consistent state, with locks of its own
and without the parent's threads."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable
from types import TracebackType
from typing import Any, Protocol
from weakref import WeakSet


class AnyLock(Protocol):
    """What the store needs of a lock."""

    def __enter__(self) -> Any: ...
    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
        /,
    ) -> Any: ...
    def acquire(self, blocking: bool = True, timeout: float = -1) -> bool: ...
    def release(self) -> None: ...


class Forkable(Protocol):
    _lock: AnyLock

    def _after_fork(self) -> None: ...


class FirstUse:
    """Stands in for a lock until it is first taken: then it does something once, puts a real
    lock in its place, and takes that. So the verbs need not ask each time whether there was a
    fork."""

    def __init__(self, store: Forkable, action: Callable[[], None]) -> None:
        self._store = store
        self._action = action
        self._mine = threading.Lock()
        self._real = threading.Lock()
        self._done = False

    def acquire(self, blocking: bool = True, timeout: float = -1) -> bool:
        with self._mine:
            if not self._done:
                self._done = True
                self._store._lock = self._real
                self._action()
        return self._real.acquire(blocking, timeout)

    def release(self) -> None:
        self._real.release()

    def __enter__(self) -> bool:
        return self.acquire()

    def __exit__(self, *exc: object) -> None:
        self.release()


_stores: WeakSet[Any] = WeakSet()
_held: dict[int, list[AnyLock]] = {}  # by the thread that forks


def watch(store: Forkable) -> None:
    """Look after a store when the process forks."""
    _stores.add(store)


def _before() -> None:
    """Wait until no verb is under way, so that the child's copies are whole."""
    held = _held[threading.get_ident()] = []
    for store in list(_stores):
        lock = store._lock
        if not isinstance(lock, FirstUse) and lock.acquire(timeout=1.0):
            held.append(lock)


def _in_parent() -> None:
    for lock in _held.pop(threading.get_ident(), ()):
        lock.release()


def _in_child() -> None:
    _held.clear()
    for store in list(_stores):
        store._after_fork()


if hasattr(os, "register_at_fork"):  # pragma: no branch - Windows does not fork
    os.register_at_fork(before=_before, after_in_parent=_in_parent, after_in_child=_in_child)
