"""How long an SQLite store holds an event loop while another process writes at full rate.

    python -m bench.sqlite_loop [SECONDS]

Each rule of ``RULES`` takes its turn for that number of seconds. The bench measures each call of
SQLite that is made in the loop: its CPU time, and the time that it waited for a disk or a lock.
Linux counts for how long a thread was ready to run but had no core; this is subtracted, because the
other programs of a machine cause it. A watcher of the loop would show little: on a virtual machine
even an idle loop is late by up to five milliseconds.

Exits with 1 if the rule of the store holds the loop for longer than ``LIMIT``.
"""

from __future__ import annotations

import asyncio
import multiprocessing
import os
import resource
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Any, Final
from unittest import mock

from bench.report import table
from lembro import Record, StoreUnavailable
from lembro.stores import SQLiteStore
from lembro.stores.sql import sqlite_connector
from lembro.stores.sql.sqlite_connector import AsyncSQLiteConnector

LIVES: Final[dict[str, Any]] = {"idle": 1000.0, "life": 5000.0}
LIMIT: Final = 0.005
"""Seconds for which a call may hold the loop."""

Rule = Callable[[AsyncSQLiteConnector], bool]
RULES: Final[dict[str, Rule | None]] = {
    "the store's": AsyncSQLiteConnector._is_alone,
    "all in the loop": lambda _: True,
    "writes in a thread": lambda _: False,
    "all in a thread": None,
}
"""Whether a write is done in the loop. None: no verb is."""


class Calls:
    """How long each call of SQLite in the loop held it, in seconds.

    It takes the place of ``sqlite_connector.perform``.
    """

    def __init__(self) -> None:
        self.held: list[float] = []
        self._perform = sqlite_connector.perform
        self._loop = threading.get_ident()

    def __call__(self, *args: Any) -> Any:
        if threading.get_ident() != self._loop:
            return self._perform(*args)
        begun, cpu, slept, delay = time.perf_counter(), time.thread_time(), sleeps(), waited()
        try:
            return self._perform(*args)
        finally:
            held = time.thread_time() - cpu
            if sleeps() != slept:
                held = max(held, time.perf_counter() - begun - (waited() - delay))
            self.held.append(held)


def sleeps() -> int:
    """Return how often this thread has waited for something."""
    return resource.getrusage(resource.RUSAGE_THREAD).ru_nvcsw


def waited() -> float:
    """Return for how long this thread was ready to run but had no core, in seconds."""
    try:
        text = Path("/proc/thread-self/schedstat").read_text(encoding="ascii")
    except OSError:  # this system does not count it
        return 0.0
    return int(text.split()[1]) / 1e9


def write(path: str, end: float) -> None:
    """Add sessions until the time is over."""
    with SQLiteStore(path) as store:
        while time.time() < end:
            with suppress(StoreUnavailable):
                store.add(os.urandom(32), Record(os.urandom(300)), **LIVES)


async def measure(
    store: SQLiteStore, end: float, rule: Rule | None
) -> tuple[list[float], dict[str, list[float]]]:
    """Read and write in a loop. Return how long calls held it, and how long the verbs took."""
    aio = store.aio
    assert aio is not None

    async def call(verb: str, *args: Any, **keywords: Any) -> Any:
        if rule is None:
            return await asyncio.to_thread(partial(getattr(store, verb), *args, **keywords))
        return await getattr(aio, verb)(*args, **keywords)

    key, payload, number = os.urandom(32), b"0", 0
    await call("add", key, Record(payload), **LIVES)
    calls = Calls()
    took: dict[str, list[float]] = {"get": [], "set": []}
    is_alone = rule or AsyncSQLiteConnector._is_alone
    with (
        mock.patch.object(AsyncSQLiteConnector, "_is_alone", is_alone),
        mock.patch.object(sqlite_connector, "perform", calls),
    ):
        while time.time() < end:
            begun = time.perf_counter()
            await call("get", key)
            took["get"].append(time.perf_counter() - begun)
            number += 1
            new = b"%d" % number * 50
            begun = time.perf_counter()
            with suppress(StoreUnavailable):
                await call("set", key, Record(new), expected=payload, idle=1000.0)
                payload = new
            took["set"].append(time.perf_counter() - begun)
            await asyncio.sleep(0.001)
    await aio.close()
    return calls.held or [0.0], took


def against_writers(
    seconds: float, rule: Rule | None, writers: int = 1
) -> tuple[list[float], dict[str, list[float]]]:
    """Measure one rule while other processes write."""
    with tempfile.TemporaryDirectory() as folder:
        path = str(Path(folder) / "sessions.db")
        with SQLiteStore(path) as store:
            end = time.time() + seconds
            spawn = multiprocessing.get_context("spawn")
            others = [spawn.Process(target=write, args=(path, end)) for _ in range(writers)]
            for other in others:
                other.start()
            try:
                return asyncio.run(measure(store, end, rule))
            finally:
                for other in others:
                    other.join(timeout=60)


def main(seconds: float) -> int:
    """Measure every rule. Return 1 if the store's holds the loop for too long."""
    rows, worst = [], []
    for name, rule in RULES.items():
        held, took = against_writers(seconds, rule)
        worst.append(max(held))
        rows.append(
            [
                name,
                f"{max(held) * 1e3:.2f}",
                str(sum(seconds > 0.001 for seconds in held)),
                *(f"{sorted(times)[len(times) // 2] * 1e6:.0f}" for times in took.values()),
                str(len(took["set"])),
            ]
        )
    print(table(["rule", "held at most, ms", "over 1 ms", "get, us", "set, us", "writes"], rows))
    return int(worst[0] > LIMIT)


if __name__ == "__main__":
    sys.exit(main(float(sys.argv[1]) if len(sys.argv) > 1 else 5.0))
