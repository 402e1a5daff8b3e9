"""MemoryStore: purging, reducing, clearing, events, opening and closing. Time is a fake clock."""

from __future__ import annotations

import logging
import threading
import time
from types import SimpleNamespace

import pytest

from lembro.events import Event
from lembro.ids import handle_for
from lembro.stores.base import Record
from lembro.stores.memory import MemoryStore
from lembro.stores.memory.audit import recount
from lembro.testing import FakeClock
from tests.support.memory import add, alive, fill, key, recounted


def test_clear_releases_all_memory(clock: FakeClock) -> None:
    store = MemoryStore("4M", clock=clock)
    before = store._parts.ledger.used
    fill(store, 0, 3000)
    store.clear()
    # arrays keep a little memory
    assert store._parts.ledger.used == recounted(store) < before + 1024
    assert add(store, 1)


def test_clear_runs_in_slices_and_other_threads_write_in_between(
    clock: FakeClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Cleared memory is counted until it is released, and is used by writes in between."""
    store = MemoryStore("4M", clock=clock)
    empty = store._parts.ledger.used
    for n in range(10):
        add(store, n, 100_000)
    fill(store, 10, 5000)
    monkeypatch.setattr("lembro.stores.memory.slices.SLICE", 0.0)
    seen: list[int] = []

    def others(seconds: float) -> None:
        assert not store._lock.locked()
        seen.append(recount(store._parts))
        add(store, 10_000 + len(seen), 5000)

    # Only the module's own name: a thread of another test may sleep, too.
    clocks = SimpleNamespace(sleep=others, perf_counter=time.perf_counter)
    monkeypatch.setattr("lembro.stores.memory.slices.time", clocks)
    was = store.stats()
    store.clear()
    assert len(seen) > 5
    assert seen == sorted(seen, reverse=True)
    assert store.stats().evicted == was.evicted
    after = alive(store, range(10_001, 10_001 + len(seen)))
    assert after[-1] == 10_000 + len(seen)
    assert after == list(range(after[0], after[-1] + 1)), "all sessions were cleared"
    for n in after:
        store.destroy(key(n))
    assert recount(store._parts) < empty + 1024


def test_purge_continues_where_it_stopped(clock: FakeClock) -> None:
    store = MemoryStore("4M", interval=10, clock=clock)
    for n in range(1000):
        add(store, n, size=1, idle=n / 100)
    clock.advance(100)
    assert store.purge(limit=10) == 10
    assert store.purge(limit=0) == 0
    assert store.stats().sessions == 990
    assert store.purge() == 990
    assert store.stats().expired == 1000


def test_purge_releases_the_lock_between_slices(
    clock: FakeClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = MemoryStore("4M", interval=10, clock=clock)
    for n in range(2000):
        add(store, n, size=1, idle=1)
    clock.advance(100)
    seen = []

    def rest(seconds: float) -> None:
        assert not store._lock.locked()
        seen.append(store.stats().sessions)

    monkeypatch.setattr("lembro.stores.memory.slices.time.sleep", rest)
    monkeypatch.setattr("lembro.stores.memory.slices.SLICE", 0.0)
    assert store.purge() == 2000
    assert len(seen) > 50
    assert seen == sorted(seen, reverse=True)


def test_all_yields_every_remaining_session_while_the_table_shrinks(clock: FakeClock) -> None:
    store = MemoryStore("4M", interval=10, clock=clock)
    for n in range(5000):
        add(store, n, size=10, idle=1e6 if n > 4800 else 10)
    sessions = store.all()
    seen = {next(sessions)[0]}
    clock.advance(11)
    store.purge()
    seen |= {k for k, _ in sessions}
    assert seen > {key(n) for n in range(4801, 5000)}
    full = store._parts.ledger.used
    store.purge()
    assert store._parts.ledger.used < full
    recounted(store)


def test_writes_alone_remove_expired_sessions(clock: FakeClock) -> None:
    store = MemoryStore("4M", interval=10, clock=clock)
    for n in range(300):
        add(store, n, size=1, idle=1)
    clock.advance(20)
    for n in range(1000, 1100):
        add(store, n)
    assert store.stats().sessions == 100


def test_reduce_evicts_down_to_reduce_to(
    store: MemoryStore, clock: FakeClock, caplog: pytest.LogCaptureFixture
) -> None:
    heard: list[Event] = []
    store.on("reduced", heard.append)
    fill(store, 0, 200)
    before = store.stats()
    with caplog.at_level(logging.DEBUG, logger="lembro"):
        count = store.reduce()
    after = store.stats()
    assert count == before.sessions - after.sessions > 0
    assert 0.7 * store.max_size < after.used <= 0.75 * store.max_size
    start, done = (r.getMessage() for r in caplog.records if r.name == "lembro")
    assert start.startswith("lembro: reduce starts at 6")
    assert done.startswith("lembro: reduce ends at 4")
    assert [event.name for event in heard] == ["reduced"]
    assert store.reduce() == 0


def test_events_are_emitted_after_the_lock_is_released(
    store: MemoryStore, clock: FakeClock
) -> None:
    heard: list[tuple[str, str | None, str | None, str]] = []

    def listen(event: Event) -> None:
        store.stats()  # would wait forever if the lock were held
        heard.append((event.name, event.handle, event.user_id, event.reason))

    store.on("expired", listen)
    store.on("evicted")(listen)
    add(store, 1, user="ana", idle=5)
    clock.advance(6)
    assert store.get(key(1)) is None
    assert heard == [("expired", handle_for(key(1)), "ana", "")]
    heard.clear()
    add(store, 2, user="bob")
    record = Record(b"")
    store.add(key(3), Record(b"", "bob"), idle=10, life=10, per_user=(1, "oldest"))
    assert heard == [("evicted", handle_for(key(2)), "bob", "max_sessions_per_user")]
    heard.clear()
    add(store, 4, user="eve", idle=5)
    clock.advance(6)
    assert store.destroy(key(4)) is None
    assert heard == [("expired", handle_for(key(4)), "eve", "")]
    heard.clear()
    store.off("expired", listen)
    clock.advance(11)
    assert store.get(key(3)) is None
    assert heard == []
    fill(store, 100, 200)
    assert {(name, reason) for name, _, _, reason in heard} == {("evicted", "memory")}
    assert len(heard) == store.stats().evicted - 1
    assert record.user is None


def test_once_calls_the_listener_once(store: MemoryStore, clock: FakeClock) -> None:
    heard: list[Event] = []
    store.once("expired", heard.append)
    for n in (1, 2):
        add(store, n, idle=1)
    clock.advance(2)
    assert store.purge() == 2
    assert len(heard) == 1


def test_an_exception_of_a_listener_does_not_disturb_the_store(
    store: MemoryStore, clock: FakeClock, caplog: pytest.LogCaptureFixture
) -> None:
    def fail(event: Event) -> None:
        raise ZeroDivisionError

    store.on("expired", fail)
    add(store, 1, idle=1)
    clock.advance(2)
    assert store.purge() == 1
    assert "a listener" in caplog.text


def test_purge_with_a_negative_limit_removes_nothing(store: MemoryStore, clock: FakeClock) -> None:
    add(store, 1, idle=1)
    clock.advance(5)
    assert store.purge(limit=-1) == 0
    assert store.purge() == 1


def test_a_reopened_store_purges_again() -> None:
    """An application may be started more than once in a process."""
    store = MemoryStore(interval=0.02)
    store.open()
    assert store._purger is None, "at the first add"
    for n in range(2):
        add(store, n, idle=0.01)
        wait_until_empty(store)
        store.close()
    add(store, 3, idle=0.01)
    store.open()
    wait_until_empty(store)
    store.close()


def wait_until_empty(store: MemoryStore) -> None:
    store.open()
    for _ in range(500):
        if not store.stats().sessions:
            return
        time.sleep(0.01)
    raise AssertionError("nothing was purged")


def test_reduce_ends_when_nothing_is_left_to_evict(clock: FakeClock) -> None:
    store = MemoryStore("64K", interval=10, reduce_to=0.01, clock=clock)
    fill(store, 0, 10)
    assert store.reduce() == 10
    assert store.stats().used > store._parts.ledger.target
    recounted(store)


def test_the_store_works_without_a_thread(
    store: MemoryStore, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def start(self: threading.Thread) -> None:
        raise RuntimeError("can't start new thread at interpreter shutdown")

    monkeypatch.setattr(threading.Thread, "start", start)
    with caplog.at_level(logging.DEBUG, "lembro"):
        assert add(store, 1)
    assert "the purge thread was not started" in caplog.text
    assert store.length() == 1


def test_a_context_manager_opens_and_closes() -> None:
    store = MemoryStore(interval=0.02)
    for n in range(2):
        with store as opened:
            assert opened is store
            add(store, n)
            assert store._purger is not None
        assert store._purger is None


def test_a_context_manager_closes_after_an_error() -> None:
    store = MemoryStore()
    with pytest.raises(ZeroDivisionError), store:
        add(store, 1)
        raise ZeroDivisionError
    assert store._purger is None
