"""Workers are killed while they write, and many visitors fill the file.

No committed write is lost, no record is damaged, and the file and its log stay within ``max_size``.
"""

from __future__ import annotations

import random
import sqlite3
import subprocess
import sys
from contextlib import closing
from hashlib import sha256
from pathlib import Path

from lembro.stores import SQLiteStore

SIZE = 2**20
ROUNDS = 4
WORKERS = 3

WORKER = """
import os, signal, sys
from hashlib import sha256
from lembro import Record, StoreUnavailable
from lembro.stores import SQLiteStore

path, name, size = sys.argv[1:]
signal.alarm(60)
store = SQLiteStore(path, int(size), timeout=1.0)
lives = {"idle": 1000.0, "life": 1000.0}

def key(number):  # another one after each rotation
    return sha256(f"{name} {number // 20}".encode()).digest()

def retry(verb, *args, **keywords):
    while True:
        try:
            return verb(*args, **keywords)
        except StoreUnavailable:
            pass

def payload(number):
    return b"%d " % number + b"x" * (number * 37 % 900)

retry(store.add, key(0), Record(payload(0), name), **lives)
number = 0
while True:
    old, new = payload(number), payload(number + 1)
    if key(number) == key(number + 1):
        found = retry(store.set, key(number), Record(new), expected=old, idle=1000.0)
    else:
        found = retry(store.replace, key(number), key(number + 1), Record(new, name),
                      expected=old, idle=1000.0, life=None, grace=0.0)
    assert found.payload == new, found
    number += 1
    os.write(1, b"%d\\n" % number)  # it is committed
    retry(store.add, os.urandom(32), Record(os.urandom(600)), **lives)  # a visitor
"""


def size_of(path: Path) -> int:
    return sum(each.stat().st_size for each in path.parent.iterdir() if each.suffix != ".db-shm")


def test_no_committed_write_is_lost(tmp_path: Path) -> None:
    path, rng = tmp_path / "sessions.db", random.Random(9)
    committed: dict[str, int] = {}
    peak = 0
    for round_ in range(ROUNDS):
        workers = {
            f"worker {number} of round {round_}": subprocess.Popen(
                [
                    sys.executable,
                    "-c",
                    WORKER,
                    str(path),
                    f"worker {number} of round {round_}",
                    str(SIZE),
                ],
                stdout=subprocess.PIPE,
            )
            for number in range(WORKERS)
        }
        for name, worker in workers.items():
            with worker:
                assert worker.stdout is not None
                line = b""
                for _ in range(rng.randrange(30, 150)):
                    line = worker.stdout.readline()  # no limit: the worker ends after 60 s
                    peak = max(peak, size_of(path))
                worker.kill()
                committed[name] = int((line + worker.stdout.read()).split()[-1])
    with closing(sqlite3.connect(path)) as database:
        assert database.execute("pragma integrity_check").fetchone() == ("ok",)
    with SQLiteStore(path, SIZE) as store:
        assert store.length() > len(committed)  # the sessions of the last visitors remain too
        for name, number in committed.items():
            keys = {
                sha256(f"{name} {each // 20}".encode()).digest() for each in (number, number + 1)
            }
            [found] = [found for key in keys if (found := store.get(key)) is not None]
            count, _, rest = found.payload.partition(b" ")
            assert int(count) in (number, number + 1)  # the last one may not have been printed
            assert rest == b"x" * (int(count) * 37 % 900)
            assert found.user == name
    assert peak <= SIZE
