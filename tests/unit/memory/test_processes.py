"""MemoryStore among processes: forks, and the word about other workers."""

from __future__ import annotations

import errno
import logging
import os
import stat
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from lembro.stores.memory import worker_check

fcntl = pytest.importorskip("fcntl")

Said = Callable[[], list[str]]

PATIENCE = 60.0
COPY = "which is no longer shared with its parent"
OTHERS = "another worker process of this application"

PRELUDE = """
import logging, os, sys
logging.basicConfig(level=logging.DEBUG, format="%(levelname)s %(message)s")
from lembro.stores.memory import MemoryStore
from lembro.stores.base import Record

def add(store, n=1, idle=1e6):
    return store.add(n.to_bytes(32), Record(b"x"), idle=idle, life=1e6)

def child(work):
    pid = os.fork()
    if pid == 0:
        try:
            work()
            sys.stderr.flush()
        except BaseException as error:
            print("FAILED", repr(error), file=sys.stderr, flush=True)
        os._exit(0)
    return pid
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A temporary folder of its own, so that no other run is seen."""
    return tmp_path


def environment(folder: Path) -> dict[str, str]:
    return {**os.environ, "TMPDIR": str(folder), "PYTHONWARNINGS": "ignore"}


def run(folder: Path, script: str) -> str:
    """What a script writes to stderr."""
    done = subprocess.run(
        [sys.executable, "-c", PRELUDE + script],
        env=environment(folder),
        capture_output=True,
        text=True,
        timeout=PATIENCE,
        check=True,
    )
    assert "FAILED" not in done.stderr, done.stderr
    return done.stderr


# --- one process


def test_two_stores_in_one_process_say_nothing(folder: Path) -> None:
    said = run(folder, "a = MemoryStore(); b = MemoryStore(); add(a); add(b)")
    assert "WARNING" not in said


def test_the_lock_is_private_and_is_taken_away(folder: Path) -> None:
    script = """
MemoryStore()
[name] = os.listdir(os.environ["TMPDIR"])
print(name, oct(os.stat(os.path.join(os.environ["TMPDIR"], name)).st_mode), file=sys.stderr)
"""
    said = run(folder, script)
    assert said.startswith("lembro-")
    assert said.strip().endswith(oct(stat.S_IFREG | 0o600))
    assert list(folder.iterdir()) == []


def test_one_after_the_other_says_nothing(folder: Path) -> None:
    """As a reloader does: the next child begins when the last has ended."""
    script = """
for _ in range(3):
    os.waitpid(child(lambda: add(MemoryStore())), 0)
"""
    assert "WARNING" not in run(folder, script)


def test_a_holder_that_was_killed_leaves_no_trace(folder: Path) -> None:
    script = """
import signal
os.waitpid(child(lambda: (add(MemoryStore()), os.kill(os.getpid(), signal.SIGKILL))), 0)
os.waitpid(child(lambda: add(MemoryStore())), 0)
"""
    assert "WARNING" not in run(folder, script)


def test_locks_of_ended_processes_are_swept_away(folder: Path) -> None:
    """Those that a signal ended; not one that is held, and nothing that is no lock of ours."""
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
def test_a_folder_that_cannot_be_written_breaks_nothing(folder: Path) -> None:
    script = """
import tempfile
tempfile.tempdir = "/proc/self/nowhere"
store = MemoryStore()
assert add(store)
"""
    said = run(folder, script)
    assert "WARNING" not in said
    assert "cannot check for other worker processes" in said


def test_a_planted_link_is_not_followed(folder: Path) -> None:
    script = """
from lembro.stores.memory import worker_check
target = os.path.join(os.environ["TMPDIR"], "target")
os.symlink(target, worker_check._name())
assert add(MemoryStore())
assert not os.path.exists(target)
"""
    assert "WARNING" not in run(folder, script)


# --- several


def test_workers_that_each_make_a_store_are_told_once(folder: Path) -> None:
    """As most servers do. All but one speak, once each, however many stores they make."""
    script = """
read, write = os.pipe()
def work():
    for n in range(3):
        add(MemoryStore())
    os.write(write, b"x")
    sys.stdin.read()  # stay until the parent has seen all
children = [child(work) for _ in range(4)]
for _ in children:
    os.read(read, 1)
"""
    process = subprocess.Popen(
        [
            sys.executable,
            "-c",
            PRELUDE + script + "os.close(0)\nfor pid in children: os.waitpid(pid, 0)",
        ],
        env=environment(folder),
        stdin=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stderr is not None
    said = [process.stderr.readline() for _ in range(3)]
    _, rest = process.communicate(timeout=PATIENCE)  # closes stdin: the children go
    assert all(line.startswith("WARNING") and OTHERS in line for line in said)
    for better in ("--workers 1, with threads", "lembro.stores.base"):
        assert better in said[0]
    assert "WARNING" not in rest
    assert "FAILED" not in rest


PRELOADED = """
read, write = os.pipe()
def work():
    store.get(bytes(32))
    os.write(write, b"x")
    sys.stdin.read()
for _ in range(2):
    child(work)
    os.read(read, 1)
"""


def speak(folder: Path, script: str) -> list[str]:
    done = subprocess.run(
        [sys.executable, "-c", PRELUDE + script],
        env=environment(folder),
        input="",
        capture_output=True,
        text=True,
        timeout=PATIENCE,
        check=True,
    )
    assert "FAILED" not in done.stderr
    return [line for line in done.stderr.splitlines() if line.startswith("WARNING")]


def test_preloaded_and_forked(folder: Path) -> None:
    """One child is silent, the second sees the first, which has the lock of that parent."""
    script = PRELOADED.replace("sys.stdin.read()", "os.read(hold, 1)")
    script = "store = MemoryStore()\nhold, held = os.pipe()\n" + script
    said = speak(folder, script + "os.write(held, b'xx')\nos.wait(); os.wait()\n")
    assert len(said) == 1
    assert OTHERS in said[0]


def test_forked_after_use_says_that_it_holds_a_copy(folder: Path) -> None:
    script = """
store = MemoryStore()
add(store)
def work():
    assert store.get((1).to_bytes(32)) is not None
    add(store, 2)
os.waitpid(child(work), 0)
"""
    said = speak(folder, script)
    assert len(said) == 1
    assert COPY in said[0]


def test_a_child_that_does_not_use_the_store_says_nothing(folder: Path) -> None:
    script = """
store = MemoryStore()
add(store)
os.waitpid(child(lambda: None), 0)
assert store.length() == 1
"""
    assert speak(folder, script) == []


def test_purging_goes_on_in_the_child(folder: Path) -> None:
    script = """
import threading
store = MemoryStore(interval=0.01)
add(store)
def work():
    gone = threading.Event()
    store.on("expired", lambda event: gone.set())
    assert store._purger is None
    add(store, 2, idle=0.01)
    assert store._purger.thread.is_alive()
    assert gone.wait(20)
os.waitpid(child(work), 0)
assert store._purger.thread.is_alive()
"""
    run(folder, script)


def test_a_fork_amid_writes_leaves_whole_copies(folder: Path) -> None:
    script = """
import threading
from lembro.stores.memory.audit import recount
sys.setswitchinterval(1e-6)
store = MemoryStore("128K")
stop = threading.Event()
def write(start):
    n = start
    while not stop.is_set():
        n += 10
        add(store, n)
threads = [threading.Thread(target=write, args=(n,)) for n in range(1, 5)]
for thread in threads:
    thread.start()
def work():
    recount(store._parts)
    assert add(store, 10**9)
    recount(store._parts)
for _ in range(20):
    os.waitpid(child(work), 0)
stop.set()
for thread in threads:
    thread.join()
recount(store._parts)
"""
    run(folder, script)


def test_the_folder_of_this_process_is_the_system_s() -> None:
    from lembro.stores.memory import worker_check  # noqa: PLC0415

    assert os.path.dirname(worker_check._name()) == tempfile.gettempdir()


def test_a_child_that_forks_before_it_uses_its_copy(folder: Path) -> None:
    script = """
store = MemoryStore()
add(store)
def grandchild():
    assert store.get((1).to_bytes(32)).payload == b"x"
    add(store, 2)
os.waitpid(child(lambda: os.waitpid(child(grandchild), 0)), 0)
assert store.length() == 1
"""
    assert COPY in run(folder, script)


def test_a_closed_store_starts_no_thread_in_a_child(folder: Path) -> None:
    script = """
store = MemoryStore()
add(store)
store.close()
def work():
    add(store, 2)
    assert store._purger is None
os.waitpid(child(work), 0)
"""
    assert COPY in run(folder, script)


# --- a folder in which anything can happen


@pytest.fixture
def alone_in(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """This process, as if it had not claimed anything yet."""
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    for name, value in (("_claimed", False), ("_fd", -1), ("_path", "")):
        monkeypatch.setattr(worker_check, name, value)
    yield tmp_path
    worker_check._leave()


@pytest.fixture
def said(caplog: pytest.LogCaptureFixture) -> Iterator[Callable[[], list[str]]]:
    with caplog.at_level(logging.DEBUG, "lembro"):
        yield lambda: caplog.messages


def open_files() -> int:
    return len(os.listdir("/proc/self/fd"))


def fails(*_: object, **__: object) -> None:
    raise OSError(errno.ENOLCK, "No locks available")


@pytest.mark.usefixtures("alone_in")
def test_a_folder_without_locks(said: Said, monkeypatch: pytest.MonkeyPatch) -> None:
    before = open_files()
    monkeypatch.setattr(fcntl, "flock", fails)
    worker_check.claim()
    assert said() == [
        "lembro: cannot check for other worker processes: "
        f"[Errno {errno.ENOLCK}] No locks available"
    ]
    assert open_files() == before


@pytest.mark.usefixtures("alone_in")
def test_a_folder_that_cannot_be_listed(said: Said, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "scandir", fails)
    worker_check.claim()
    assert [text.rpartition(":")[0] for text in said()] == [
        "lembro: cannot remove the lock files of ended processes"
    ]
    assert os.path.exists(worker_check._path)


def test_a_lock_whose_file_is_swept_away_meanwhile_is_taken_anew(
    alone_in: Path, said: Said, monkeypatch: pytest.MonkeyPatch
) -> None:
    before, flock = open_files(), fcntl.flock

    def sweep_first(fd: int, operation: int) -> None:
        flock(fd, operation)
        if sweeps:
            os.unlink(sweeps.pop())

    sweeps = [worker_check._name()]
    monkeypatch.setattr(fcntl, "flock", sweep_first)
    worker_check.claim()
    assert said() == []
    assert [str(path) for path in alone_in.iterdir()] == [worker_check._path]
    assert open_files() == before + 1


@pytest.mark.usefixtures("alone_in")
def test_one_that_is_swept_away_for_ever_is_done_without(
    said: Said, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = open_files()
    monkeypatch.setattr(worker_check, "_is_at", lambda fd, path: False)
    worker_check.claim()
    assert said() == []
    assert open_files() == before


def test_what_is_another_file_by_now_is_not_swept(
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
