"""31. The timer never ends, or ends too early (gunicorn #1666).

It keeps no script running and no store alive. After a fork it runs in the child. After an error it
continues, and the error is counted.
"""

from __future__ import annotations

import gc
import subprocess
import sys
import threading
import weakref
from pathlib import Path

import pytest

from lembro import MemoryStore, SessionManager
from lembro.events import Event
from lembro.testing import FakeClock
from tests.support import ROOT

AN_HOUR = 3600


def run(folder: Path, script: str) -> subprocess.CompletedProcess[str]:
    """Run a script to its end. A script that a timer keeps running reaches the timeout."""
    return subprocess.run(
        [sys.executable, "-c", script],
        capture_output=True,
        text=True,
        timeout=30,
        cwd=folder,
        env={"PYTHONPATH": str(ROOT / "src"), "TMPDIR": str(folder)},
        check=True,
    )


@pytest.mark.parametrize("how", ["end", "sys.exit(0)", "raise SystemExit", "thread"])
def test_the_purger_does_not_keep_a_script_running(tmp_path: Path, how: str) -> None:
    script = f"""
import sys, threading
from lembro import MemoryStore, SessionManager
sessions = SessionManager(MemoryStore(interval={AN_HOUR}))
def use():
    sessions.create({{"a": 1}})
if {how!r} == "thread":
    threading.Thread(target=use).start()
else:
    use()
print(len([t for t in threading.enumerate() if t.name == "lembro-purger"]))
{how if how.startswith(("sys", "raise")) else ""}
"""
    done = run(tmp_path, script)
    assert done.stdout in ("1\n", "0\n")
    assert done.stderr == ""


def test_the_purger_does_not_keep_the_store_alive() -> None:
    store = MemoryStore(interval=AN_HOUR)
    SessionManager(store).create({"a": 1})
    assert store._purger is not None
    thread = store._purger.thread
    assert thread.is_alive()
    gone = weakref.ref(store)
    del store
    gc.collect()
    assert gone() is None
    thread.join(20)
    assert not thread.is_alive()


def test_a_closed_store_has_no_thread() -> None:
    store = MemoryStore(interval=AN_HOUR)
    SessionManager(store).create({"a": 1})
    assert store._purger is not None
    thread = store._purger.thread
    store.close()
    store.close()
    thread.join(20)
    assert not thread.is_alive()


FORK = """
import os, sys, threading
from lembro import MemoryStore, SessionManager
now = [0.0]
store = MemoryStore(interval=0.02, clock=lambda: now[0])
sessions = SessionManager(store, idle_timeout=60)
known = sessions.create({"a": 1})
pid = os.fork()
if pid == 0:
    gone = threading.Event()
    store.on("expired", lambda event: gone.set())
    USE
    now[0] += 61
    os._exit(0 if gone.wait(20) else 1)
print(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]))
"""


@pytest.mark.parametrize(
    "use", ["sessions.create({'b': 1})", "sessions.get(known)", "sessions.touch(known)"]
)
def test_the_purger_runs_in_a_forked_child(tmp_path: Path, use: str) -> None:
    assert run(tmp_path, FORK.replace("USE", use)).stdout == "0\n"


def test_an_error_does_not_end_the_purger(caplog: pytest.LogCaptureFixture) -> None:
    clock = FakeClock()
    store = MemoryStore(interval=0.02, clock=clock)
    failed, gone = threading.Event(), threading.Event()
    errors: list[Event] = []
    real = store._purge_round

    def fails_once() -> None:
        if not failed.is_set():
            raise ZeroDivisionError("injected")
        real()

    def heard(event: Event) -> None:
        errors.append(event)
        failed.set()

    store._purge_round = fails_once  # type: ignore[method-assign]
    store.on("error", heard)
    store.on("expired", lambda event: gone.set())
    SessionManager(store, idle_timeout=60).create({"a": 1})
    clock.advance(61)
    assert failed.wait(20)
    assert gone.wait(20)
    assert store.stats().purge_errors == 1
    assert isinstance(errors[0].error, ZeroDivisionError)
    assert "removing expired sessions failed. The next round tries again." in caplog.text
    store.close()
