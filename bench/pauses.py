"""The longest pause of a store with a million sessions.

It is measured while the store grows, while it makes room, and while it purges half of its sessions,
which have expired at once. Each call is timed by itself. The processor time of the thread counts,
so that work of other processes does not count as a pause; the real time is recorded too. lembro
purges in slices, between which other threads run: each slice is a pause of its own. The time that
another thread waits meanwhile is measured too. The longest pause is the best of two runs for each
store.
"""

from __future__ import annotations

import random
import threading
from array import array
from collections.abc import Callable, Iterable
from itertools import count
from math import log2
from time import monotonic, perf_counter, process_time, thread_time
from typing import Any, Final

from bench import child
from bench.clocks import Watch
from bench.contenders import BY_TITLE, IDLE, OURS, PEERS, Contender, Lembro
from bench.data import LARGEST, encode, lognormal, payload, session
from bench.report import Progress, table
from bench.verdicts import Verdict, save, verdict_table
from lembro import Record

NUMBERS: Final = {"quick": 50_000, "full": 1_000_000}
RUNS: Final = 2  # of each store, the same number
FEWER: Final = 4
EVICTING: Final = {"quick": 5_000, "full": 100_000}  # writes
PATIENCE: Final = {"quick": 2.0, "full": 5.0}  # seconds of processor time for them
GETTING: Final = 20.0  # seconds, at most: the purger comes to the lock less often while they last
STEPS: Final = ("insert while growing", "evicting set", "purge step")
MEANWHILE: Final = "get while the purger purges"
VISITORS: Final = 1_000

Times = tuple["array[float]", "array[float]"]
"""Seconds of the processor, seconds."""


def main(*, quick: bool) -> list[Verdict]:
    progress = Progress()
    start = monotonic()
    mode = "quick" if quick else "full"
    number = NUMBERS[mode]
    found: dict[str, list[Any]] = {}
    missing: dict[str, str] = {}
    for cls in (*OURS, *PEERS):
        sessions = number // (1 if cls.million else FEWER)
        for turn in range(RUNS):

            def say(text: str, title: str = cls.title, turn: int = turn) -> None:
                now = monotonic() - start
                progress.say(f"pauses: {title}, run {turn + 1}: {text} ({now:.0f} s)")

            arguments: dict[str, Any] = {
                "title": cls.title,
                "number": sessions,
                "writes": EVICTING[mode],
            }
            arguments["patience"] = PATIENCE[mode]
            try:
                result = child.run("bench.pauses:measure", arguments, say)
            except child.MissingError as error:
                missing[cls.title] = str(error)
                break
            finally:
                progress.done()
            found.setdefault(cls.title, []).append(result)
    for title, why in missing.items():
        print(f"  MISSING: {title} ({why})")
    report(found)
    verdicts = judge(found, number)
    print(verdict_table(verdicts))
    save("pauses", quick, verdicts, {"number": number, "best_of": RUNS, "runs": found})
    return verdicts


# -- in the process that measures ------------------------------------------------------------------


def timed(work: Callable[[Any, Any], None], items: Iterable[tuple[Any, Any]]) -> Times:
    """Time each call by itself."""
    cpu, wall = array("d"), array("d")
    for at, value in items:
        began, real = thread_time(), perf_counter()
        work(at, value)
        real, used = perf_counter() - real, thread_time() - began
        cpu.append(used)
        wall.append(real)
    return cpu, wall


def measure(
    title: str, number: int, writes: int, patience: float, say: child.Say
) -> dict[str, Any]:
    watch = Watch()
    cls = BY_TITLE[title]
    # lembro's bound is in bytes: the size of a million usual sessions, so that a few more fit.
    contender = cls(number * USUAL if cls is Lembro else None, number, watch)
    result: dict[str, Any] = {"number": number, "steps": {}}

    def sessions() -> Iterable[tuple[Any, Any]]:
        for n in range(number):
            if n == number // 2 and not isinstance(contender, Lembro):
                watch.forward(IDLE / 2)  # the older half expires before the other
            if not n % 20_000:
                say(f"{n:,}")
            yield contender.ident(n), contender.value(session(n))

    _keep(result, STEPS[0], timed(_inserting(contender, number), sessions()))
    if cls.bound != "none":
        last = _until_full(contender, number)
        say("evicting")
        _keep(result, STEPS[1], _evicting(contender, last, writes, patience))
    if isinstance(contender, Lembro):
        result["evicted"] = contender.it.stats().evicted
    if cls.purges:
        watch.forward(IDLE * 0.75)
        say("purging")
        _keep(result, STEPS[2], _purging(contender, watch))
    if isinstance(contender, Lembro):
        say("purging the other half, and getting")
        _keep(result, MEANWHILE, _getting(contender, watch))
    return result


def _inserting(contender: Contender, number: int) -> Callable[[Any, Any], None]:
    """Insert the sessions.

    lembro's older half gets a shorter life instead of a clock that moves. With such a clock, unused
    sessions would be evicted before the room is needed, and no set would have to evict.
    """
    if not isinstance(contender, Lembro):
        return contender.store
    it, left = contender.it, count(number // 2, -1)

    def insert(at: Any, value: Any) -> None:
        idle = IDLE // 2 if next(left) > 0 else IDLE
        it.add(at, Record(value), idle=idle, life=10 * IDLE)

    return insert


USUAL: Final = 640  # bytes that a store may count for a session and its share of the tables


def _until_full(contender: Contender, number: int) -> int:
    """Add sessions until the store evicts one for them."""
    n = number
    if isinstance(contender, Lembro):
        while not contender.it.stats().evicted:
            for more in range(n, n + 1000):
                contender.store(contender.ident(more), encode(session(more)))
            n += 1000
    return n


def _evicting(contender: Contender, first: int, writes: int, patience: float) -> Times:
    """Add sessions to a full store: a fifth smaller or larger, a few very large."""
    rng = random.Random(3)

    def items() -> Iterable[tuple[Any, Any]]:
        end = process_time() + patience
        for n in range(first, first + writes):
            usual = rng.random() < 0.8
            size = lognormal(rng) if n % 500 else LARGEST
            value = contender.value(session(n)) if usual and n % 500 else payload(size)
            if isinstance(value, bytes) and not isinstance(contender.value({}), bytes):
                value = {"user_id": n, "data": value.hex()}
            yield contender.ident(n), value
            if process_time() > end:
                return

    return timed(contender.store, items())


def _purging(contender: Contender, watch: Watch) -> Times:
    """Remove half of the sessions. If a write removes them, the write is timed."""
    if contender.purges.startswith("within"):
        return timed(contender.store, [(contender.ident(-5), contender.value(session(5)))])
    watch.start()
    contender.purge()
    laps = watch.stop()
    return array("d", (cpu for cpu, _ in laps)), array("d", (wall for _, wall in laps))


def _getting(contender: Lembro, watch: Watch) -> Times:
    """Let the rest expire at once, and read sessions while the purger removes them.

    The processor time is that of both threads, because one waits for the other.
    """
    store = contender.it
    watch.forward(IDLE)
    keys = [contender.ident(-10 - n) for n in range(VISITORS)]
    for at, n in zip(keys, range(VISITORS), strict=True):
        contender.store(at, contender.value(session(n)))
    purger = threading.Thread(target=store._purge_round)
    purger.start()

    cpu, wall = array("d"), array("d")
    purging = True
    end = perf_counter() + GETTING
    while purging:  # at least once, also if the purger is already done
        purging = purger.is_alive() and perf_counter() < end
        for at in keys:
            began, real = process_time(), perf_counter()
            store.get(at)
            real, used = perf_counter() - real, process_time() - began
            cpu.append(used)
            wall.append(real)
    purger.join(120)
    assert store.stats().sessions == VISITORS
    return cpu, wall


def _keep(result: dict[str, Any], step: str, times: Times) -> None:
    cpu, wall = times
    result["steps"][step] = {
        "calls": len(cpu),
        "longest": max(cpu),
        "longest_real": max(wall),
        "median": sorted(cpu)[len(cpu) // 2],
        "histogram": histogram(cpu),
    }


def histogram(times: Iterable[float]) -> dict[str, int]:
    """Count the calls by duration: the exponents of quarters of powers of two, in microseconds."""
    counts: dict[int, int] = {}
    for seconds in times:
        place = round(4 * log2(max(seconds * 1e6, 0.1)))
        counts[place] = counts.get(place, 0) + 1
    return {str(place): counts[place] for place in sorted(counts)}


# -- reporting -------------------------------------------------------------------------------------


def longest(runs: list[Any], step: str, what: str = "longest") -> float | None:
    """Return the best of the runs, in milliseconds."""
    of_runs = [run["steps"][step][what] * 1000 for run in runs if step in run["steps"]]
    return min(of_runs, default=None)


def report(found: dict[str, list[Any]]) -> None:
    rows: list[list[str] | None] = []
    for title, runs in found.items():
        row = [title, f"{runs[0]['number']:,}"]
        for step in STEPS:
            value, real = longest(runs, step), longest(runs, step, "longest_real")
            none = value is None or real is None
            row.append("-" if none else f"{value:.2f} ({real:.2f})")
        rows.append(row)
    print(table(["longest, ms (in real time)", "sessions", *STEPS], rows))
    said = ", ".join(f"{t}: {BY_TITLE[t].purges}" for t in found if BY_TITLE[t].purges)
    print(f"  purge steps: {said}; the others have none to be timed\n")


def best_peer(found: dict[str, list[Any]], step: str) -> tuple[float, str] | None:
    """Return the peer with the shortest pause in this step, and its length."""
    others = [
        (value, title)
        for title, runs in found.items()
        if title != Lembro.title and (value := longest(runs, step)) is not None
    ]
    return min(others, default=None)


def judge(found: dict[str, list[Any]], number: int) -> list[Verdict]:
    verdicts = []
    for step in STEPS:
        ours = longest(found[Lembro.title], step)
        best = best_peer(found, step)
        peer = "" if best is None else f"{best[0]:.2f} ms {best[1]}"
        assert ours is not None
        measure = f"longest {step}, {number:,} sessions"
        verdicts.append(Verdict(measure, 1.0, 0.5, ours, " ms", peer=peer))
    waited = longest(found[Lembro.title], MEANWHILE)
    assert waited is not None
    verdicts.append(Verdict(f"longest {MEANWHILE}, {number:,} sessions", 5.0, 1.0, waited, " ms"))
    return verdicts
