"""The real memory of sessions: each store in a separate process, with resident memory from statm.

* The overhead of a session over its own JSON, at a million, and the time of ``gc.collect()`` then,
  compared with a dict of as many sessions.
* The memory that is returned to the system after half of them expired: every second one, and the
  older half.
* The growth while the sizes of sessions change in six phases under a cap, over that cap. Each peer
  runs twice: once it counts the payloads alone, once also the measured overhead of an entry.

``malloc_trim`` is only called in the rows that name it: a store must return memory without it.
"""

from __future__ import annotations

import gc
import random
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from time import monotonic, process_time
from typing import Any, Final

from bench import child
from bench.clocks import Watch
from bench.contenders import (
    BARE,
    BY_TITLE,
    IDLE,
    KNOWN,
    OURS,
    PEERS,
    BareDict,
    Contender,
    Lembro,
)
from bench.data import GROWING, PHASES, payload, session
from bench.report import Progress, table
from bench.verdicts import Verdict, save, verdict_table

MIB: Final = 1 << 20
NUMBERS: Final = {"quick": 50_000, "full": 1_000_000}
FEWER: Final = 4  # stores that take too long get a fourth of the sessions
CAPS: Final = {"quick": 8_000_000, "full": 100_000_000}
DEFAULT_CAP: Final = 4 * MIB
AT_ONCE: Final = 2  # processes: none is timed, except for the collector
TURNOVER: Final = 1.3  # bytes written in each phase, in times of the cap, each session counted with
BESIDES: Final = 150  # bytes that any store takes for a session in addition to its payload
PART: Final = 500  # sessions made at a time: few, so that they do not count
COLLECTIONS: Final = 7
PATIENCE: Final = {"quick": 8.0, "full": 40.0}  # seconds of processor time for all phases
LOOKS: Final = 40  # samples of resident memory in each phase


def main(*, quick: bool) -> list[Verdict]:
    progress = Progress()
    start = monotonic()
    mode = "quick" if quick else "full"
    verdicts: list[Verdict] = []
    missing: dict[str, str] = {}

    def ask(function: str, what: str, **arguments: Any) -> Any:
        title = arguments["title"]

        def say(text: str) -> None:
            progress.say(f"memory, {what}: {title}: {text} ({monotonic() - start:.0f} s)")

        say("")
        try:
            return child.run(f"bench.memory:{function}", arguments, say)
        except child.MissingError as error:
            missing[title] = str(error)
            return None

    with ThreadPoolExecutor(AT_ONCE) as pool:
        many_ = {
            cls.title: pool.submit(
                ask,
                "million",
                "overhead",
                title=cls.title,
                number=NUMBERS[mode] // (1 if cls.million else FEWER),
            )
            for cls in (*BARE, *OURS, *KNOWN, *PEERS)
        }
        halves_ = {
            which: pool.submit(
                ask, "halves", which, title=Lembro.title, number=NUMBERS[mode], which=which
            )
            for which in ("every second", "the older half")
        }

        def shift(title: str, cap: int = CAPS[mode], entry: int = 0) -> Future[Any]:
            what = "shifting sizes" + (", entries counted" if entry else "")
            arguments = {"title": title, "cap": cap, "patience": PATIENCE[mode], "entry": entry}
            return pool.submit(ask, "phases", what, **arguments)

        bounded = [cls for cls in PEERS if cls.bound != "none" and cls.million]
        shifting_ = {cls.title: shift(cls.title) for cls in (*OURS, *bounded)}
        small = shift(Lembro.title, DEFAULT_CAP)
        many = _results(many_)  # which measure the size of an entry of each peer
        truly_ = {
            cls.title: shift(cls.title, entry=round(many[cls.title]["overhead"]))
            for cls in bounded
            if cls.title in many
        }
    halves_found = _results(halves_)
    shifting, truly = _results(shifting_), _results(truly_)
    progress.done()

    for title, why in missing.items():
        print(f"  MISSING: {title} ({why})")
    report_million(many)
    verdicts += judge_million(many)
    report_halves(halves_found)
    verdicts.append(judge_halves(halves_found))
    report_phases(shifting, CAPS[mode], "peers count the payloads alone")
    report_phases(truly, CAPS[mode], "peers count the measured size of an entry")
    report_phases({Lembro.title: small.result(timeout=3600)}, DEFAULT_CAP)
    verdicts += judge_phases(shifting, truly, small.result(timeout=3600), CAPS[mode])
    print(verdict_table(verdicts))
    details = {"million": many, "halves": halves_found, "phases": shifting}
    details |= {"truly": truly, "small": small.result(timeout=3600)}
    save("memory", quick, verdicts, details)
    return verdicts


def _results(futures: dict[str, Future[Any]]) -> dict[str, Any]:
    """Return the results, without the peers that are missing."""
    found = {title: future.result(timeout=3600) for title, future in futures.items()}
    return {title: result for title, result in found.items() if result is not None}


# -- in the process that measures ------------------------------------------------------------------


def _filled(contender: Contender, number: int, say: child.Say, idle: int = IDLE) -> int:
    """Fill a store. Return the bytes of JSON that it got."""
    total = 0
    measure = BareDict(None, 0).value
    for first in range(0, number, PART):
        numbers = range(first, min(first + PART, number))
        sessions = [session(n) for n in numbers]
        total += sum(len(measure(data)) for data in sessions)
        contender.fill(
            [contender.ident(n) for n in numbers], [contender.value(data) for data in sessions]
        )
        if not first % 10_000:
            say(f"{first:,} of {number:,}")
    return total


def _collect() -> float:
    """Return the seconds of a full collection: the least of several."""
    times = []
    for _ in range(COLLECTIONS):
        start = process_time()
        gc.collect()
        times.append(process_time() - start)
    return min(times)


def million(title: str, number: int, say: child.Say) -> dict[str, Any]:
    contender = BY_TITLE[title](None, number)
    # Allocate the objects that are created only once, and the memory for creating a part of the
    # sessions.
    ids = [contender.ident(-n) for n in range(10, PART)]
    contender.fill(ids, [contender.value(session(n)) for n in range(10, PART)])
    contender.remove_all(ids)
    del ids
    before = child.settled()
    total = _filled(contender, number, say)
    gc.collect()
    kept = child.resident()
    trimmed = child.settled()
    result = {
        "number": number,
        "payload": total / number,
        "overhead": (kept - before - total) / number,
        "overhead_trimmed": (trimmed - before - total) / number,
        "held": 1.0,
        "gc": _collect(),
    }
    if isinstance(contender, Lembro):
        stats = contender.it.stats()
        result["held"] = stats.sessions / number
        result["counted"] = stats.used / number - total / number
    return result


def halves(title: str, number: int, which: str, say: child.Say) -> dict[str, Any]:
    """Let half of the sessions expire at once, and purge them."""
    watch = Watch()
    contender = BY_TITLE[title](None, number, watch)
    before = child.settled()
    for first in range(0, number, PART):
        for n in range(first, first + PART):
            soon = n % 2 == 0 if which == "every second" else n < number // 2
            data = contender.value(session(n))
            contender.store(contender.ident(n), data, idle=IDLE if soon else 10 * IDLE)
        if not first % 10_000:
            say(f"{which}: {first:,} of {number:,}")
    gc.collect()
    full = child.resident()
    watch.forward(2 * IDLE)
    contender.purge()
    gc.collect()
    left = child.resident()
    trimmed = child.settled()
    half = (full - before) / 2
    return {
        "grown": full - before,
        "returned": (full - left) / half,
        "returned_trimmed": (full - trimmed) / half,
    }


def phases(title: str, cap: int, patience: float, say: child.Say, entry: int = 0) -> dict[str, Any]:
    """Measure the resident growth while the sizes change, about forty times a phase.

    Args:
        entry: the bytes that a peer counts for an entry in addition to its payload.
    """
    make: Any = BY_TITLE[title]
    contender: Contender = make(cap, 0, entry=entry) if entry else make(cap, 0)
    for n in range(10, 20):
        contender.store(contender.ident(-n), payload(300))
        contender.remove(contender.ident(-n))
    before = child.settled()
    samples: list[float] = []
    bounds: list[int] = []
    counted: list[float] = []
    most: dict[str, float] = {}
    ident = 0
    deadline = process_time() + patience
    for phase, (name, sizes) in enumerate(PHASES):
        rng = random.Random(phase)
        written, step, highest = 0, 0, 0
        due = cap * TURNOVER / LOOKS
        work = _growing(contender, rng, ident, cap) if name == GROWING else None
        while step < LOOKS:
            if work is not None:
                written += next(work) + BESIDES
            else:
                size = sizes(rng)
                contender.store(contender.ident(ident), payload(size))
                written += size + BESIDES
            ident += 1
            if process_time() > deadline:
                most[name] = highest / cap
                why = f"given up in phase {name!r}: almost no writes once it is full"
                return {"cap": cap, "samples": samples, "bounds": bounds, "most": most, "why": why}
            if written >= due * (step + 1):
                step += 1
                grown = child.resident() - before
                highest = max(highest, grown)
                samples.append(round(grown / cap, 4))
                if isinstance(contender, Lembro):
                    counted.append(round(contender.it.stats().used / cap, 4))
                say(f"{name}: {grown / cap:.2f} of the cap")
        bounds.append(len(samples))
        most[name] = highest / cap
    return {"cap": cap, "samples": samples, "counted": counted, "bounds": bounds, "most": most}


def _growing(contender: Contender, rng: random.Random, first: int, cap: int) -> Iterator[int]:
    """Write sessions of 200 bytes ten times, each time 200 bytes larger, many at a time.

    Yields:
        The bytes of each write.
    """
    together = max(50, cap // 8000)
    while True:
        ids = [contender.ident(first + n) for n in range(together)]
        first += together
        for size in range(200, 2200, 200):
            for at in ids:
                contender.store(at, payload(size))
                yield size
            rng.shuffle(ids)


# -- reporting -------------------------------------------------------------------------------------


def report_million(many: dict[str, Any]) -> None:
    rows: list[list[str] | None] = []
    bare = many[BareDict.title]["gc"]
    for title, it in many.items():
        row = [
            title,
            f"{it['number']:,}",
            f"{it['overhead']:.0f}",
            f"{it['overhead_trimmed']:.0f}",
            f"{it['counted']:.0f}" if "counted" in it else "-",
            f"{it['gc'] * 1000:.1f}",
            f"{it['gc'] / bare:.1f} x",
        ]
        rows.append(row)
    heads = ["bytes over the JSON, a session", "sessions", "resident", "trimmed", "counted"]
    print(table([*heads, "gc.collect() ms", "of a dict"], rows) + "\n")


def report_halves(halves: dict[str, Any]) -> None:
    rows: list[list[str] | None] = [
        [which, f"{it['grown'] / 1e6:.0f} MB", *(_percent(it[name]) for name in _RETURNS)]
        for which, it in halves.items()
    ]
    print(table(["half of the sessions expired", "before", "returned", "after trim"], rows) + "\n")


_RETURNS: Final = ("returned", "returned_trimmed")


def _percent(share: float) -> str:
    return f"{share * 100:.0f} %"


def report_phases(shifting: dict[str, Any], cap: int, told: str = "") -> None:
    names = [name for name, _ in PHASES]
    rows: list[list[str] | None] = []
    for title, it in shifting.items():
        most = it["most"]
        cells = [f"{most[name]:.2f}" if name in most else "-" for name in names]
        rows.append([title, *cells, f"{max(most.values()):.2f}"])
    head = f"resident growth over a cap of {cap / 1e6:.1f} MB" + (f", {told}" if told else "")
    print(table([head, *names, "worst"], rows))
    for title, it in shifting.items():
        if "why" in it:
            print(f"  {title}: {it['why']}")
    print()


def judge_million(many: dict[str, Any]) -> list[Verdict]:
    ours, bare = many[Lembro.title], many[BareDict.title]["gc"]
    others = {t: it for t, it in many.items() if BY_TITLE[t] in PEERS}
    best = min((it["overhead"], title) for title, it in others.items()) if others else None
    gc_ = min((it["gc"] / bare, title) for title, it in others.items()) if others else None
    number = f"{ours['number']:,}"
    return [
        Verdict(
            f"overhead a session, resident, {number}",
            120,
            100,
            ours["overhead"],
            " B",
            peer="" if best is None else f"{best[0]:.0f} B {best[1]}",
        ),
        Verdict(
            f"gc.collect() with {number}, of a bare dict",
            1.5,
            1.0,
            ours["gc"] / bare,
            " x",
            peer="" if gc_ is None else f"{gc_[0]:.2f} x {gc_[1]}",
        ),
    ]


def judge_halves(halves: dict[str, Any]) -> Verdict:
    worst = min(it["returned"] for it in halves.values()) * 100
    return Verdict("returned after half expired, the worse way", 80, 95, worst, " %", at_least=True)


def worst_of(shifting: dict[str, Any]) -> dict[str, float]:
    """Return each one's largest growth over its cap, of the phases that it has reached."""
    return {title: max(it["most"].values()) for title, it in shifting.items()}


def _best_of(shifting: dict[str, Any]) -> tuple[float, str] | None:
    """Return the peer with the least growth, of those that completed all phases."""
    whole = {title: it for title, it in shifting.items() if "why" not in it}
    values = [(value, title) for title, value in worst_of(whole).items() if title != Lembro.title]
    return min(values, default=None)


def judge_phases(
    shifting: dict[str, Any], truly: dict[str, Any], small: Any, cap: int
) -> list[Verdict]:
    ours = worst_of(shifting)[Lembro.title]
    best, honest = _best_of(shifting), _best_of(truly)
    peer = "" if best is None else f"{best[0]:.2f} x {best[1]}"
    if honest is not None:
        peer += f"; with entries counted {honest[0]:.2f} x {honest[1]}"
    grown = (max(small["most"].values()) * DEFAULT_CAP - DEFAULT_CAP) / MIB
    return [
        Verdict(
            f"resident over max_size, sizes shifting, {cap // 1_000_000} MB",
            1.20,
            1.10,
            ours,
            " x",
            peer=peer,
        ),
        Verdict("resident beyond max_size at the default 4 MB", 2, 1, grown, " MiB"),
    ]
