"""MemoryStore with threads: races, the purger, and references that keep objects alive."""

from __future__ import annotations

import gc
import random
import subprocess
import sys
import threading
import time
import weakref
from collections.abc import Iterator
from typing import Any

import pytest

from lembro.events import Event
from lembro.stores.base import Found, PerUser, Record
from lembro.stores.memory import MemoryStore, purger
from lembro.stores.memory.audit import recount
from lembro.testing import FakeClock
from tests.support.processes import read_line

CAPS: list[PerUser | None] = [None, (3, "oldest"), (3, "refuse")]
PATIENCE = 20.0  # seconds until a waiting test fails


@pytest.fixture
def switching() -> Iterator[None]:
    """Let the interpreter switch between threads as often as it can."""
    before = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    yield
    sys.setswitchinterval(before)


def key(n: int) -> bytes:
    return random.Random(n).randbytes(32)


def together(count: int, work: Any) -> None:
    """Run ``work(number)`` in as many threads, which start at the same moment."""
    errors: list[BaseException] = []
    barrier = threading.Barrier(count)

    def run(number: int) -> None:
        barrier.wait(60)
        try:
            work(number)
        except BaseException as error:
            errors.append(error)

    threads = [threading.Thread(target=run, args=(n,)) for n in range(count)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    if errors:
        raise errors[0]


@pytest.mark.usefixtures("switching")
def test_all_verbs_work_in_32_threads() -> None:
    store = MemoryStore("256K", interval=0.01)
    heard: list[str] = []
    store.on("expired", lambda event: heard.append(event.name))
    store.on("evicted", lambda event: heard.append(event.name))
    keys = [key(n) for n in range(300)]

    def work(number: int) -> None:
        rng = random.Random(number)
        for _ in range(300):
            some, other = rng.sample(keys, 2)
            user = rng.choice([None, "ana", "bob", "cleo"])
            record = Record(rng.randbytes(rng.randrange(3000)), user, None, store.new_reputation())
            verb = rng.randrange(12)
            if verb < 4:
                cap = rng.choice(CAPS)
                store.add(some, record, idle=rng.choice([0.01, 10]), life=100, per_user=cap)
                continue
            found = store.get(some)
            payload = b"" if found is None else found.payload
            if verb < 6:
                store.set(some, record, expected=payload, idle=10)
            elif verb < 8:
                store.replace(some, other, record, expected=payload, idle=10, life=None, grace=0.1)
            elif verb == 8:
                store.touch(some, idle=10)
            elif verb == 9:
                store.destroy(some)
            elif verb == 10:
                rng.choice([store.purge, store.reduce, store.length, store.stats])()
            else:
                list(store.all())
                store.of_user("ana")
                store.destroy_user("bob", keep=some)
            assert store._parts.ledger.used <= store.max_size

    together(32, work)
    purging = thread_of(store)
    store.close()
    purging.join(PATIENCE)  # it may have been within a slice
    recount(store._parts)
    assert heard
    assert store.stats().purge_errors == 0


@pytest.mark.usefixtures("switching")
def test_one_add_one_set_and_one_destroy_win() -> None:
    store = MemoryStore()
    for round_ in range(20):
        wins: list[str] = []

        def race(number: int, at: bytes = key(round_), wins: list[str] = wins) -> None:
            mine = b"%d" % number
            if store.add(at, Record(b"start"), idle=10, life=10):
                wins.append("add")
            found = store.set(at, Record(mine), expected=b"start", idle=10)
            if found is not None and found.payload == mine:
                wins.append("set")
            if number % 2 and store.destroy(at):
                wins.append("destroy")

        together(8, race)
        # A destroyed session may be added again, and then changed and destroyed again.
        assert wins.count("set") <= wins.count("add")
        assert wins.count("destroy") <= wins.count("add")
    store.close()


@pytest.mark.usefixtures("switching")
def test_the_cap_of_a_user_holds_for_simultaneous_logins() -> None:
    for way in ("oldest", "refuse"):
        store = MemoryStore()

        def login(number: int, store: MemoryStore = store, way: Any = way) -> None:
            record = Record(b"", "ana")
            store.add(key(number), record, idle=9, life=9, per_user=(2, way))

        together(50, login)
        assert len(store.of_user("ana")) == 2
        store.close()


def test_expired_sessions_are_purged_without_traffic() -> None:
    clock = FakeClock()
    store = MemoryStore(interval=0.01, clock=clock)
    gone = threading.Semaphore(0)
    store.on("expired", lambda event: gone.release())
    for n in range(100):
        store.add(key(n), Record(b"x"), idle=5, life=5)
    assert store.stats().sessions == 100
    clock.advance(6)
    for _ in range(100):
        assert gone.acquire(timeout=PATIENCE)
    assert store.stats().sessions == 0
    store.close()


def test_the_purger_continues_after_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = FakeClock()
    store = MemoryStore(interval=0.01, clock=clock)
    gone, failed = threading.Event(), threading.Event()
    events: list[Event] = []
    store.on("expired", lambda event: gone.set())

    def hear(event: Event) -> None:
        events.append(event)
        failed.set()

    store.on("error", hear)
    real = store._parts.wheel.collect

    def broken(now: float) -> None:
        if not failed.is_set():
            raise ZeroDivisionError
        real(now)

    monkeypatch.setattr(type(store._parts.wheel), "collect", lambda wheel, now: broken(now))
    store.add(key(1), Record(b"x"), idle=5, life=5)
    assert failed.wait(PATIENCE)
    clock.advance(6)
    assert gone.wait(PATIENCE)
    assert isinstance(events[0].error, ZeroDivisionError)
    assert store.stats().purge_errors >= 1
    store.close()


def thread_of(store: MemoryStore) -> threading.Thread:
    assert store._purger is not None
    return store._purger.thread


def test_the_thread_starts_with_the_first_session() -> None:
    store = MemoryStore()
    assert store._purger is None
    store.get(key(1))
    assert store._purger is None
    store.add(key(1), Record(b""), idle=1, life=1)
    assert thread_of(store).is_alive()
    assert thread_of(store).daemon
    store.close()


def test_the_thread_ends_when_the_store_is_collected() -> None:
    store = MemoryStore(interval=360)
    store.add(key(1), Record(b""), idle=1, life=1)
    thread, seen = thread_of(store), weakref.ref(store)
    del store
    gc.collect()
    assert seen() is None
    thread.join(PATIENCE)
    assert not thread.is_alive()


def test_a_store_that_outlives_the_module_prints_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    """At its end, the interpreter removes a module's names, and may collect a store only later."""
    unraisable: list[Any] = []
    monkeypatch.setattr(sys, "unraisablehook", unraisable.append)
    store = MemoryStore(interval=3600)
    store.add(key(1), Record(b""), idle=1, life=1)
    thread = thread_of(store)
    for name in [name for name in vars(purger) if not name.startswith("__")]:
        monkeypatch.setattr(purger, name, None)
    del store
    gc.collect()
    thread.join(PATIENCE)
    assert not thread.is_alive()
    assert unraisable == []


def test_close_ends_the_thread_and_the_store_stays_usable() -> None:
    clock = FakeClock()
    store = MemoryStore(interval=360, clock=clock)
    store.add(key(1), Record(b""), idle=1, life=1)
    thread = thread_of(store)
    store.close()
    store.close()
    thread.join(PATIENCE)
    assert not thread.is_alive()
    clock.advance(2)
    assert store.add(key(2), Record(b""), idle=1, life=1)
    assert store._purger is None
    assert store.purge() == 1


def test_a_store_may_be_closed_before_the_first_session() -> None:
    store = MemoryStore()
    store.close()
    store.add(key(1), Record(b""), idle=1, life=1)
    assert store._purger is None


def test_the_garbage_collector_walks_no_object_of_a_session() -> None:
    store = MemoryStore("16M")
    gc.collect()
    before = len(gc.get_objects())
    for n in range(5000):
        record = Record(b"x", f"user{n % 900}", None, store.new_reputation())
        store.add(n.to_bytes(32), record, idle=100, life=100)
    gc.collect()
    assert len(gc.get_objects()) < before + 200
    store.close()


def test_a_script_that_uses_a_store_ends_at_once() -> None:
    script = (
        "from lembro.stores.memory import MemoryStore\n"
        "from lembro.stores.base import Record\n"
        "store = MemoryStore()\n"
        "store.add(bytes(32), Record(b''), idle=1e6, life=1e6)\n"
        "assert store._purger.thread.is_alive()\n"
        "print('end', flush=True)\n"
    )
    process = subprocess.Popen(
        [sys.executable, "-X", "dev", "-c", script],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    assert read_line(process.stdout) == "end\n"
    start = time.monotonic()
    _, errors = process.communicate(timeout=PATIENCE)
    assert time.monotonic() - start < 1.0
    assert (process.returncode, errors) == (0, "")


def test_get_returns_what_one_writer_wrote() -> None:
    store = MemoryStore()
    store.add(key(1), Record(b"0" * 100), idle=100, life=100)
    stop = threading.Event()
    odd: list[Found | None] = []

    def read() -> None:
        while not stop.is_set():
            found = store.get(key(1))
            if found is None or len(set(found.payload)) != 1:
                odd.append(found)

    reader = threading.Thread(target=read)
    reader.start()
    before = b"0" * 100
    for n in range(2000):
        after = b"%d" % (n % 10) * (n % 500 + 1)
        assert store.set(key(1), Record(after), expected=before, idle=100) is not None
        before = after
    stop.set()
    reader.join(60)
    assert odd == []
    store.close()


def test_a_round_without_a_store_is_the_last() -> None:
    """The store may be collected in the moment in which the thread wakes up."""
    store = MemoryStore("64K")
    gone, stop = weakref.ref(store), threading.Lock()
    del store
    gc.collect()
    assert stop.acquire(timeout=60)
    purger._run(gone, stop, 0.0)
    assert stop.locked()
