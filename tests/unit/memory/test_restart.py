"""When a snapshot is read, written and deleted, and by which process."""

from __future__ import annotations

import logging
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from lembro import MemoryStore, SessionManager
from lembro.errors import StoreUnavailable
from lembro.events import Event
from lembro.stores.base import MARK, Record
from lembro.stores.memory import process_end, restart, slices, snapshot
from lembro.stores.memory.snapshot_file import SnapshotFile
from lembro.stores.memory.snapshot_records import in_order_of_use
from tests.support import ROOT
from tests.support.memory import add, alive, key
from tests.support.processes import in_fork

pytest.importorskip("fcntl")


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "sessions.bin"


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> SimpleNamespace:
    """A wall clock, whose ``now`` can be set."""
    clock = SimpleNamespace(now=1e9)
    monkeypatch.setattr(restart, "time", SimpleNamespace(time=lambda: clock.now))
    return clock


def opened(path: Path, **options: Any) -> MemoryStore:
    return MemoryStore("1M", snapshot=path, **options)


def killed(store: MemoryStore) -> None:
    """Let a store end as if its process had been killed."""
    assert store._restart is not None
    store._restart._file.release()
    store._restart._usable = False


def filled(path: Path) -> None:
    """Write a snapshot with the sessions 0 to 9."""
    store = opened(path)
    for n in range(10):
        add(store, n, user=f"user-{n}")
    store.close()


def rejections(store: MemoryStore) -> list[Event]:
    events: list[Event] = []
    store.on("rejected", events.append)
    store.on("error", events.append)
    store.open()
    return events


ARGS: dict[str, Any] = {"expected": b"x" * 500, "idle": 100, "life": 100, "grace": 10}
ENDS: dict[str, Callable[[MemoryStore], object]] = {
    "destroy": lambda store: store.destroy(key(1)),
    "replace": lambda store: store.replace(key(1), key(11), Record(b"y"), **ARGS),
    "a login with a limit": lambda store: store.add(
        key(11), Record(b"y", "user-1"), idle=9, life=9, per_user=(1, "oldest")
    ),
    "destroy_user": lambda store: store.destroy_user("user-1"),
    "clear": lambda store: store.clear(),
}


@pytest.mark.parametrize("end", ENDS)
def test_the_file_is_deleted_before_a_session_ends_or_moves(end: str, path: Path) -> None:
    filled(path)
    store = opened(path)
    seen: list[int] = []
    before_end = SnapshotFile.delete

    def delete(file: SnapshotFile) -> None:
        before_end(file)
        seen.append(sum(store._parts.queues.counts))

    assert store._restart is not None
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(SnapshotFile, "delete", delete)
        ENDS[end](store)
    assert seen == [10]
    assert not path.exists()
    killed(store)
    assert alive(opened(path), range(12)) == []


def test_other_verbs_keep_the_file_so_a_crash_loop_loses_nothing(path: Path) -> None:
    filled(path)
    for _ in range(2):
        store = opened(path)
        assert store.get(key(1)) is not None
        assert store.touch(key(1), idle=50)
        assert add(store, 20)
        assert store.set(key(2), Record(b"y"), expected=b"x" * 500, idle=50) is not None
        store.purge()
        killed(store)
    assert alive(opened(path), range(30)) == list(range(10))


def test_time_counts_while_no_process_runs(path: Path, clock: SimpleNamespace) -> None:
    store = opened(path)
    add(store, 1, idle=100)
    add(store, 2, idle=10)
    store.close()
    clock.now += 30
    store = opened(path)
    found = store.get(key(1))
    assert found is not None
    assert 60 < found.idle_left <= 70
    assert found.age >= 30
    assert store.get(key(2)) is None


def test_a_clock_that_was_set_back_ends_no_session(path: Path, clock: SimpleNamespace) -> None:
    store = opened(path)
    add(store, 1, idle=100)
    store.close()
    clock.now -= 3600
    found = opened(path).get(key(1))
    assert found is not None
    assert 90 < found.idle_left <= 100


def test_an_old_file_is_ignored(path: Path, clock: SimpleNamespace) -> None:
    filled(path)
    clock.now += 61
    store = opened(path)
    (event,) = rejections(store)
    assert event.reason.endswith("it was 61 s old at the start, snapshot_max_age=60")
    assert store.length() == 0
    killed(store)
    store = opened(path, snapshot_max_age=62)
    clock.now += 100  # its first request comes later
    assert store.length() == 10


def test_a_store_without_use_leaves_the_file_as_it_is(path: Path) -> None:
    filled(path)
    before = path.stat()
    store = opened(path)
    store.reserve_marks()
    store.authenticate_snapshot(("key",))
    repr(store)
    store.close()
    assert path.stat() == before
    assert list(path.parent.glob("*.new")) == []


def test_marks_are_reserved_at_the_first_use(path: Path) -> None:
    store = opened(path)
    store.reserve_marks()
    assert not store._parts.adoption.marks.size
    assert store.get(key(1)) is None
    assert store._parts.adoption.marks.size
    store.reserve_marks()
    args = {**ARGS, "expected": None}
    assert store.replace(MARK + bytes(24), key(1), Record(b"y"), **args)


def test_a_second_process_neither_reads_nor_writes(path: Path) -> None:
    filled(path)
    first = opened(path)
    assert first.length() == 10
    second = opened(path)
    (event,) = rejections(second)
    assert "another process uses it" in event.reason
    add(second, 20)
    second.close()
    first.close()
    assert alive(opened(path), range(30)) == list(range(10))


def test_a_store_that_was_opened_again_works(path: Path, clock: SimpleNamespace) -> None:
    filled(path)
    store = opened(path)
    for n in range(20, 23):
        with store:
            clock.now += 100
            add(store, n)
    assert alive(store, range(30)) == [*range(10), 20, 21, 22]
    other = opened(path)
    assert alive(other, range(30)) == [*range(10), 20, 21, 22]
    assert "another process" in rejections(store)[0].reason
    store.destroy(key(20))
    assert path.exists()
    store.close()


def test_a_store_that_cannot_be_locked_again_reports_it(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    filled(path)
    store = opened(path)
    store.length()
    store.close()

    def fails(_: SnapshotFile) -> bool:
        raise OSError("no lock")

    monkeypatch.setattr(SnapshotFile, "acquire", fails)
    (event,) = rejections(store)
    assert event.name == "error"


def test_after_close_a_logout_deletes_the_file_unless_another_process_uses_it(path: Path) -> None:
    filled(path)
    store = opened(path)
    store.length()
    store.close()
    store.destroy(key(1))
    assert not path.exists()
    store._save(end=False)
    assert alive(opened(path), range(10)) == [0, *range(2, 10)]
    other = opened(path)
    assert other.length() == 9
    store.destroy(key(2))
    assert path.exists()
    store._save(end=False)


@pytest.mark.parametrize("again", [MemoryStore.open, lambda store: None], ids=["open", "exit"])
def test_a_closed_store_does_not_write_again_after_another_process_had_the_file(
    path: Path, again: Callable[[MemoryStore], object]
) -> None:
    filled(path)
    store = opened(path)
    store.length()
    store.close()
    with opened(path) as other:
        other.destroy(key(1))
    store.close()  # without a change, there is nothing to lose
    events: list[Event] = []
    store.on("rejected", events.append)
    again(store)
    add(store, 20)
    store._save(end=True)
    assert "another process uses it, or has used it" in events[0].reason
    assert len(events) == 1
    assert alive(opened(path), range(30)) == [0, *range(2, 10)]


def test_a_closed_store_does_not_replace_a_file_that_another_process_deleted(path: Path) -> None:
    filled(path)
    store = opened(path)
    store.length()
    store.close()
    other = opened(path)
    other.destroy(key(1))
    killed(other)
    add(store, 20)
    store.close()
    assert not path.exists()


def test_a_change_while_the_file_is_written_is_in_it(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = opened(path)
    for n in range(600):
        add(store, n, size=10)
    pack = snapshot.pack
    done: list[int] = []

    def change(*args: Any) -> Any:
        if not done:
            done.append(1)
            store.destroy(key(598))
            store.destroy(key(599))
            store.set(key(0), Record(b"new"), expected=b"x" * 10, idle=100)
            add(store, 700)
        return pack(*args)

    monkeypatch.setattr(snapshot, "pack", change)
    store.close()
    after = opened(path)
    assert alive(after, range(701)) == [*range(598), 700]
    found = after.get(key(0))
    assert found is not None
    assert found.payload == b"new"


def test_a_change_in_progress_as_the_writing_begins_is_in_the_file(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = opened(path)
    add(store, 1)
    noted, go_on = threading.Event(), threading.Event()
    before_change, acquire = restart.Restart.before_change, SnapshotFile.acquire
    slots = in_order_of_use

    def change(self: restart.Restart) -> None:
        before_change(self)
        noted.set()
        assert go_on.wait(20)

    def begin(file: SnapshotFile) -> bool:  # after the check whether the file has all sessions
        if thread.ident is None:
            thread.start()
            assert noted.wait(20)
            threading.Timer(0.2, go_on.set).start()
        return acquire(file)

    def read(parts: Any) -> list[int]:
        found = slots(parts)
        go_on.set()
        return found

    thread = threading.Thread(target=add, args=(store, 2))
    monkeypatch.setattr(restart.Restart, "before_change", change)
    monkeypatch.setattr(SnapshotFile, "acquire", begin)
    monkeypatch.setattr(restart, "in_order_of_use", read)
    store.close()
    thread.join(20)
    assert alive(opened(path), range(4)) == [1, 2]


def test_a_file_that_is_written_during_clear_is_deleted(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    filled(path)
    store = opened(path)
    store.length()
    repeat = slices.repeat

    def save(*args: Any) -> int:
        store._save(end=False)
        return repeat(*args)

    monkeypatch.setattr(slices, "repeat", save)
    store.clear()
    killed(store)
    assert alive(opened(path), range(10)) == []


def test_others_use_the_store_while_the_file_is_written(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = opened(path)
    for n in range(600):
        add(store, n, size=10)
    pack = snapshot.pack
    seen = []

    def look(*args: Any) -> Any:
        seen.append(store._lock.locked())
        return pack(*args)

    monkeypatch.setattr(snapshot, "pack", look)
    store.close()
    assert seen == [False] * 600


def test_at_the_end_of_the_process_changes_are_refused_after_the_last_write(path: Path) -> None:
    filled(path)
    store = opened(path)
    store.length()
    store.close()
    add(store, 20)
    store._save(end=True)
    for change in (lambda: add(store, 21), lambda: store.destroy(key(1)), store.clear):
        with pytest.raises(StoreUnavailable, match="the process ends"):
            change()
    assert store.get(key(1)) is not None
    store._save(end=True)
    assert alive(opened(path), range(30)) == [*range(10), 20]


def test_a_saved_store_only_refuses_changes_at_the_end(path: Path) -> None:
    filled(path)
    store = opened(path)
    store.length()
    store.close()
    before = path.stat().st_ino
    store._save(end=True)
    assert path.stat().st_ino == before
    with pytest.raises(StoreUnavailable):
        add(store, 20)


@pytest.mark.parametrize("call", ["fsync", "open", "replace"])
def test_a_full_disk_leaves_the_old_file_and_no_new_one(
    path: Path, call: str, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    filled(path)
    store = opened(path)
    add(store, 20)
    events = rejections(store)

    def full(*_: Any) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(os, call, full)
        store.close()
    assert [event.name for event in events] == ["error"]
    assert "cannot be written" in caplog.text
    assert {each.name for each in path.parent.iterdir()} == {path.name, f"{path.name}.lock"}
    killed(store)
    assert alive(opened(path), range(30)) == list(range(10))


def test_a_file_that_cannot_be_deleted_is_an_error_and_tried_again(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    filled(path)
    store = opened(path)
    events = rejections(store)

    def fails(_: SnapshotFile) -> None:
        raise OSError(30, "Read-only file system")

    with monkeypatch.context() as patch:
        patch.setattr(SnapshotFile, "delete", fails)
        assert store.destroy(key(1)) is not None
    assert [event.name for event in events] == ["error"]
    assert path.exists()
    store.destroy(key(2))
    assert not path.exists()


@pytest.mark.parametrize("error", [PermissionError("no"), ValueError("unexpected")])
def test_a_file_that_cannot_be_read_stops_nothing(
    path: Path, error: Exception, monkeypatch: pytest.MonkeyPatch
) -> None:
    filled(path)

    def fails(*_: Any) -> None:
        raise error

    monkeypatch.setattr(snapshot, "check", fails)
    store = opened(path)
    assert rejections(store)[0].error is error
    assert add(store, 20)


def test_a_log_handler_may_use_the_store(path: Path) -> None:
    path.write_text("foreign")
    store = opened(path)
    seen = []

    class Handler(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            seen.append(store.get(key(1)))

    handler = Handler()
    logging.getLogger("lembro").addHandler(handler)
    try:
        thread = threading.Thread(target=store.get, args=(key(1),))
        thread.start()
        thread.join(20)
        assert not thread.is_alive()
    finally:
        logging.getLogger("lembro").removeHandler(handler)
    assert seen == [None]


def test_the_purger_runs_for_sessions_that_were_read(path: Path) -> None:
    filled(path)
    store = opened(path)
    assert store._purger is None
    store.open()
    assert store._purger is not None
    store.close()


def test_a_managers_secret_authenticates_the_file(path: Path) -> None:
    old, new = "old-91kd_Qm57rTzL0vBnE8yWc2JfHgU", "new-91kd_Qm57rTzL0vBnE8yWc2JfHgU"
    manager = SessionManager(opened(path), secret=old)
    session_id = manager.create({"a": 1})
    manager.close()
    for secrets, data in (((new, old), {"a": 1}), ((old,), None), ((new,), {"a": 1})):
        manager = SessionManager(opened(path), secret=secrets)
        assert manager.get(session_id) == data
        if data is None:
            killed(manager.store)  # type: ignore[arg-type]
        else:
            manager.close()


def test_the_secrets_of_all_managers_are_accepted_and_the_first_one_writes(path: Path) -> None:
    one, two = "one-91kd_Qm57rTzL0vBnE8yWc2JfHgU", "two-91kd_Qm57rTzL0vBnE8yWc2JfHgU"
    session_id = ""
    for data in (None, {"a": 1}):
        store = opened(path)
        SessionManager(store, secret=one)
        store.length()  # this reads the file
        second = SessionManager(store, secret=two)
        if data is None:
            session_id = second.create({"a": 1})
        assert second.get(session_id) == {"a": 1}
        store.close()


# -- forks and ends of processes -------------------------------------------------------------------


def test_a_worker_that_is_forked_before_the_first_use_reads_and_writes(path: Path) -> None:
    filled(path)
    store = opened(path)

    def work() -> bytes:
        add(store, 20)
        store.close()
        return str(store.length()).encode()

    assert in_fork(work) == b"11"
    assert store.length() == 11


def test_a_fork_of_a_store_in_use_has_no_right_to_the_file(path: Path) -> None:
    filled(path)
    store = opened(path)
    assert store.length() == 10

    def work() -> bytes:
        store.destroy(key(1))
        store.close()
        store._save(end=True)
        return str(store.length()).encode()

    assert in_fork(work) == b"9"
    assert path.exists()
    assert not SnapshotFile(str(path)).acquire()  # no limit: it does not wait
    store.close()
    assert alive(opened(path), range(10)) == list(range(10))


@pytest.mark.parametrize(("used", "status"), [(True, -signal.SIGTERM), (False, 0)])
def test_a_forked_child_handles_sigterm_only_if_it_may_write(
    path: Path, used: bool, status: int
) -> None:
    script = """
import os, signal, sys
from lembro import MemoryStore
store = MemoryStore(snapshot=sys.argv[1])
if sys.argv[2] == "True":
    store.length()
child = os.fork()
if not child:
    store.length()
    signal.raise_signal(signal.SIGTERM)
    os._exit(3)
sys.exit(-os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
"""
    done = subprocess.run(
        [sys.executable, "-c", script, str(path), str(used)],
        env={"PYTHONPATH": str(ROOT / "src")},
        timeout=60,
        check=False,
    )
    assert done.returncode == -status


SCRIPT = """
import os, signal, sys, threading
from lembro import MemoryStore, SessionManager
from lembro.stores.memory import process_end
manager = SessionManager(MemoryStore("64K", snapshot=sys.argv[1]))
{work}
manager.create({{"a": 1}})
{end}
"""


@pytest.mark.parametrize(
    ("work", "end", "status", "sessions"),
    [
        ("", "", 0, 1),
        ("", "signal.raise_signal(signal.SIGTERM)", 0, 1),
        ("", "os.kill(os.getpid(), signal.SIGKILL)", -9, 0),
        (
            "signal.signal(signal.SIGTERM, lambda *_: os._exit(3))",
            "signal.raise_signal(signal.SIGTERM)",
            3,
            0,
        ),
        # The signal arrives in the middle of a verb, which is not interrupted.
        (
            "manager.create({'b': 1})\nlock = manager.store._lock",
            "with lock: signal.raise_signal(signal.SIGTERM)\nsignal.pause()",
            0,
            2,
        ),
        # A second signal arrives while the file is written.
        (
            "from lembro.stores.memory import snapshot\n"
            "start = snapshot.start\n"
            "snapshot.start = lambda at: signal.raise_signal(signal.SIGTERM) or start(at)",
            "signal.raise_signal(signal.SIGTERM)",
            0,
            1,
        ),
    ],
    ids=[
        "end",
        "SIGTERM",
        "SIGKILL",
        "a handler of the application",
        "in a verb",
        "SIGTERM twice",
    ],
)
def test_the_end_of_a_process_writes_the_file(
    path: Path, work: str, end: str, status: int, sessions: int
) -> None:
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT.format(work=work, end=end), str(path)],
        env={"PYTHONPATH": str(ROOT / "src")},
        timeout=60,
        check=False,
    )
    assert done.returncode == status
    assert opened(path).length() == sessions


def test_a_store_that_another_thread_makes_leaves_the_signal_alone(path: Path) -> None:
    script = """
import signal, sys, threading
from lembro import MemoryStore
thread = threading.Thread(target=MemoryStore, kwargs={"snapshot": sys.argv[1]})
thread.start()
thread.join(20)
assert signal.getsignal(signal.SIGTERM) is signal.SIG_DFL
signal.signal(signal.SIGTERM, signal.SIG_IGN)
MemoryStore(snapshot=sys.argv[1])
assert signal.getsignal(signal.SIGTERM) is signal.SIG_IGN
"""
    subprocess.run(
        [sys.executable, "-c", script, str(path)],
        env={"PYTHONPATH": str(ROOT / "src")},
        timeout=60,
        check=True,
    )


# In this process, whose signals the test replaces.


def test_sigterm_ends_the_interpreter_normally(path: Path, handlers: dict[int, Any]) -> None:
    store = opened(path)
    add(store, 1)
    with pytest.raises(SystemExit) as ended:
        handlers[signal.SIGTERM](signal.SIGTERM, None)
    assert ended.value.code == 0
    process_end._save_all()
    assert handlers[signal.SIGTERM] is signal.SIG_IGN
    assert path.exists()


def test_a_signal_during_a_verb_is_sent_again(
    path: Path, handlers: dict[int, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    sent: list[tuple[int, int]] = []
    arrived = threading.Event()

    def kill(pid: int, number: int) -> None:
        sent.append((pid, number))
        arrived.set()

    monkeypatch.setattr(os, "kill", kill)
    store = opened(path)
    with store._lock:
        handlers[signal.SIGTERM](signal.SIGTERM, None)
    assert arrived.wait(20)
    assert sent == [(os.getpid(), signal.SIGTERM)]


def test_another_handler_of_the_application_stays(path: Path, handlers: dict[int, Any]) -> None:
    handlers[signal.SIGTERM] = own = print
    store = opened(path)
    add(store, 1)
    process_end._save_all()
    assert handlers[signal.SIGTERM] is own
    assert path.exists()


def test_a_thread_leaves_the_signal_alone(path: Path, handlers: dict[int, Any]) -> None:
    thread = threading.Thread(target=opened, args=(path,))
    thread.start()
    thread.join(20)
    assert handlers[signal.SIGTERM] is signal.SIG_DFL


def test_a_child_of_a_process_with_sessions_leaves_the_signal_to_the_system(
    path: Path, handlers: dict[int, Any]
) -> None:
    store = opened(path)
    process_end._in_child()  # the child may be the first process that uses the store
    assert handlers[signal.SIGTERM] is not signal.SIG_DFL
    add(store, 1)
    process_end._in_child()
    assert handlers[signal.SIGTERM] is signal.SIG_DFL
