"""Which process may use the file of a snapshot, and what it writes to the disk and to the log."""

from __future__ import annotations

import logging
import os
import signal
import stat
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from lembro import MemoryStore
from lembro.events import Event
from lembro.stores.base import MARK
from lembro.stores.memory import restart, snapshot
from lembro.stores.memory.snapshot import Entry, Invalid
from lembro.stores.memory.snapshot_file import SnapshotFile
from lembro.stores.memory.snapshot_records import entries_of, in_order_of_use
from lembro.testing import FakeClock
from tests.support.memory import add, alive, key
from tests.support.processes import in_fork

pytest.importorskip("fcntl")


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "sessions.bin"


@pytest.fixture
def wall(monkeypatch: pytest.MonkeyPatch) -> SimpleNamespace:
    """A wall clock, whose ``now`` can be set."""
    wall = SimpleNamespace(now=1e9)
    monkeypatch.setattr(restart, "time", SimpleNamespace(time=lambda: wall.now))
    return wall


def opened(path: Path, **options: Any) -> MemoryStore:
    return MemoryStore("1M", snapshot=path, **options)


def filled(path: Path) -> bytes:
    """Write a snapshot with the sessions 0 to 9, and return its bytes."""
    store = opened(path)
    for n in range(10):
        add(store, n)
    store.close()
    return path.read_bytes()


def use(store: MemoryStore) -> None:
    """Do everything that a process without a right to the file must not write to it."""
    store.destroy(key(1))
    add(store, 20)
    store.close()


def fails(*_: Any) -> bool:
    raise OSError("no")


# -- the rights of a process -----------------------------------------------------------------------


def test_a_process_that_began_during_another_one_never_changes_the_file(
    path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    filled(path)
    first, second = opened(path), opened(path)
    assert (first.length(), second.length()) == (10, 0)
    first.close()
    before = path.read_bytes()
    use(second)
    assert path.read_bytes() == before
    assert caplog.messages == [f"lembro: the snapshot {path}: {restart.IN_USE}."]


def test_a_file_that_another_process_has_used_meanwhile_is_reported_once(
    path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    filled(path)
    store = opened(path)
    store.length()
    store.close()
    with opened(path) as other:
        other.destroy(key(1))
    before = path.read_bytes()
    use(store)
    store.close()
    assert path.read_bytes() == before
    assert caplog.messages == [f"lembro: the snapshot {path}: {restart.IN_USE}."]


@pytest.mark.parametrize("call", ["acquire", "open"])
def test_a_file_that_cannot_be_used_at_the_start_is_left_as_it_is(
    path: Path, call: str, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    before = filled(path)
    store = opened(path)
    with monkeypatch.context() as patch:
        patch.setattr(SnapshotFile, call, fails)
        assert store.length() == 0
    use(store)
    assert path.read_bytes() == before
    text = f"lembro: the snapshot {path}: it cannot be used, so the sessions will end with this"
    assert caplog.messages == [f"{text} process: no"]


def test_a_file_that_cannot_be_locked_again_is_left_as_it_is(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = filled(path)
    store = opened(path)
    store.length()
    store.close()
    with monkeypatch.context() as patch:
        patch.setattr(SnapshotFile, "acquire", fails)
        store.open()
    before = path.read_bytes()
    use(store)
    assert path.read_bytes() == before


def test_a_file_of_another_program_is_left_as_it_is(
    path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    path.write_text("foreign")
    store = opened(path)
    events: list[Event] = []
    store.on("rejected", events.append)
    use(store)
    assert path.read_text() == "foreign"
    reason = "another program has written it. lembro does not replace it. Give another path"
    assert [event.reason for event in events] == [f"the snapshot {path}: {reason}"]
    assert caplog.record_tuples == [
        ("lembro", logging.WARNING, f"lembro: the snapshot {path}: {reason}.")
    ]


@pytest.mark.parametrize("error", [Invalid("it is no"), ValueError("unexpected")])
def test_the_sessions_before_an_error_in_the_file_are_not_kept(
    path: Path, error: Exception, monkeypatch: pytest.MonkeyPatch
) -> None:
    filled(path)
    read = snapshot.entries

    def entries(*args: Any) -> Iterator[Entry]:
        yield next(read(*args))
        raise error

    monkeypatch.setattr(snapshot, "entries", entries)
    assert alive(opened(path), range(10)) == []


def test_only_the_first_logout_waits_for_the_disk(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    filled(path)
    store = opened(path)
    synced: list[int] = []
    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", synced.append)
        for n in range(3):
            store.destroy(key(n))
    assert len(synced) == 1


# -- what is kept ----------------------------------------------------------------------------------


def test_a_touch_is_kept_by_each_close(path: Path) -> None:
    filled(path)
    store = opened(path)
    for idle in (50.0, 1000.0):
        with store:
            assert store.touch(key(1), idle=idle)
        after = opened(path)
        found = after.get(key(1))
        assert found is not None
        assert found.idle_left == pytest.approx(idle, abs=20)
        assert after._restart is not None
        after._restart._file.release()


@pytest.mark.parametrize("away", [0.0, 60.0, 60.5])
def test_a_file_is_read_until_it_is_older_than_the_maximum(
    path: Path, wall: SimpleNamespace, away: float
) -> None:
    clock = FakeClock()
    store = opened(path, clock=clock)
    add(store, 1, idle=100)
    store.close()
    wall.now += away
    found = opened(path, clock=clock).get(key(1))
    assert (found and found.idle_left) == (None if away > 60 else 100 - away)


def test_the_table_of_slots_does_not_shrink_while_sessions_are_written(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A session that gets another slot would be missing in the file."""
    clock = FakeClock()
    store = opened(path, clock=clock)
    for n in range(700):
        add(store, n, size=10, idle=1e6 if n > 600 else 1)
    slots = store._parts.slots
    before = slots.capacity
    seen = []

    def expire(parts: Any) -> list[int]:
        found = in_order_of_use(parts)
        clock.advance(5)
        store.purge()
        seen.append(slots.capacity)
        return found

    monkeypatch.setattr(restart, "in_order_of_use", expire)
    store.close()
    assert seen == [before]
    store.purge()
    assert slots.capacity < before
    assert alive(opened(path), range(700)) == list(range(601, 700))


def test_the_lock_is_held_for_256_records_at_most(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = opened(path)
    for n in range(257):
        add(store, n, size=10)
    seen = []

    def entries(parts: Any, slots: Any, now: float) -> Iterator[Entry]:
        seen.append(len(slots))
        return entries_of(parts, slots, now)

    monkeypatch.setattr(restart, "entries_of", entries)
    store.close()
    assert seen == [256, 1]


def test_memory_for_marks_is_reserved_only_on_request(path: Path) -> None:
    store = opened(path)
    assert store.get(MARK + bytes(24)) is None
    assert store.stats().used < store.max_size // 16


# -- the disk and the log --------------------------------------------------------------------------


def test_the_whole_file_is_on_the_disk_before_it_replaces_the_old_one(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls: list[object] = []
    replace = os.replace

    def fsync(fd: int) -> None:
        there = os.fstat(fd)
        calls.append("folder" if stat.S_ISDIR(there.st_mode) else there.st_size)

    def rename(*args: str) -> None:
        calls.append("replace")
        replace(*args)

    monkeypatch.setattr(os, "fsync", fsync)
    monkeypatch.setattr(os, "replace", rename)
    size = len(filled(path))
    assert calls == [size, "replace", "folder"]


def test_the_log_tells_how_many_sessions_were_read(
    path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    filled(path)
    with caplog.at_level(logging.INFO, "lembro"):
        opened(path).length()
    text = f"lembro: the snapshot {path}: 10 sessions were read from it"
    assert ("lembro", logging.INFO, text) in caplog.record_tuples


def test_the_log_has_the_errors_of_the_system(
    path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    filled(path)
    store = opened(path)
    store.length()
    with monkeypatch.context() as patch:
        patch.setattr(os, "unlink", fails)
        store.destroy(key(1))
        patch.setattr(os, "open", fails)
        store.close()
    assert [(record.levelno, record.message) for record in caplog.records] == [
        (
            logging.ERROR,
            f"lembro: the snapshot {path}: it {effect}: no",
        )
        for effect in (
            "cannot be deleted, so a crash may undo a logout",
            "cannot be written, so the sessions of this process are lost",
        )
    ]
    assert all(record.exc_info for record in caplog.records)


# -- forks -----------------------------------------------------------------------------------------


def test_a_forked_child_does_not_keep_its_parents_lock(path: Path) -> None:
    filled(path)
    store = opened(path)
    store.length()
    reading, writing = os.pipe()
    pid = os.fork()
    if not pid:  # pragma: no cover - in the child
        signal.signal(signal.SIGALRM, signal.SIG_DFL)
        signal.alarm(60)
        os.write(writing, b"forked")
        signal.pause()
    try:
        assert os.read(reading, 10)  # no limit: the child writes at once
        store.close()
        assert SnapshotFile(str(path)).acquire()  # no limit: it does not wait
    finally:
        os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)
        os.close(reading)
        os.close(writing)


def test_the_age_of_the_file_counts_until_the_start_of_the_child(
    path: Path, wall: SimpleNamespace
) -> None:
    store = opened(path)  # in the parent, which loads the application
    filled(path)
    wall.now += 61
    assert in_fork(lambda: str(store.length()).encode()) == b"0"
    assert store.length() == 10


def test_a_child_that_was_forked_while_another_thread_wrote_can_write(path: Path) -> None:
    store = opened(path)

    def work() -> bytes:
        signal.signal(signal.SIGALRM, signal.SIG_DFL)
        signal.alarm(20)  # otherwise it would wait for a thread that does not exist in the child
        add(store, 1)
        store.close()
        return b"written"

    assert store._restart is not None
    with store._restart._saving:
        assert in_fork(work) == b"written"
    assert alive(opened(path), range(2)) == [1]
