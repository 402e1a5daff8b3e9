"""``python -m bench.soak --minutes 10``: all kinds of load on one store, for a given time.

The store is a MemoryStore, or with ``--store sqlite`` a SQLiteStore.

The load consists of threads with Zipf traffic, floods of newcomers in bursts, sessions that expire
and sizes that change. An asyncio loop uses the store as well and measures its own lag. The soak
exits with 1 and prints the reason if

* ``used`` was ever above ``max_size``, or a recount found something else,
* the pages of the MemoryStore, or the file of the SQLiteStore and its log, exceeded ``max_size``,
* resident memory grew beyond 1.2 times ``max_size`` of the MemoryStore, or beyond the caches of
  SQLite, plus the soak's own memory, or continued to grow after the store had been full,
* an operation was lost: a write that was reported as stored, a login that was evicted, a session
  that was added or destroyed twice,
* the loop lagged: 99.9 % of its turns must be within 50 ms of an idle process on this machine.

The recounts of a MemoryStore run in forked children, because they need as much memory as the
tables of the store, and the allocator would keep it. What the soak itself notes is subtracted from
the resident memory.

The result is in ``.artifacts/bench/``, as that of the other benches. ``make figures`` draws it.
"""

from __future__ import annotations

import argparse
import asyncio
import random
import subprocess
import sys
import threading
import time
from array import array
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from bench import child, verdicts
from bench.data import key, lognormal, payload, uniform
from bench.report import Progress, table
from bench.soak_stores import PLACES, Place
from bench.verdicts import ROOT
from lembro import Record, size

WHOLE: Final = 120  # minutes; a shorter soak counts as a quick one
THREADS: Final = 4
LOGGED_IN: Final = 200
VISITORS: Final = 200_000
BATCH: Final = 40  # operations of a thread between two pauses
REST: Final = 0.012  # seconds
FLOOD: Final = (6.0, 4.0)  # seconds of flood, seconds without
SHIFT: Final = 15.0  # seconds that the sizes stay as they are
CHECK: Final = 12.0  # seconds between two checks of the sum
SAMPLE: Final = 0.25
TURN: Final = 0.005  # seconds that the loop sleeps
LIFE: Final = 10 * 86400

DRIFT: Final = 0.05  # limit of growth, of max_size, once the store has been full
LAG: Final = 0.050  # seconds
SHARE: Final = 0.999

SIZES: Final = (uniform(300), lognormal, uniform(1500), uniform(120), lognormal, uniform(800))


@dataclass
class Soak:
    place: Place
    end: float
    breaches: dict[str, str] = field(default_factory=dict)
    stop: threading.Event = field(default_factory=threading.Event)
    gate: threading.Event = field(default_factory=threading.Event)  # set: continue
    at_rest: threading.Semaphore = field(default_factory=lambda: threading.Semaphore(0))
    operations: int = 0
    checks: int = 0

    def breach(self, what: str, how: str) -> None:
        """Record a breach. The first of each kind is kept."""
        self.breaches.setdefault(what, how)

    def pause(self) -> None:
        """Wait between two batches of a thread while a check runs."""
        if not self.gate.is_set():
            self.at_rest.release()
            self.gate.wait(60)

    @property
    def sizes(self) -> Callable[[random.Random], int]:
        return SIZES[int(time.monotonic() / SHIFT) % len(SIZES)]


# -- the load --------------------------------------------------------------------------------------


class Worker(threading.Thread):
    """Repeat batches of work until the end."""

    def __init__(self, soak: Soak, number: int) -> None:
        super().__init__(daemon=True)
        self.soak = soak
        self.store = soak.place.store
        self.number = number
        self.rng = random.Random(number)
        self.done = 0
        self.wins = [0] * LOGGED_IN

    def run(self) -> None:
        try:
            while not self.soak.stop.is_set():
                self.soak.pause()
                self.batch()
                time.sleep(REST)
        except BaseException as error:
            self.soak.breach("a verb raised", repr(error))
            raise
        finally:
            self.soak.at_rest.release()

    def batch(self) -> None:
        raise NotImplementedError


class Visitors(Worker):
    """Zipf traffic, logins, logouts, and counters in the sessions of logged-in users."""

    def batch(self) -> None:
        for _ in range(BATCH):
            dice = self.rng.random()
            if dice < 0.25:
                self.count_up()
            elif dice < 0.30:
                self.come_and_go()
            else:
                self.visit()
            self.done += 1

    def visit(self) -> None:
        store, rng = self.store, self.rng
        rank = int(rng.paretovariate(0.6)) % VISITORS
        at = key(rank)
        found = store.get(at)
        idle = rng.choice((1.0, 3.0, 20.0, 600.0))
        if found is None:
            record = Record(payload(self.soak.sizes(rng)), None, None, store.new_reputation())
            store.add(at, record, idle=idle, life=LIFE)
        elif found.successor is None and (dice := rng.random()) < 0.5:
            if dice < 0.25:
                store.touch(at, idle=idle)
            elif dice < 0.45:
                record = Record(payload(self.soak.sizes(rng)))
                store.set(at, record, expected=found.payload, idle=idle)
            elif dice < 0.48:
                store.destroy(at)
            else:
                new, record = rng.randbytes(32), Record(found.payload)
                expected = found.payload
                store.replace(at, new, record, expected=expected, idle=5.0, life=None, grace=1.0)

    def count_up(self) -> None:
        """Count up by compare and set, in a session that must not be evicted."""
        who = self.rng.randrange(LOGGED_IN)
        at = key(-1 - who)
        found = self.store.get(at)
        if found is None:
            self.soak.breach("lost operation", f"the session of logged-in user {who} is gone")
            return
        count = int.from_bytes(found.payload[:8])
        mark = b"%8d%12d" % (self.number, self.done)
        mine = (count + 1).to_bytes(8) + mark + payload(min(3000, self.soak.sizes(self.rng)))
        after = self.store.set(at, Record(mine), expected=found.payload, idle=LIFE)
        if after is not None and after.payload == mine:
            self.wins[who] += 1

    def come_and_go(self) -> None:
        at, record = self.rng.randbytes(32), Record(b"mine", f"passing {self.number}")
        added = self.store.add(at, record, idle=60, life=60)
        again = self.store.add(at, record, idle=60, life=60)
        gone, twice = self.store.destroy(at), self.store.destroy(at)
        if not added or again or gone is None or twice is not None:
            seen = f"added {added}, again {again}, destroyed {gone is not None}, "
            self.soak.breach("lost operation", f"{seen}twice {twice is not None}")


class Flood(Worker):
    """Newcomers in bursts, who never return."""

    def batch(self) -> None:
        if time.monotonic() % sum(FLOOD) > FLOOD[0]:
            return
        for _ in range(BATCH):
            record = Record(
                payload(self.soak.sizes(self.rng)), None, None, self.store.new_reputation()
            )
            self.store.add(self.rng.randbytes(32), record, idle=3600, life=LIFE)
            self.done += 1


async def loop(soak: Soak, workers: list[Worker], lags: array[float]) -> None:
    """Run a server's loop: two tasks sleep and use the store, and record by how much a sleep was
    too long.
    """
    await asyncio.gather(turns(soak, lags, 99), turns(soak, lags, 98))
    for worker in workers:  # closing ends the connections of threads too
        await asyncio.to_thread(worker.join, 20)
    await soak.place.aclose()


async def turns(soak: Soak, lags: array[float], seed: int) -> None:
    rng, place = random.Random(seed), soak.place
    while not soak.stop.is_set():
        start = time.perf_counter()
        await asyncio.sleep(TURN)
        late = time.perf_counter() - start - TURN
        if not soak.gate.is_set():  # a check is not part of the traffic
            continue
        lags.append(late)
        at = key(int(rng.paretovariate(0.6)) % VISITORS)
        if await place.get(at) is not None:
            await place.touch(at, idle=600.0)
        soak.operations += 2


# -- the checks ------------------------------------------------------------------------------------


def check(soak: Soak, workers: list[Worker]) -> None:
    """Stop all threads, and count everything again."""
    soak.gate.clear()
    for _ in workers:
        soak.at_rest.acquire(timeout=20)
    store = soak.place.store
    fault = soak.place.recount()
    if fault:
        soak.breach("recount", fault)
    for who in range(LOGGED_IN):
        found = store.get(key(-1 - who))
        told = sum(worker.wins[who] for worker in workers)
        held = -1 if found is None else int.from_bytes(found.payload[:8])
        if held != told:
            soak.breach("lost operation", f"{told} writes of user {who} stored, {held} found")
    soak.checks += 1
    soak.gate.set()


def look(
    soak: Soak,
    started: float,
    before: int,
    lags: array[float],
    seen: int,
    rows: list[list[Any]],
) -> list[Any]:
    """Return one line of the record."""
    stats, max_size = soak.place.store.stats(), soak.place.max_size
    assert stats.used is not None
    noted = sys.getsizeof(lags) + (sys.getsizeof(rows[0]) + NUMBERS) * len(rows) if rows else 0
    grown = child.resident() - before - noted
    if stats.used > max_size:
        soak.breach("used > max_size", f"{stats.used:,} bytes of {max_size:,}")
    late = max(lags[seen:], default=0.0)
    seconds = time.monotonic() - started
    counts = (stats.sessions, stats.expired, stats.evicted)
    return [round(seconds, 2), stats.used, grown, *counts, round(late * 1000, 2), soak.place.held()]


HEADS: Final = ("seconds", "used", "resident", "sessions", "expired", "evicted", "lag_ms", "held")
NUMBERS: Final = 32 * len(HEADS)  # bytes of the numbers of a row


def watch(
    soak: Soak, workers: list[Worker], rows: list[list[Any]], lags: array[float], before: int
) -> None:
    progress = Progress()
    started = time.monotonic()
    next_check, seen = started + CHECK, 0
    while time.monotonic() < soak.end:
        time.sleep(SAMPLE)
        rows.append(look(soak, started, before, lags, seen, rows))
        seen = len(lags)
        if time.monotonic() > next_check:
            check(soak, workers)
            next_check = time.monotonic() + CHECK
        seconds, used, grown, sessions, _, _, lag, _ = rows[-1]
        progress.say(
            f"soak: {seconds:.0f} s, {sessions:,} sessions, {size.pretty(used)} counted, "
            f"{grown / (1 << 20):.0f} MiB resident, lag {lag:.0f} ms, {len(soak.breaches)} breaches"
        )
    check(soak, workers)
    soak.stop.set()
    progress.done()


def percentile(values: array[float], share: float) -> float:
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(len(ordered) * share))] if ordered else 0.0


# -- a process that does nothing else --------------------------------------------------------------


def control() -> None:
    """Sleep repeatedly until standard input is closed, and print the lags in seconds."""
    lags: list[float] = []
    closed = threading.Event()

    def wait() -> None:
        sys.stdin.read()
        closed.set()

    threading.Thread(target=wait, daemon=True).start()
    while not closed.is_set():
        start = time.perf_counter()
        time.sleep(TURN)
        lags.append(time.perf_counter() - start - TURN)
    print(percentile(array("d", lags), SHARE))


def enter_logged_in(place: Place) -> None:
    store = place.store
    for who in range(LOGGED_IN):
        record = Record(bytes(8), f"user {who}", None, store.new_reputation())
        store.add(key(-1 - who), record, idle=LIFE, life=LIFE)


# -- the run ---------------------------------------------------------------------------------------


def run(minutes: float, kind: str, max_size: str) -> int:
    before = child.settled()
    soak = Soak(PLACES[kind](max_size), end=0.0)
    soak.gate.set()
    enter_logged_in(soak.place)
    workers: list[Worker] = [Visitors(soak, n) for n in range(THREADS)]
    workers += [Flood(soak, THREADS + n) for n in range(2)]
    lags: array[float] = array("d")
    rows: list[list[Any]] = []
    idle = subprocess.Popen(
        [sys.executable, "-m", "bench.soak", "--control"],
        cwd=ROOT,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    soak.end = time.monotonic() + minutes * 60
    watcher = threading.Thread(target=watch, args=(soak, workers, rows, lags, before))
    for thread in (*workers, watcher):
        thread.start()
    asyncio.run(loop(soak, workers, lags))
    watcher.join(60)
    soak.operations += sum(worker.done for worker in workers)
    machine = float(idle.communicate(timeout=20)[0])
    judge_growth(soak, rows)
    late = percentile(lags, SHARE)
    if late - machine > LAG:
        soak.breach("loop lag", f"99.9 % within {late * 1000:.0f} ms, allowed {LAG * 1000:.0f}")
    found = seen(soak, rows, late, machine)
    path = verdicts.save(f"soak_{kind}", minutes < WHOLE, [], {"minutes": minutes, **found})
    report(soak, found, path)
    soak.place.close()
    return 1 if soak.breaches else 0


def judge_growth(soak: Soak, rows: list[list[Any]]) -> None:
    """Check the limits of the store and of resident memory.

    Once the store has been full for all sizes, resident memory must not grow: the last third is
    compared with the second.
    """
    place = soak.place
    held = max(row[7] for row in rows)
    if held > place.most_held:
        soak.breach("held > max_size", f"{held:,} bytes of {place.max_size:,}")
    most = max(row[2] for row in rows)
    if most > place.most_resident:
        allowed = size.pretty(int(place.most_resident))
        soak.breach("resident memory", f"{size.pretty(most)}, allowed {allowed}")
    cycle = SHIFT * len(SIZES)
    if rows[-1][0] < 3 * cycle:
        return
    third = len(rows) // 3
    second = max(row[2] for row in rows[third : 2 * third])
    last = max(row[2] for row in rows[2 * third :])
    grown = (last - second) / place.max_size
    if grown > DRIFT:
        soak.breach("resident memory drifts", f"by {grown:.2f} x max_size in the last third")


def seen(soak: Soak, rows: list[list[Any]], late: float, machine: float) -> dict[str, Any]:
    """Return what the soak has measured."""
    place, stats = soak.place, soak.place.store.stats()
    used, resident, held = (max(row[at] for row in rows) / place.max_size for at in (1, 2, 7))
    return {
        "max_size": place.max_size,
        "used": used,
        "resident": resident,
        "held": held,
        "recounts": soak.checks,
        "operations": soak.operations,
        "late": late,
        "late_idle": machine,
        "expired": stats.expired,
        "evicted": stats.evicted,
        "heads": HEADS,
        "rows": rows,
    }


def report(soak: Soak, found: dict[str, Any], path: Path) -> None:
    late, machine = found["late"] * 1000, found["late_idle"] * 1000
    kinds = (
        ("used, at most", f"{found['used']:.3f} of max_size", "used > max_size"),
        (soak.place.holds, f"{found['held']:.3f} of max_size", "held > max_size"),
        ("resident, at most", f"{found['resident']:.2f} x max_size", "resident memory"),
        ("recounts", f"{found['recounts']}", "recount"),
        ("operations", f"{found['operations']:,}", "lost operation"),
        ("loop lag, 99.9 %", f"{late:.1f} ms (machine {machine:.1f})", "loop lag"),
        ("expired, evicted", f"{found['expired']:,}, {found['evicted']:,}", ""),
    )
    rows = [[what, got, soak.breaches.get(kind, "ok" if kind else "")] for what, got, kind in kinds]
    print(table([f"soak of {soak.place.name}", "seen", "breach"], rows))
    for what, how in soak.breaches.items():
        print(f"  BREACH: {what}: {how}")
    print(f"  {path}")


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m bench.soak", description="A store under load.")
    parser.add_argument("--minutes", type=float, default=5.0)
    parser.add_argument("--store", choices=PLACES, default="memory")
    parser.add_argument("--max-size", default="32M")
    parser.add_argument("--control", action="store_true", help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.control:
        control()
        return 0
    return run(given.minutes, given.store, given.max_size)


if __name__ == "__main__":
    sys.exit(main())
