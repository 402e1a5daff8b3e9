"""Measure a planned restart of a MemoryStore: writing, loading, and other threads' gets meanwhile.

python -m bench.restart
"""

from __future__ import annotations

import argparse
import random
import tempfile
import threading
import time
from math import inf
from pathlib import Path

from lembro import MemoryStore
from lembro.stores.base import Record


def _key(number: int) -> bytes:
    return random.Random(number).randbytes(32)


class _Reader:
    """A thread that gets sessions, and notes how long the longest get took."""

    def __init__(self, store: MemoryStore, keys: list[bytes]) -> None:
        self.longest = 0.0
        self.gets = 0
        self._store = store
        self._keys = keys
        self._done = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)

    def __enter__(self) -> _Reader:
        self._thread.start()
        return self

    def __exit__(self, *error: object) -> None:
        self._done.set()
        self._thread.join(60)

    def _run(self) -> None:
        while not self._done.is_set():
            for key in self._keys:
                began = time.perf_counter()
                self._store.get(key)
                self.longest = max(self.longest, time.perf_counter() - began)
                self.gets += 1
            time.sleep(0.0005)  # requests come one by one


def measure(number: int, size: int, folder: Path) -> None:
    path = folder / "sessions.bin"
    store = MemoryStore("1G", snapshot=path)
    keys = [_key(n) for n in range(number)]
    payload = random.Random(0).randbytes(size)
    for n, key in enumerate(keys):
        store.add(key, Record(payload, f"user-{n}"), idle=1e6, life=inf)
    for name, longest in (("without reading", False), ("while a thread reads", True)):
        reader = _Reader(store, keys[:64])
        note = ""
        began, worked = time.perf_counter(), time.thread_time()
        if longest:
            with reader:
                store.close()
            note = f"; of {reader.gets:,} gets, the longest took {reader.longest * 1e6:.0f} us"
        else:
            store.close()
        print(f"written {name}: {_seconds(began, worked)}{note}")
        store.open()
    store.close()
    print(f"file: {path.stat().st_size / 2**20:.1f} MiB")
    after = MemoryStore("1G", snapshot=path)
    began, worked = time.perf_counter(), time.thread_time()
    after.open()
    print(f"loaded: {_seconds(began, worked)}")
    assert after.length() == number
    after.clear()
    after.close()


def _seconds(began: float, worked: float) -> str:
    """Return the time since, and how much of it the processor worked for this thread."""
    taken, work = time.perf_counter() - began, time.thread_time() - worked
    return f"{taken:.2f} s ({work:.2f} s of work)"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--number", type=int, default=100_000)
    parser.add_argument("--size", type=int, default=300, help="bytes of a payload")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        measure(given.number, given.size, Path(folder))


if __name__ == "__main__":
    main()
