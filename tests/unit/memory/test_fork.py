"""MemoryStore in a forked child."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.support.processes import COPY, OTHERS, logged_by, run

fcntl = pytest.importorskip("fcntl")


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


def test_a_fork_before_the_first_use_warns_only_in_the_second_child(folder: Path) -> None:
    """The second child finds the lock of the first."""
    script = PRELOADED.replace("sys.stdin.read()", "os.read(hold, 1)")
    script = "store = MemoryStore()\nhold, held = os.pipe()\n" + script
    warnings_logged = logged_by(folder, script + "os.write(held, b'xx')\nos.wait(); os.wait()\n")
    assert len(warnings_logged) == 1
    assert OTHERS in warnings_logged[0]


def test_a_fork_after_the_first_use_warns_about_a_copy(folder: Path) -> None:
    script = """
store = MemoryStore()
add(store)
def work():
    assert store.get((1).to_bytes(32)) is not None
    add(store, 2)
os.waitpid(child(work), 0)
"""
    warnings_logged = logged_by(folder, script)
    assert len(warnings_logged) == 1
    assert COPY in warnings_logged[0]


def test_a_child_that_does_not_use_the_store_does_not_warn(folder: Path) -> None:
    script = """
store = MemoryStore()
add(store)
os.waitpid(child(lambda: None), 0)
assert store.length() == 1
"""
    assert logged_by(folder, script) == []


def test_the_purger_runs_in_the_child(folder: Path) -> None:
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


def test_a_fork_during_writes_leaves_whole_copies(folder: Path) -> None:
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


def test_a_child_may_fork_before_it_uses_its_copy(folder: Path) -> None:
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
