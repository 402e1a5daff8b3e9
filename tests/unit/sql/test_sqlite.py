"""SQLiteStore: its file, its bound, and faults of the file."""

from __future__ import annotations

import asyncio
import math
import multiprocessing
import os
import random
import sqlite3
import stat
import struct
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from itertools import count
from pathlib import Path
from typing import Any

import pytest

from lembro import (
    ConfigError,
    Record,
    StoreError,
    StoreFull,
    StoreReadOnly,
    StoreUnavailable,
)
from lembro.stores import SQLiteStore
from lembro.stores.base import MARK, NO_ROOM
from lembro.stores.sql import sqlite_connector, sqlite_verbs
from lembro.stores.sql.sqlite_connector import translate
from lembro.testing import Blocking, FakeClock
from tests.support.processes import read_line

LIVES: dict[str, Any] = {"idle": 1000.0, "life": 5000.0}
K, L = b"k" * 32, b"l" * 32


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "sessions.db"


@pytest.fixture(params=["sync", "async"])
def colour(request: pytest.FixtureRequest) -> Iterator[Any]:
    """Return a function that gives the sync or the async verbs as plain functions."""
    opened: list[Blocking] = []

    def awaited(store: SQLiteStore) -> Any:
        opened.append(Blocking(lambda: store.aio))
        return opened[-1]

    yield awaited if request.param == "async" else lambda store: store
    for each in opened:
        each.close()


def size_of(path: Path) -> int:
    """Return the bytes of the file and its log."""
    log = Path(f"{path}-wal")
    return path.stat().st_size + (log.stat().st_size if log.exists() else 0)


def clocked(path: Path, max_size: str = "1M", **options: Any) -> tuple[SQLiteStore, FakeClock]:
    clock = FakeClock()
    return SQLiteStore(path, max_size, clock=clock, **options), clock


def key(number: int) -> bytes:
    return struct.pack(">Q", number * 0x9E3779B97F4A7C15 % 2**64) * 4


# -- arguments


@pytest.mark.parametrize("wrong", ["", ":memory:", None, 1, b"x.db", "x\0.db"])
def test_the_path_must_be_a_file(wrong: Any) -> None:
    with pytest.raises(ConfigError, match="path must be the path of a file"):
        SQLiteStore(wrong)


def test_the_smallest_size_is_a_mebibyte(path: Path) -> None:
    with pytest.raises(ConfigError, match="max_size must be at least 1 MiB, got '64K'"):
        SQLiteStore(path, "64K")


def test_the_largest_session(path: Path) -> None:
    assert SQLiteStore(path).max_session_size == 2**20
    assert SQLiteStore(path, "1M").max_session_size == 2**16
    assert SQLiteStore(path, None).max_session_size == 2**20
    assert SQLiteStore(path, max_session_size="4K").max_session_size == 4096
    assert SQLiteStore(path, None, max_session_size="9M").max_session_size == 9 * 2**20
    with pytest.raises(ConfigError, match=r"at most a sixteenth of max_size \(64K\), got '65K'"):
        SQLiteStore(path, "1M", max_session_size="65K")


# -- the file


def test_sessions_survive_a_restart_and_are_for_the_owner_only(path: Path) -> None:
    with SQLiteStore(path) as store:
        store.add(K, Record(b"one", "ana"), **LIVES)
        assert stat.S_IMODE(path.stat().st_mode) == 0o600
        assert stat.S_IMODE(Path(f"{path}-wal").stat().st_mode) == 0o600
    with SQLiteStore(path) as store:
        found = store.get(K)
        assert found is not None
        assert (found.payload, found.user) == (b"one", "ana")
        assert 999 < found.idle_left <= 1000


def test_the_file_is_private_from_the_start(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    modes: list[int] = []
    real = sqlite3.connect

    def connect(*args: Any, **options: Any) -> Any:
        connection = real(*args, **options)
        modes.append(stat.S_IMODE(path.stat().st_mode))
        return connection

    monkeypatch.setattr("lembro.stores.sql.sqlite_connector.sqlite3.connect", connect)
    link = path.with_name("link")
    link.symlink_to(path)
    with SQLiteStore(link) as store:
        assert store.add(K, Record(b"one"), **LIVES)
    assert modes == [0o600] * 3


def test_an_eviction_that_fails_keeps_the_limit_of_the_file(path: Path) -> None:
    store, _ = clocked(path)
    numbers = count()
    while not store.stats().evicted:
        store.add(key(next(numbers)), Record(bytes(600)), **LIVES)
    process: Any = store._process
    connector = process.get()  # no limit: it does not wait
    connection = connector._connections[False]
    (limit,) = connection.execute("pragma max_page_count").fetchone()
    connection.set_authorizer(lambda action, *_: int(action == sqlite3.SQLITE_DELETE))
    with pytest.raises(StoreError, match="not authorized"):
        for _ in range(100):
            store.add(key(next(numbers)), Record(bytes(600)), **LIVES)
    connection.set_authorizer(None)
    assert connection.execute("pragma max_page_count").fetchone() == (limit,)
    store.close()


def test_a_killed_process_loses_no_commit(path: Path) -> None:
    code = (
        "import os, sys\n"
        "from lembro import Record\n"
        "from lembro.stores import SQLiteStore\n"
        "store = SQLiteStore(sys.argv[1])\n"
        "store.add(b'k' * 32, Record(b'one'), idle=1000.0, life=5000.0)\n"
        "os.kill(os.getpid(), 9)\n"
    )
    subprocess.run([sys.executable, "-c", code, str(path)], check=False, timeout=60)
    with SQLiteStore(path) as store:
        found = store.get(K)
        assert found is not None
        assert found.payload == b"one"


def test_sync_and_async_verbs_see_the_same_sessions(path: Path) -> None:
    store = SQLiteStore(path)
    store.add(K, Record(b"one"), **LIVES)

    async def use() -> None:
        aio = store.aio
        assert aio is not None
        found = await aio.get(K)
        assert found is not None
        assert await aio.add(L, Record(b"two"), **LIVES)
        assert store.get(L) is not None
        await aio.close()

    asyncio.run(use())


def test_a_forked_child_opens_the_file_itself(path: Path) -> None:
    store = SQLiteStore(path)
    store.add(K, Record(b"one"), **LIVES)
    context = multiprocessing.get_context("fork")
    child = context.Process(target=store.add, args=(L, Record(b"two")), kwargs=LIVES)
    child.start()
    child.join(timeout=60)
    assert child.exitcode == 0
    assert store.get(K) is not None
    assert store.get(L) is not None
    store.close()


def test_opening_the_async_verbs_keeps_the_locks_of_the_sync_verbs(path: Path) -> None:
    store = SQLiteStore(path)
    store.add(K, Record(b"one"), **LIVES)
    twin = Blocking(lambda: store.aio)
    assert twin.get(K).payload == b"one"
    code = (
        "import sqlite3, sys\n"
        "database = sqlite3.connect(sys.argv[1])\n"
        "database.execute('select count(*) from lembro_sessions').fetchone()\n"
        "database.close()\n"  # the last connection of all would delete the log
    )
    subprocess.run([sys.executable, "-c", code, str(path)], check=True, timeout=60)
    assert Path(f"{path}-wal").exists()
    twin.close()


def test_workers_that_start_at_once_make_the_tables_once(path: Path) -> None:
    errors: list[BaseException] = []

    def start() -> None:
        try:
            with SQLiteStore(path) as store:
                store.add(os.urandom(32), Record(b"one"), **LIVES)
        except BaseException as error:
            errors.append(error)

    threads = [threading.Thread(target=start) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(timeout=60)
    assert errors == []
    with SQLiteStore(path) as store:
        assert store.length() == 8


# -- the bound


def test_bots_cannot_fill_the_file(path: Path, colour: Any) -> None:
    store, clock = clocked(path)
    verbs = colour(store)
    for n in range(40):
        verbs.add(key(n), Record(b"u" * 300, f"user {n}"), **LIVES)
    peak = 0
    for n in range(2000):
        clock.advance(0.01)
        assert verbs.add(key(1000 + n), Record(b"b" * 300), **LIVES)
        peak = max(peak, size_of(path))
    assert peak <= 2**20
    stats = verbs.stats()
    assert stats.evicted > 500
    assert stats.max_size == 2**20
    assert stats.used < 2**20
    assert all(verbs.get(key(n)) for n in range(40))  # users outlast visitors
    assert verbs.get(key(2999))  # and the newest visitor outlasts older ones
    assert verbs.get(key(1000)) is None
    store.close()


def test_a_visitor_who_is_known_outlasts_new_ones(path: Path) -> None:
    store, clock = clocked(path)
    known = store.new_reputation()
    clock.advance(3600)
    store.add(K, Record(b"x" * 300, None, None, known), **LIVES)
    for n in range(2000):
        clock.advance(0.01)
        store.add(key(n), Record(b"b" * 300, None, None, store.new_reputation()), **LIVES)
    assert store.get(K) is not None
    store.close()


def test_a_reputation_from_the_future_is_new(path: Path) -> None:
    store, clock = clocked(path)
    verbs: Any = store._verbs
    for birth in (clock.now + 100, math.nan):
        record = Record(b"", None, None, bytes(8) + struct.pack(">d", birth))
        assert verbs._added(record) == {"known": int(clock.now * 1e6)}


def test_users_are_evicted_when_there_is_nobody_else(path: Path) -> None:
    store, clock = clocked(path)
    for n in range(2500):
        clock.advance(1.0)
        assert store.add(key(n), Record(b"u" * 300, f"user {n}"), idle=1e6, life=1e6)
    assert store.get(key(0)) is None
    assert store.get(key(2499)) is not None
    assert size_of(path) <= 2**20
    store.close()


def test_a_session_that_grows_is_not_evicted_for_itself(path: Path, colour: Any) -> None:
    store, clock = clocked(path)
    verbs = colour(store)
    for n in range(1500):
        clock.advance(0.01)
        verbs.add(key(n), Record(b"b" * 300), **LIVES)
    clock.advance(0.01)
    verbs.add(K, Record(b"small"), **LIVES)
    found = verbs.set(K, Record(b"x" * 50_000), expected=b"small", idle=1000.0)
    assert found is not None
    assert len(found.payload) == 50_000
    found = verbs.replace(
        K, L, Record(b"y" * 60_000), expected=found.payload, idle=10.0, life=None, grace=9.0
    )
    assert found is not None
    assert len(found.payload) == 60_000
    assert size_of(path) <= 2**20
    store.close()


def test_expired_sessions_are_removed_before_live_ones_are_evicted(path: Path) -> None:
    store, clock = clocked(path)
    for n in range(500):
        store.add(key(n), Record(b"b" * 300), idle=10.0, life=10.0)
    store.add(K, Record(b"visitor"), **LIVES)
    clock.advance(11)
    for n in range(500, 2000):
        store.add(key(n), Record(b"b" * 300), idle=1.0, life=1.0)
        clock.advance(0.01)
    assert store.get(K) is not None
    assert store.stats().evicted == 0
    store.close()


def test_a_touch_succeeds_in_a_full_file(path: Path) -> None:
    """It moves the entry of an index, and so may need another page."""
    store, clock = clocked(path, "4M")
    for n in range(2000):
        store.add(key(n), Record(b"b"), idle=9000.0, life=9000.0)
    process: Any = store._process
    verbs: Any = store._verbs
    connection = process.get()._connections[False]  # no limit: it does not wait
    verbs._pages = connection.execute("pragma page_count").fetchone()[0]
    connection.execute(f"pragma max_page_count = {verbs._pages}")
    for n in random.Random(1).sample(range(2000), 2000):
        clock.advance(1)
        store.touch(key(n), idle=9000.0)
    assert 0 < (store.stats().evicted or 0) < 500
    store.close()


def test_a_file_that_others_have_filled_is_full(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store, _ = clocked(path)
    store.open()
    monkeypatch.setattr(sqlite_verbs, "ROUNDS", 3)
    monkeypatch.setattr(sqlite_verbs, "BATCH", 0)
    with pytest.raises(StoreFull):
        for n in range(3000):
            store.add(key(n), Record(b"b" * 300), **LIVES)
    assert store.get(key(0)) is not None  # reads still work
    store.close()


def test_a_full_disk_is_store_full(path: Path) -> None:
    store = SQLiteStore(path, None)
    store.open()
    process: Any = store._process
    connection = process.get()._connections[False]  # no limit: it does not wait
    connection.execute("pragma max_page_count = 20")  # SQLite reports both alike
    with pytest.raises(StoreFull):
        for n in range(300):
            store.add(key(n), Record(b"b" * 300), **LIVES)
    assert store.get(key(0)) is not None
    store.close()


def test_purging_gives_pages_back(path: Path) -> None:
    store, clock = clocked(path)
    for n in range(1000):
        store.add(key(n), Record(b"b" * 300), idle=10.0, life=10.0)
    before = store.stats().used
    clock.advance(11)
    assert store.purge(10) == 10
    assert store.purge() == 990
    stats = store.stats()
    assert (stats.sessions, stats.expired) == (0, 1000)
    assert stats.used is not None
    assert before is not None
    assert stats.used < before / 4
    store.close()
    assert size_of(path) < before


def test_a_thread_purges_by_itself(path: Path) -> None:
    store = SQLiteStore(path, interval=0.05)
    store.add(K, Record(b"one"), idle=0.05, life=0.05)
    database = sqlite3.connect(path)
    for _ in range(200):
        if database.execute("select count(*) from lembro_sessions").fetchone() == (0,):
            break
        time.sleep(0.02)
    else:
        raise AssertionError("the record is still there")
    database.close()
    store.close()


# -- what can go wrong


def test_a_locked_file_is_unavailable_for_writes_and_reads_succeed(path: Path, colour: Any) -> None:
    store = SQLiteStore(path, timeout=0.05)
    verbs = colour(store)
    verbs.add(K, Record(b"one"), **LIVES)
    other = sqlite3.connect(path, isolation_level=None)
    other.execute("begin immediate")
    begun = time.monotonic()
    with pytest.raises(StoreUnavailable, match="is locked by another process"):
        verbs.add(L, Record(b"two"), **LIVES)
    assert time.monotonic() - begun < 2
    assert verbs.get(K).payload == b"one"  # the breaker stays closed
    other.execute("rollback")
    other.close()
    assert verbs.add(L, Record(b"two"), **LIVES)
    store.close()


def test_a_read_in_a_loop_waits_in_a_thread_while_the_log_is_restored(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = SQLiteStore(path)
    store.add(K, Record(b"one"), **LIVES)
    twin = Blocking(lambda: store.aio)
    assert twin.get(K).payload == b"one"
    perform, threads = sqlite_connector.perform, list[str]()

    # SQLite restores the log within one call, so that no test can read meanwhile.
    def busy_once(connection: sqlite3.Connection, steps: Any, setup: Any = None) -> Any:
        threads.append(threading.current_thread().name)
        if len(threads) == 1:
            steps.close()
            error = sqlite3.OperationalError("database is locked")
            error.sqlite_errorcode = sqlite3.SQLITE_BUSY_RECOVERY
            raise error
        return perform(connection, steps, setup)

    monkeypatch.setattr(sqlite_connector, "perform", busy_once)
    assert twin.get(K).payload == b"one"
    assert len(set(threads)) == 2
    twin.close()
    store.close()


def test_threads_that_wait_too_long_for_each_other_give_up(path: Path) -> None:
    store = SQLiteStore(path, timeout=0.05)
    store.open()
    process: Any = store._process
    connector = process.get()  # no limit: it does not wait
    with connector._locks[False], pytest.raises(StoreUnavailable, match="in use by other threads"):
        store.add(K, Record(b"one"), **LIVES)
    store.close()


def test_the_log_of_writes_in_a_loop_is_bounded(path: Path) -> None:
    twin = Blocking(lambda: SQLiteStore(path, "1M").aio)
    peak = 0
    twin.add(K, Record(b"0"), **LIVES)
    for n in range(500):
        assert twin.set(K, Record(b"%d" % (n + 1)), expected=b"%d" % n, idle=100.0)
        peak = max(peak, Path(f"{path}-wal").stat().st_size)
    assert 2**20 // 5 < peak < 2**20 // 5 + 2**16
    twin.close()


def test_a_log_that_cannot_be_shortened_ends_the_writes(path: Path, colour: Any) -> None:
    store = SQLiteStore(path, "1M", timeout=0.01)
    verbs = colour(store)
    verbs.add(K, Record(b"one"), **LIVES)
    with closing(sqlite3.connect(path, isolation_level=None)) as reader:
        reader.execute("begin")
        reader.execute("select * from lembro_sessions").fetchall()
        with pytest.raises(StoreUnavailable, match=r"the log of .* is full, because another"):
            for n in range(1000):
                verbs.add(key(n), Record(b"b" * 300), **LIVES)
        assert 2**20 // 5 < Path(f"{path}-wal").stat().st_size < 2**20 // 5 + 2**17
        assert verbs.get(K).payload == b"one"
        reader.execute("rollback")
    assert verbs.add(L, Record(b"two"), **LIVES)
    assert Path(f"{path}-wal").stat().st_size < 2**16
    store.close()


def test_a_write_waits_while_another_connection_copies_the_log(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """SQLite itself does not wait then."""
    log, most = Path(f"{path}-wal"), 2**20 // 5 + 2**16
    store = SQLiteStore(path, "1M", timeout=10)
    store.add(K, Record(b"one"), **LIVES)
    with copying(path) as stop:
        monkeypatch.setattr("time.sleep", lambda _: stop())
        for n in range(100):
            assert store.add(key(n), Record(b"b" * 3000), **LIVES)
            assert log.stat().st_size < most + 2**16
    assert log.stat().st_size < most
    store.close()


@contextmanager
def copying(path: Path) -> Iterator[Callable[[], None]]:
    """Hold SQLite's lock of a checkpoint in another process, until the function is called."""
    code = (
        "import fcntl, sys; file = open(sys.argv[1], 'r+b'); "
        "fcntl.lockf(file, fcntl.LOCK_EX, 1, 121); print('held', flush=True); sys.stdin.read()"
    )
    command = [sys.executable, "-c", code, f"{path}-shm"]
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        assert read_line(process.stdout) == "held\n"
        try:
            yield process.stdin.close
        finally:
            process.stdin.close()


def test_a_log_that_others_made_long_is_shortened_before_a_transaction(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = SQLiteStore(path)
    for n in range(20):
        store.add(key(n), Record(b"one"), **LIVES)
    log = Path(f"{path}-wal")
    assert log.stat().st_size > 20 * 4120
    lengths = iter([False, True])  # short before the wait for the lock, and long after it
    monkeypatch.setattr(sqlite_connector.Setup, "log_is_long", lambda _: next(lengths, False))
    assert store.add(L, Record(b"two", "ana"), per_user=(1, "refuse"), **LIVES)
    assert log.stat().st_size < 20 * 4120  # it has this transaction only
    assert store.length() == 21
    store.close()


def test_a_file_that_is_no_database_is_a_config_error(path: Path, colour: Any) -> None:
    path.write_bytes(b"something else" * 1000)
    with pytest.raises(ConfigError, match="is not an SQLite database, or it is damaged"):
        colour(SQLiteStore(path)).get(K)


def test_a_later_version_of_the_tables_is_a_config_error(path: Path) -> None:
    database = sqlite3.connect(path)
    database.execute("pragma user_version = 9")
    database.close()
    with pytest.raises(ConfigError, match="has tables of version 9"):
        SQLiteStore(path).open()


def test_a_missing_folder_is_a_config_error(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="Use a folder that exists"):
        SQLiteStore(tmp_path / "no" / "such.db").open()


def test_a_read_only_file_can_be_read(path: Path, colour: Any) -> None:
    store = SQLiteStore(path)
    verbs = colour(store)
    verbs.add(K, Record(b"one"), **LIVES)
    holder: Any = store._process if verbs is store else store._aio

    def connector() -> Any:
        if verbs is not store:
            return next(iter(holder._loops._entries.values())).connector
        return holder.get()  # no limit: it does not wait

    connector()._connections[False].execute("pragma query_only = 1")
    with pytest.raises(StoreReadOnly):
        verbs.add(L, Record(b"two"), **LIVES)
    assert verbs.get(K).payload == b"one"


def test_tables_that_cannot_be_made_are_a_store_error(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sqlite_connector, "SCHEMA", "insert into no_such_table values (1)")
    with pytest.raises(StoreError, match="no such table"):
        SQLiteStore(path).open()


def test_each_error_of_sqlite_has_its_kind() -> None:
    def error(name: str) -> sqlite3.OperationalError:
        made = sqlite3.OperationalError(name)
        made.sqlite_errorcode = getattr(sqlite3, name)
        return made

    assert type(translate(error("SQLITE_IOERR"), "x")) is StoreError
    assert type(translate(error("SQLITE_FULL"), "x")) is StoreFull
    assert type(translate(error("SQLITE_READONLY"), "x")) is StoreReadOnly
    assert type(translate(OSError("disk"), "x")) is StoreError
    assert translate(ZeroDivisionError(), "x") is None


def test_a_file_that_has_its_tables_is_opened_without_a_write(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with SQLiteStore(path) as store:
        store.add(K, Record(b"one"), **LIVES)

    # The disk may be full, and reads must still work.
    class Full(sqlite3.Connection):
        def execute(self, text: str, *values: Any) -> sqlite3.Cursor:
            if text == "begin immediate":
                raise AssertionError
            return super().execute(text, *values)

    monkeypatch.setattr("lembro.stores.sql.sqlite_connector.sqlite3.connect", Full)
    with SQLiteStore(path) as store:
        assert store.get(K) is not None


# -- the marks of used legacy cookies


def mark(number: int) -> bytes:
    return MARK + key(number)[len(MARK) :]


def adopt(store: Any, number: int, grace: float = 5000.0) -> Any:
    lives = {"idle": 1000.0, "life": 1000.0, "grace": grace}
    return store.replace(mark(number), key(number), Record(b"x"), expected=None, **lives)


def test_marks_take_an_eighth_of_the_file_and_then_it_is_closed(path: Path, colour: Any) -> None:
    store, clock = clocked(path)
    inner: Any = store._verbs
    verbs, most = colour(store), inner._marks
    for number in range(most):
        assert adopt(verbs, number).payload == b"x"
        clock.advance(0.001)
    held = adopt(verbs, most)
    assert (held.payload, held.successor, held.age) == (NO_ROOM, None, math.inf)
    assert held.life_left == pytest.approx(5000)
    assert verbs.get(key(most)) is None
    # Marks that the file has still point to their sessions, and all others have no room.
    assert verbs.get(mark(0)).successor == key(0)
    assert adopt(verbs, 0).successor == key(0)
    assert verbs.get(mark(most + 1)).payload == NO_ROOM
    assert adopt(verbs, most + 1).payload == NO_ROOM
    verbs.clear()
    used = store.stats().used
    assert used is not None
    assert used <= 2**20 // 8
    with SQLiteStore(path, "1M", clock=clock) as other:  # so it is for other processes
        assert adopt(other, most + 1).payload == NO_ROOM
        assert other.length() == 0
        assert list(other.all()) == []
    clock.advance(5000)
    store.purge()
    assert adopt(verbs, most).payload == b"x"
    assert verbs.get(mark(most + 1)) is None
    store.close()


def test_no_flood_evicts_a_mark(path: Path) -> None:
    store, clock = clocked(path)
    for number in range(50):
        adopt(store, number)
    for number in range(1000, 3000):
        clock.advance(0.01)
        store.add(key(number), Record(b"x" * 600), **LIVES)
    assert store.stats().evicted
    held = [store.get(mark(number)) for number in range(50)]
    assert [found and found.successor for found in held] == [key(number) for number in range(50)]
    store.close()


def test_a_file_without_a_limit_keeps_every_mark(path: Path) -> None:
    store = SQLiteStore(path, None)
    assert adopt(store, 1).payload == b"x"
    assert adopt(store, 1).successor == key(1)
    assert adopt(store, 2).payload == b"x"
    assert store.get(mark(3)) is None
    store.close()
