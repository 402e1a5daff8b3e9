"""Scripts in processes of their own, with MemoryStores and forks, and what they log."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

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
