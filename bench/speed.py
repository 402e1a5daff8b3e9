"""The cost of a verb of the store, compared with a bare dict with msgspec and with the peers.

All take turns in each round with the same sessions. The result is the median over the rounds of the
ratio to the bare dict (for touch: to cachetools) in the same round. The time is that of the
processor, with all threads, so that other work of the machine counts little. The IDs that are
looked up are new objects, like those from a cookie, so nothing about them is cached.

"get" finds sessions that were not used for some time, "again" finds the same sessions once more.
There is no target. A bare dict has neither a limit nor a purge, and decision 12 shows why Python
code with both cannot be as fast. Users notice what a request costs, and other benches judge that.
"""

from __future__ import annotations

import gc
import random
from collections.abc import Sequence
from statistics import median
from time import monotonic, process_time
from typing import Any, Final

from bench import child
from bench.contenders import BARE, OURS, PEERS, BareDict, Contender
from bench.data import session
from bench.report import Progress, table
from bench.verdicts import save

VERBS: Final = ("get", "again", "overwrite", "new", "touch")
NUMBERS: Final = {"quick": (10_000, 50_000), "full": (10_000, 1_000_000)}
ROUNDS: Final = {"quick": (20, 10), "full": (80, 40)}
BATCH: Final = 500  # sessions
PART: Final = 20_000  # sessions that are made at a time
ALL_STORES: Final = 6_000  # bytes that a session takes in all of the stores together

Times = dict[str, dict[str, list[float]]]
"""title -> verb -> microseconds a call, by round"""


def main(*, quick: bool) -> None:
    progress = Progress()
    start = monotonic()
    details: dict[str, Any] = {}
    mode = "quick" if quick else "full"
    for wanted, rounds in zip(NUMBERS[mode], ROUNDS[mode], strict=True):
        number = min(wanted, child.available() // ALL_STORES // 10_000 * 10_000)
        if number < wanted:
            print(f"  {number:,} sessions instead of {wanted:,}: there is no more memory\n")

        def say(text: str, number: int = number) -> None:
            progress.say(f"speed, {number:,} sessions: {text} ({monotonic() - start:.0f} s)")

        found = child.run("bench.speed:measure", {"number": number, "rounds": rounds}, say)
        progress.done()
        for title, why in found["missing"].items():
            print(f"  MISSING: {title} ({why})")
        report(number, found["times"])
        details[str(number)] = found
    save("speed", quick, [], details)


# -- in the process that measures ------------------------------------------------------------------


def measure(number: int, rounds: int, say: child.Say) -> dict[str, Any]:
    made: dict[str, Contender] = {}
    missing: dict[str, str] = {}
    for cls in (*BARE, *OURS, *PEERS):
        if number > 10_000 and not cls.million:
            continue
        try:
            made[cls.title] = cls(None, number + 2 * BATCH)
        except ImportError as error:
            missing[cls.title] = str(error)
    for first in range(0, number, PART):
        numbers = range(first, min(first + PART, number))
        sessions = [session(n) for n in numbers]
        for contender in made.values():
            values = [contender.value(data) for data in sessions]
            contender.fill([contender.ident(n) for n in numbers], values)
        say(f"filling all stores: {numbers.stop:,}")
    gc.collect()
    gc.freeze()
    rng = random.Random(7)
    times: Times = {title: {verb: [] for verb in VERBS} for title in made}
    order = list(made.items())
    for turn in range(rounds):
        say(f"round {turn + 1} of {rounds}")
        rng.shuffle(order)
        sample = rng.sample(range(number), BATCH)
        changed = [session(n, visits=turn + 1) for n in sample]
        new = range(number + turn * BATCH, number + (turn + 1) * BATCH)
        fresh = [session(n) for n in new]
        for verb in VERBS:
            for title, contender in order:
                taken = _once(contender, verb, sample, changed, new, fresh)
                if taken is not None:
                    times[title][verb].append(taken / BATCH * 1e6)
    gc.unfreeze()
    return {"number": number, "rounds": rounds, "missing": missing, "times": times}


def _once(
    contender: Contender,
    verb: str,
    sample: Sequence[int],
    changed: Sequence[Any],
    new: Sequence[int],
    fresh: Sequence[Any],
) -> float | None:
    """Return the seconds of one batch; None if the store has no such verb."""
    ids = [contender.ident(n) for n in (new if verb == "new" else sample)]
    was = contender.payloads(ids) if verb == "overwrite" else []
    start = process_time()
    if verb in ("get", "again"):
        contender.get_all(ids)
    elif verb == "overwrite":
        contender.overwrite_all(ids, changed, was)
    elif verb == "new":
        contender.new_all(ids, fresh)
    else:
        try:
            contender.touch_all(ids)
        except NotImplementedError:
            return None
    taken = process_time() - start
    if verb == "new":
        contender.remove_all(ids)
    return taken


# -- reporting -------------------------------------------------------------------------------------


def quotient(times: Times, title: str, other: str, verb: str) -> float:
    pairs = zip(times[title][verb], times[other][verb], strict=True)
    return median(ours / theirs for ours, theirs in pairs)


def report(number: int, times: Times) -> None:
    """Print microseconds a call, and in brackets the multiple of the bare dict's."""
    rows: list[list[str] | None] = []
    for title, verbs in times.items():
        cells = []
        for verb in VERBS:
            if not verbs[verb]:
                cells.append("-")
                continue
            cell = f"{median(verbs[verb]):.2f}"
            if times[BareDict.title][verb]:
                cell += f" ({quotient(times, title, BareDict.title, verb):.2f} x)"
            cells.append(cell)
        rows.append([title, *cells])
    heads = [f"{number:,} sessions, microseconds", "get + decode", *VERBS[1:]]
    print(table(heads, rows) + "\n")
