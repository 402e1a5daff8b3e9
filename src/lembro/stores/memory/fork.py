"""Stores in a forked child: consistent copies, with their own locks and without threads."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable
from typing import Any, Protocol
from weakref import WeakSet

from .lock import Lock


class Forkable(Protocol):
    """The part of a store that this module uses."""

    _lock: Lock | FirstUse

    def _after_fork(self) -> None: ...


class FirstUse:
    """A stand-in for a store's lock: of a store with a snapshot, and of each store after a fork.

    When it is first acquired, it puts a real lock into the store, runs two actions, and acquires
    the real lock. So the verbs need not check for the first use at each call.
    """

    def __init__(
        self, store: Forkable, action: Callable[[], None], load: Callable[[], None] | None = None
    ) -> None:
        """Make the stand-in.

        Args:
            store: The store.
            action: What to do at the first use, without the lock.
            load: What to do before, while no other thread can use the store.
        """
        self._store = store
        self._action = action
        self._load = load
        self._mine = threading.Lock()
        self._real = Lock()
        self._done = False

    def acquire(self, blocking: bool = True) -> bool:
        with self._mine:
            if not self._done:
                self._done = True
                with self._real:
                    self._store._lock = self._real
                    if self._load is not None:
                        self._load()
                self._action()
        return self._real.acquire(blocking)

    def release(self) -> None:
        self._real.release()

    def locked(self) -> bool:
        return self._real.locked()

    def wait(self) -> None:
        self._real.wait()

    def __enter__(self) -> None:
        if not self.acquire(False):
            self.wait()

    def __exit__(self, *exc: object) -> None:
        self.release()


_stores: WeakSet[Any] = WeakSet()
_held: dict[int, list[Lock]] = {}  # the locks held for a fork, by the forking thread


def watch(store: Forkable) -> None:
    """Prepare a store for forks, as long as it exists."""
    _stores.add(store)


def _before() -> None:
    """Wait until no verb is running, so that the child gets consistent copies."""
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
