"""Run scripts with MemoryStores and forks in separate processes, and read their logs."""

from __future__ import annotations

import os
import select
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import IO

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


def environment(folder: Path) -> dict[str, str]:
    return {**os.environ, "TMPDIR": str(folder), "PYTHONWARNINGS": "ignore"}


def run(folder: Path, script: str) -> str:
    """Return what a script writes to stderr."""
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


def logged_by(folder: Path, script: str) -> list[str]:
    """Return the warnings that a script logs."""
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


def in_fork(function: Callable[[], bytes]) -> bytes:
    """Return the bytes that a function returns in a forked child."""
    reading, writing = os.pipe()
    pid = os.fork()
    if pid == 0:
        try:
            os.write(writing, function())
        finally:
            os._exit(0)
    os.close(writing)
    try:
        ready, _, _ = select.select([reading], [], [], PATIENCE)
        assert ready, "the child wrote nothing"
        return os.read(reading, 65536)
    finally:
        os.close(reading)
        os.kill(pid, signal.SIGKILL)  # it has ended, or it hangs
        os.waitpid(pid, 0)


def read_line(stream: IO[str]) -> str:
    """Return the first line that a process writes. Fail if it writes none."""
    ready, _, _ = select.select([stream], [], [], PATIENCE)
    assert ready, "the process wrote nothing"
    return stream.readline()  # no limit: there is something to read
