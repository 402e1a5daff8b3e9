"""The warning about other worker processes."""

from __future__ import annotations

import errno
import logging
import os
import stat
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from lembro.stores.memory import worker_check
from tests.support.processes import OTHERS, run

fcntl = pytest.importorskip("fcntl")


Logged = Callable[[], list[str]]


def test_two_stores_in_one_process_do_not_warn(folder: Path) -> None:
    logged = run(folder, "a = MemoryStore(); b = MemoryStore(); add(a); add(b)")
    assert "WARNING" not in logged


def test_the_lock_file_is_private_and_is_removed_at_exit(folder: Path) -> None:
    script = """
MemoryStore()
[name] = os.listdir(os.environ["TMPDIR"])
print(name, oct(os.stat(os.path.join(os.environ["TMPDIR"], name)).st_mode), file=sys.stderr)
"""
    logged = run(folder, script)
    assert logged.startswith("lembro-")
    assert logged.strip().endswith(oct(stat.S_IFREG | 0o600))
    assert list(folder.iterdir()) == []


def test_a_worker_that_follows_another_does_not_warn(folder: Path) -> None:
    """With a reloader, the next child begins when the last one has ended."""
    script = """
for _ in range(3):
    os.waitpid(child(lambda: add(MemoryStore())), 0)
"""
    assert "WARNING" not in run(folder, script)


def test_a_killed_worker_leaves_no_lock(folder: Path) -> None:
    script = """
import signal
os.waitpid(child(lambda: (add(MemoryStore()), os.kill(os.getpid(), signal.SIGKILL))), 0)
os.waitpid(child(lambda: add(MemoryStore())), 0)
"""
    assert "WARNING" not in run(folder, script)


def test_locks_of_ended_processes_are_removed(folder: Path) -> None:
    """A signal ended these processes. Held locks and other files stay."""
    script = """
import fcntl
folder = os.environ["TMPDIR"]
for name in ("lembro-a.lock", "lembro-b.lock", "lembro-held.lock", "other.lock", "target"):
    open(os.path.join(folder, name), "w").close()
os.symlink(os.path.join(folder, "target"), os.path.join(folder, "lembro-link.lock"))
os.mkfifo(os.path.join(folder, "lembro-fifo.lock"))
held = open(os.path.join(folder, "lembro-held.lock"))
fcntl.flock(held, fcntl.LOCK_EX)
MemoryStore()
assert len([name for name in os.listdir(folder) if len(name) > 40]) == 1  # its own
"""
    assert "WARNING" not in run(folder, script)
    left = {"lembro-held.lock", "other.lock", "target", "lembro-link.lock", "lembro-fifo.lock"}
    assert {path.name for path in folder.iterdir()} == left


@pytest.mark.skipif(os.geteuid() == 0 and not Path("/proc").exists(), reason="needs /proc")
def test_a_read_only_folder_raises_no_error(folder: Path) -> None:
    script = """
import tempfile
tempfile.tempdir = "/proc/self/nowhere"
store = MemoryStore()
assert add(store)
"""
    logged = run(folder, script)
    assert "WARNING" not in logged
    assert "cannot check for other worker processes" in logged


def test_a_planted_link_is_not_followed(folder: Path) -> None:
    script = """
from lembro.stores.memory import worker_check
target = os.path.join(os.environ["TMPDIR"], "target")
os.symlink(target, worker_check._name())
assert add(MemoryStore())
assert not os.path.exists(target)
"""
    assert "WARNING" not in run(folder, script)


def test_each_further_worker_warns_once(folder: Path) -> None:
    """All workers but one log the warning, however many stores each of them creates."""
    script = """
ready, report = os.pipe()
hold, release = os.pipe()
def work():
    for n in range(3):
        add(MemoryStore())
    os.close(release)
    os.write(report, b"x")
    os.read(hold, 1)  # stay until all have made their stores
children = [child(work) for _ in range(4)]
for _ in children:
    os.read(ready, 1)
os.close(release)
for pid in children:
    os.waitpid(pid, 0)
"""
    logged = [line for line in run(folder, script).splitlines() if line.startswith("WARNING")]
    assert len(logged) == 3
    assert all(OTHERS in line for line in logged)
    for better in ("--workers 1, with threads", "SQLiteStore or RedisStore"):
        assert better in logged[0]


def test_the_lock_is_in_the_systems_temporary_folder() -> None:
    from lembro.stores.memory import worker_check  # noqa: PLC0415

    assert os.path.dirname(worker_check._name()) == tempfile.gettempdir()


@pytest.fixture
def logged(caplog: pytest.LogCaptureFixture) -> Iterator[Callable[[], list[str]]]:
    with caplog.at_level(logging.DEBUG, "lembro"):
        yield lambda: caplog.messages


def open_files() -> int:
    return len(os.listdir("/proc/self/fd"))


def fails(*_: object, **__: object) -> None:
    raise OSError(errno.ENOLCK, "No locks available")


@pytest.mark.usefixtures("alone_in")
def test_a_folder_without_locks_is_reported(
    logged: Logged, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = open_files()
    monkeypatch.setattr(fcntl, "flock", fails)
    worker_check.claim()
    assert logged() == [
        "lembro: cannot check for other worker processes: "
        f"[Errno {errno.ENOLCK}] No locks available"
    ]
    assert open_files() == before


@pytest.mark.usefixtures("alone_in")
def test_a_folder_that_cannot_be_listed_is_reported(
    logged: Logged, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, "scandir", fails)
    worker_check.claim()
    assert [text.rpartition(":")[0] for text in logged()] == [
        "lembro: cannot remove the lock files of ended processes"
    ]
    assert os.path.exists(worker_check._path)


def test_a_lock_whose_file_is_removed_meanwhile_is_taken_again(
    alone_in: Path, logged: Logged, monkeypatch: pytest.MonkeyPatch
) -> None:
    before, flock = open_files(), fcntl.flock

    def sweep_first(fd: int, operation: int) -> None:
        flock(fd, operation)
        if sweeps:
            os.unlink(sweeps.pop())

    sweeps = [worker_check._name()]
    monkeypatch.setattr(fcntl, "flock", sweep_first)
    worker_check.claim()
    assert logged() == []
    assert [str(path) for path in alone_in.iterdir()] == [worker_check._path]
    assert open_files() == before + 1


@pytest.mark.usefixtures("alone_in")
def test_a_lock_whose_file_is_always_removed_is_given_up(
    logged: Logged, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = open_files()
    monkeypatch.setattr(worker_check, "_is_at", lambda fd, path: False)
    worker_check.claim()
    assert logged() == []
    assert open_files() == before


def test_a_file_that_was_replaced_meanwhile_is_not_removed(
    alone_in: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    left = alone_in / "lembro-0.lock"
    left.touch()
    flock = fcntl.flock

    def renew_first(fd: int, operation: int) -> None:
        flock(fd, operation)
        if not new:
            left.unlink()
            left.write_text("new")
            new.append(left)

    new: list[Path] = []
    monkeypatch.setattr(fcntl, "flock", renew_first)
    worker_check._remove(str(left))
    assert left.read_text() == "new"


def test_a_claim_removes_unused_locks_and_keeps_its_own(alone_in: Path) -> None:
    names = ("lembro-0.lock", "lembro-1.lock", "lembro-held.lock", "lembro-0.txt", "other.lock")
    for name in names:
        (alone_in / name).touch()
    with (alone_in / "lembro-held.lock").open() as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        worker_check.claim()
    left = {path.name for path in alone_in.iterdir()}
    own = Path(worker_check._path).name
    assert left == {own, "lembro-held.lock", "lembro-0.txt", "other.lock"}


def test_a_lock_that_stays_held_is_tried_twice_and_then_warned_of(
    alone_in: Path, logged: Logged
) -> None:
    with open(worker_check._name(), "w") as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        worker_check.claim()
        worker_check.claim()
    assert logged() == [worker_check.SHARED]
    assert worker_check._fd == -1


def test_a_lock_that_is_held_briefly_is_taken(
    alone_in: Path, logged: Logged, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The clean-up of another process holds a lock while it removes the file."""
    pauses: list[float] = []
    with open(worker_check._name(), "w") as held:
        fcntl.flock(held, fcntl.LOCK_EX)

        def release(seconds: float) -> None:
            pauses.append(seconds)
            fcntl.flock(held, fcntl.LOCK_UN)

        monkeypatch.setattr("lembro.stores.memory.worker_check.time.sleep", release)
        worker_check.claim()
    assert (logged(), pauses) == ([], [worker_check.PAUSE])
    assert worker_check._fd >= 0
