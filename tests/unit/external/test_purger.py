"""The purge thread of external stores, connections after a fork, and checks of arguments."""

from __future__ import annotations

import gc
import os
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from datetime import timedelta
from typing import Any

import pytest

from lembro import ConfigError, StoreUnavailable
from lembro.stores.external import pools, purger
from lembro.stores.external.extras import client
from lembro.stores.external.pools import PerProcess
from lembro.stores.external.purger import Purger
from lembro.stores.external.settings import check_timeout
from lembro.stores.memory.settings import check_interval


def wait(until: Callable[[], object]) -> None:
    for _ in range(500):
        if until():
            return
        time.sleep(0.01)
    raise AssertionError("it takes too long")


class Full:
    """25 expired records, of which a round removes ten at a time."""

    def __init__(self) -> None:
        self.records = 25
        self.asked: list[int] = []
        self.errors: list[Exception] = []

    def purge(self, limit: int) -> int:
        self.asked.append(limit)
        if self.errors:
            raise self.errors.pop()
        count = min(limit, self.records)
        self.records -= count
        return count


def threads() -> set[threading.Thread]:
    return {thread for thread in threading.enumerate() if thread.name == "lembro-purger"}


def test_a_round_removes_everything_in_steps() -> None:
    store = Full()
    thread = Purger(store.purge, 10, 0.01)
    thread.start()
    thread.start()
    wait(lambda: not store.records)
    thread.stop()
    thread.stop()
    assert store.asked[:3] == [10, 10, 10]


def test_threads_that_start_it_at_once_start_one(monkeypatch: pytest.MonkeyPatch) -> None:
    before, store = threads(), Full()
    thread = Purger(store.purge, 10, 100.0)
    meeting = threading.Barrier(2)
    real = os.getpid

    def getpid() -> int:
        with suppress(threading.BrokenBarrierError):
            meeting.wait(0.2)  # both have seen then that none was started
        return real()

    monkeypatch.setattr("lembro.stores.external.purger.os.getpid", getpid)
    both = [threading.Thread(target=thread.start) for _ in range(2)]
    for each in both:
        each.start()
    for each in both:
        each.join(timeout=60)
    assert len(threads() - before) == 1
    thread.stop()


def test_without_an_interval_there_is_no_thread() -> None:
    before = threads()
    Purger(Full().purge, 10, None).start()
    assert threads() <= before


def test_it_continues_after_an_error(caplog: pytest.LogCaptureFixture) -> None:
    store = Full()
    store.errors = [StoreUnavailable("down"), OSError("broken")]
    thread = Purger(store.purge, 10, 0.01)
    thread.start()
    wait(lambda: not store.records)
    thread.stop()
    assert caplog.text.count("removing expired sessions failed") == 1


def test_it_ends_with_its_store() -> None:
    store, before = Full(), threads()
    thread = Purger(store.purge, 10, 100.0)
    thread.start()
    mine = threads() - before
    assert len(mine) == 1
    del store
    gc.collect()
    wait(lambda: not threads() & mine)


def test_its_thread_may_not_start(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(thread: Any) -> None:
        raise RuntimeError("can't start new thread")

    monkeypatch.setattr(threading.Thread, "start", refuse)
    Purger(Full().purge, 10, 1.0).start()


def test_a_store_that_was_collected_ends_a_round() -> None:
    store = Full()
    thread = Purger(store.purge, 10, 1.0)
    method = thread._purge
    del store
    gc.collect()
    purger._run(method, 10, threading.Lock(), 0.01)  # a lock that is free: the pause is over
    stopped = threading.Lock()
    stopped.acquire()  # no limit: it is free
    purger._run(method, 10, stopped, 0.001)


class Connection:
    def open(self) -> None: ...

    def run(self, verb: Any, *, reads: bool) -> Any: ...

    def close(self) -> None: ...


def test_a_forked_child_has_its_own_connections(monkeypatch: pytest.MonkeyPatch) -> None:
    pool = PerProcess(Connection, lambda: None)
    parent = pool.get()  # no limit: it does not wait
    assert pool.get() is parent  # no limit: it does not wait
    monkeypatch.setattr("lembro.stores.external.pools.os.getpid", lambda: -1)
    child = pool.get()  # no limit: it does not wait
    assert child is not parent
    assert any(parent in held for held in pools.inherited if isinstance(held, tuple))
    assert pool.take() is child
    assert pool.take() is None


def test_a_child_does_not_close_the_connections_of_its_parent(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    pool = PerProcess(Connection, lambda: None)
    pool.get()  # no limit: it does not wait
    monkeypatch.setattr("lembro.stores.external.pools.os.getpid", lambda: -1)
    assert pool.take() is None


def test_threads_that_open_at_once_get_one() -> None:
    pool: PerProcess
    inner: list[Any] = []

    class Slow(Connection):
        def open(self) -> None:
            time.sleep(0.05)

    pool = PerProcess(Slow, lambda: None)
    both = [
        threading.Thread(target=lambda: inner.append(pool.get()))  # no limit: it does not wait
        for _ in range(2)
    ]
    for thread in both:
        thread.start()
    for thread in both:
        thread.join(timeout=60)
    assert inner[0] is inner[1]
    assert os.getpid() in pool._locks


# -- arguments


def test_a_client_that_is_not_installed_is_named_with_its_extra() -> None:
    assert client("json", "redis").loads("1") == 1
    with pytest.raises(ConfigError, match=r"pip install 'lembro\[redis\]'"):
        client("no_such_client", "redis")


@pytest.mark.parametrize("value", [0, -1, True, "1", 61, float("nan")])
def test_an_invalid_timeout_is_refused(value: Any) -> None:
    with pytest.raises(ConfigError, match="timeout must be seconds"):
        check_timeout(value)


def test_an_invalid_interval_is_refused() -> None:
    assert check_interval(timedelta(minutes=1)) == 60.0
    assert check_timeout(1) == 1.0
    with pytest.raises(ConfigError, match="interval must be seconds or a timedelta"):
        check_interval(0)
