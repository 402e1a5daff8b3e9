"""The thread that purges: how long it waits, and when it ends."""

from __future__ import annotations

import threading
import weakref
from typing import Any

import pytest

from lembro.stores.memory import MemoryStore, purger
from lembro.stores.memory.purger import Purger
from tests.support.memory import add


class Store:
    def __init__(self, error: Exception | None = None) -> None:
        self.error = error
        self.purged = threading.Event()
        self.failures: list[Exception] = []

    def _purge_round(self) -> None:
        self.purged.set()
        if self.error is not None:
            raise self.error

    def _purge_failed(self, error: Exception) -> None:
        self.failures.append(error)


class Stop:
    """A replacement for the lock: the thread's first waits for it fail."""

    def __init__(self, rounds: int) -> None:
        self.rounds = rounds
        self.waits: list[float] = []

    def acquire(self, *, timeout: float) -> bool:
        self.waits.append(timeout)
        return len(self.waits) > self.rounds


def run(store: Store, rounds: int) -> list[float]:
    stop: Any = Stop(rounds)
    purger._run(weakref.ref(store), stop, 360.0)
    waits: list[float] = stop.waits
    return waits


def test_the_purger_waits_one_interval_before_each_round() -> None:
    store = Store()
    assert run(store, 0) == [360.0]
    assert not store.purged.is_set()
    assert run(store, 2) == [360.0] * 3
    assert store.purged.is_set()


def test_an_error_is_reported_and_the_next_round_follows() -> None:
    error = ValueError("oh")
    store = Store(error)
    run(store, 2)
    assert store.failures == [error, error]


def test_the_purger_ends_without_a_store() -> None:
    store = Store()
    ref, stop = weakref.ref(store), Stop(10)
    del store
    lock: Any = stop
    purger._run(ref, lock, 1.0)
    assert stop.waits == [1.0]


def test_the_purger_holds_no_reference_to_the_store_while_it_waits() -> None:
    store = Store()
    running = Purger(store, 0.01)
    assert store.purged.wait(10)
    ref = weakref.ref(store)
    del store
    running.thread.join(10)
    try:
        assert not running.thread.is_alive()
        assert ref() is None
    finally:
        running.stop()


def test_the_purger_ends_as_soon_as_its_store_is_collected() -> None:
    store = Store()
    thread = Purger(store, 360.0).thread
    del store
    thread.join(10)
    assert not thread.is_alive()


def test_stop_ends_the_purger_at_once_and_may_be_called_again() -> None:
    store = Store()
    running = Purger(store, 360.0)
    assert running.thread.daemon
    assert running.thread.name == "lembro-purger"
    running.stop()
    running.thread.join(10)
    assert not running.thread.is_alive()
    running.stop()


def test_opening_an_open_store_starts_no_second_thread() -> None:
    store = MemoryStore("64K", interval=360)
    add(store, 1)
    running = store._purger
    store.open()
    add(store, 2)
    assert store._purger is running is not None
    store.close()


def test_without_threads_there_is_no_purger(monkeypatch: pytest.MonkeyPatch) -> None:
    store = Store()
    started = purger.start(store, 360.0)
    assert started is not None
    started.stop()

    def no_thread(self: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    monkeypatch.setattr(threading.Thread, "start", no_thread)
    assert purger.start(store, 360.0) is None
