"""Who keeps their session during a flood of bots: lembro's store and known policies, replayed.

One hour to settle is followed by one hour of bots. The tables name rates for 10,000 sessions and
5,000 real users. The bench runs at a tenth of that scale: 1,000 sessions, 500 users, and bots at a
tenth of the rates. ``--whole`` runs at a quarter, with 20 million requests. That takes about 22
minutes on two cores, estimated from a part of each kind of flood. The scale of the tables would
take four times as long. The results name the scale.

Model A counts the requests that find their session, separately for users from before the flood
(established) and since (arriving). In model B, users log in with their second request, which needs
the session of the first (its CSRF token). It counts the requests of logged-in users, the logins
that succeed at once, and the requests of returning visitors without a login.
"""

from __future__ import annotations

import logging
import multiprocessing
import os
import time
from collections.abc import Sequence
from concurrent.futures import FIRST_EXCEPTION, Future, ProcessPoolExecutor, wait
from dataclasses import dataclass, field
from typing import Any, Final, Protocol

from bench.policies import POLICIES, AgeLevels
from bench.replay import RealStore
from bench.report import Progress, table
from bench.traffic import (
    BACK,
    COLD,
    FIRST,
    FLOODS,
    LAST,
    NONE,
    PATIENT,
    REPLAY,
    Flood,
    Kind,
    Model,
    Say,
    Users,
    ignore,
    stream,
)
from bench.verdicts import save

REAL: Final = "lembro MemoryStore"
WHOLE: Final = Model(capacity=2500)
FULL: Final = Model(capacity=1000)
QUICK: Final = Model(capacity=300, length=1200.0)
"""Everything but the times scales with the capacity, so that hardly any share depends on it."""


class Contender(Protocol):
    """A policy, or the real store."""

    def visit(self, visitor: int, now: float, *, first: bool, last: bool) -> bool: ...
    def login(self, visitor: int, now: float) -> bool: ...
    def replay(self, visitor: int, now: float) -> None: ...


@dataclass
class Share:
    """A part of a number."""

    kept: int = 0
    of: int = 0

    def count(self, kept: bool) -> None:
        self.kept += kept
        self.of += 1

    @property
    def percent(self) -> float:
        return 100 * self.kept / self.of if self.of else float("nan")

    def __str__(self) -> str:
        if not self.of:
            return "-"
        # Rounded down, so that 100.0 means that no session was lost.
        return f"{int(self.percent * 10) / 10:.1f}"


@dataclass
class Outcome:
    """The result of one contender in one flood."""

    established: Share = field(default_factory=Share)
    arriving: Share = field(default_factory=Share)
    logged_in: Share = field(default_factory=Share)
    first_try: Share = field(default_factory=Share)
    returning: Share = field(default_factory=Share)

    def a(self) -> str:
        return f"{self.established}/{self.arriving}"

    def b(self) -> str:
        return f"{self.logged_in}/{self.first_try}/{self.returning}"


def simulate_a(
    contenders: Sequence[Contender], flood: Flood, model: Model, say: Say = ignore
) -> list[Outcome]:
    """Run one flood of model A. All contenders get the same visits."""
    start = 0.0 if flood.cold else model.warm_up
    end = start + model.length
    users = Users(model, flood.users, logins=False, end=end)
    outcomes = [Outcome() for _ in contenders]
    for now, visitor, kind in stream(users, flood, model, start, end, say):
        if visitor < 0 and flood.replay:
            for contender in contenders:
                contender.replay(visitor, now)
            continue
        first, last = kind == FIRST, kind == LAST
        counts = visitor >= 0 and kind == BACK and now >= start
        arriving = counts and users.births[visitor] >= start
        for contender, outcome in zip(contenders, outcomes, strict=True):
            found = contender.visit(visitor, now, first=first, last=last)
            if counts:
                (outcome.arriving if arriving else outcome.established).count(found)
    return outcomes


def simulate_b(
    contenders: Sequence[Contender], flood: Flood, model: Model, say: Say = ignore
) -> list[Outcome]:
    """Run one flood of model B.

    A user whose login fails, or is lost, tries again with the next request.
    """
    start, end = model.warm_up, model.warm_up + model.length
    users = Users(model, flood.users, logins=True, end=end)
    outcomes = [Outcome() for _ in contenders]
    logged_in: list[set[int]] = [set() for _ in contenders]
    tried: set[int] = set()
    for now, visitor, kind in stream(users, flood, model, start, end, say):
        if visitor < 0 or kind == FIRST or users.kinds[visitor] is not Kind.LOGS_IN:
            first, last = kind == FIRST, kind == LAST
            counts = visitor >= 0 and kind == BACK and now >= start
            for contender, outcome in zip(contenders, outcomes, strict=True):
                found = contender.visit(visitor, now, first=first, last=last)
                if counts:
                    outcome.returning.count(found)
            continue
        first_try = visitor not in tried
        tried.add(visitor)
        for contender, outcome, members in zip(contenders, outcomes, logged_in, strict=True):
            if visitor in members:
                found = contender.visit(visitor, now, first=False, last=False)
                if now >= start:
                    outcome.logged_in.count(found)
                if not found:
                    members.remove(visitor)
                continue
            done = contender.login(visitor, now)
            if done:
                members.add(visitor)
            if first_try and now >= start:
                outcome.first_try.count(done)
    return outcomes


# -- the tables ------------------------------------------------------------------------------------


class LevelsWithoutLogin(AgeLevels):
    """The tiers alone, without the tier of logged-in users."""

    logins = False


TABLE_A: Final = (*FLOODS, REPLAY, COLD, *NONE)
TABLE_B: Final = (*FLOODS, PATIENT)

REPUTATION: Final = ("age levels", "age levels, 20 % for new", REAL)
"""The policies that check reputation tokens. For the others, a replayed token is an ordinary
cookie.
"""

Job = tuple[str, Flood, Model]


def contenders_for(table_name: str, capacity: int) -> dict[str, Contender]:
    found: dict[str, Contender] = {name: make(capacity) for name, make in POLICIES.items()}
    if table_name == "B":
        found["age levels, no login"] = LevelsWithoutLogin(capacity)
    found[REAL] = RealStore(capacity)
    return found


def run(job: Job, say: Say = ignore) -> dict[str, Outcome]:
    """Compute one column of a table. Call ``say`` with the share of it that is done."""
    logging.getLogger("lembro").setLevel(logging.ERROR)  # to show that there are other processes
    table_name, flood, model = job
    contenders = contenders_for(table_name, model.capacity)
    simulate = simulate_a if table_name == "A" else simulate_b
    outcomes = simulate(list(contenders.values()), flood, model, say)
    return dict(zip(contenders, outcomes, strict=True))


def main(*, quick: bool, whole: bool = False) -> None:
    model = QUICK if quick else WHOLE if whole else FULL
    print(
        f"  Room for {model.capacity:,} sessions, {round(5000 * model.scale):,} users, "
        f"{model.length / 60:.0f} minutes of bots (rates as for 10,000 sessions). "
        f"The real store: {RealStore(model.capacity).store.max_size:,} bytes.\n"
        "  Shares in per cent, rounded down.\n"
    )
    jobs: list[Job] = [("A", flood, model) for flood in TABLE_A]
    jobs += [("B", flood, model) for flood in TABLE_B]
    columns = _run_all(jobs)
    print("Model A: requests that find their session, established/arriving\n")
    print(_table("A", columns[: len(TABLE_A)], TABLE_A))
    print("\nModel B: requests of the logged-in/logins at the first try/requests of returning\n")
    print(_table("B", columns[len(TABLE_A) :], TABLE_B))
    print("\n" + judge(columns[: len(TABLE_A)], columns[len(TABLE_A) :]))
    save("flood", quick, [], details(model, columns[: len(TABLE_A)], columns[len(TABLE_A) :]))


def details(
    model: Model, a: list[dict[str, Outcome]], b: list[dict[str, Outcome]]
) -> dict[str, object]:
    """Return the data of the figure and the documentation, with the scale of the run."""
    slow = b[: len(FLOODS) // 2]
    return {
        "capacity": model.capacity,
        "users": round(FLOODS[0].users * model.scale),
        "scale": model.scale,
        "minutes": model.length / 60,
        "kept": kept(a),
        "logged_in": min(column[REAL].logged_in.percent for column in b[: len(FLOODS)]),
        "first_try": {policy: _worst_first_try([c[policy] for c in slow]) for policy in b[0]},
    }


def _run_all(jobs: list[Job]) -> list[dict[str, Outcome]]:
    """Run the longest first, in as many processes as there are processors."""
    progress, begun = Progress(), time.monotonic()
    weights = [visits_of(job) for job in jobs]
    order = sorted(range(len(jobs)), key=lambda i: -weights[i])
    shares = multiprocessing.Array("d", len(jobs), lock=False)
    workers = min(len(jobs), os.cpu_count() or 1)
    with ProcessPoolExecutor(workers, initializer=_share, initargs=(shares,)) as pool:
        futures: dict[int, Future[dict[str, Outcome]]] = {
            i: pool.submit(_run_shared, i, jobs[i]) for i in order
        }
        pending = set(futures.values())
        while pending:
            _, pending = wait(pending, timeout=0.5, return_when=FIRST_EXCEPTION)
            progress.say(progress_of(weights, list(shares), time.monotonic() - begun))
    progress.done()
    return [futures[i].result(timeout=0) for i in range(len(jobs))]


_shares: Any = None
"""The share of each job that is done, in memory that the processes share."""


def _share(shares: Any) -> None:
    global _shares  # noqa: PLW0603 - the initializer of a pool has no other way
    _shares = shares


def _run_shared(number: int, job: Job) -> dict[str, Outcome]:
    def say(share: float) -> None:
        _shares[number] = share

    outcomes = run(job, say)
    say(1.0)
    return outcomes


def progress_of(weights: Sequence[float], shares: Sequence[float], elapsed: float) -> str:
    """Describe the progress: the floods, the share of the requests, and the time that is left."""
    pairs = zip(weights, shares, strict=True)
    done = sum(weight * share for weight, share in pairs) / sum(weights)
    floods = sum(share == 1 for share in shares)
    text = f"{floods} of {len(shares)} floods, {done:.0%} of the requests, {elapsed:.0f} s"
    return text + (f", about {elapsed / done - elapsed:.0f} s left" if done > 0.01 else "")


def visits_of(job: Job) -> float:
    """Estimate the requests of a flood."""
    _, flood, model = job
    warm_up = 0.0 if flood.cold else model.warm_up
    users = flood.users / 135 * (warm_up + model.length)  # each comes every 135 seconds
    bots = flood.rate * (1 + flood.backs) + flood.patient / 120
    return (users + bots * model.length) * model.scale


def _table(name: str, columns: list[dict[str, Outcome]], floods: Sequence[Flood]) -> str:
    heads = ["", *(_head(flood) for flood in floods)]
    rows: list[list[str] | None] = []
    for policy in columns[0]:
        if policy == REAL:
            rows.append(None)
        cells = [policy]
        for flood, column in zip(floods, columns, strict=True):
            applies = not flood.replay or policy in REPUTATION
            outcome = column[policy]
            cells.append((outcome.a() if name == "A" else outcome.b()) if applies else "-")
        rows.append(cells)
    return table(heads, rows)


def _head(flood: Flood) -> str:
    return flood.name


def kept(a: list[dict[str, Outcome]]) -> list[dict[str, str | float]]:
    """Return the worst flood of model A for each policy, the best policy first, for the figure."""
    rows: list[dict[str, str | float]] = []
    for policy in a[0]:
        columns = a[: len(FLOODS) + (policy in REPUTATION)]
        rows.append(
            {
                "policy": policy,
                "established": min(column[policy].established.percent for column in columns),
                "arriving": min(column[policy].arriving.percent for column in columns),
            }
        )
    return sorted(rows, key=lambda row: (row["policy"] != REAL, -float(row["established"])))


def judge(a: list[dict[str, Outcome]], b: list[dict[str, Outcome]]) -> str:
    """Compare the real store with its targets."""
    floods = [column[REAL] for column in a[: len(FLOODS) + 1]]  # with the replayed token
    quiet = a[len(FLOODS) + 2 :]
    members = [column[REAL] for column in b[: len(FLOODS)]]
    below = max(
        max(
            column["LRU"].established.percent - column[REAL].established.percent,
            column["LRU"].arriving.percent - column[REAL].arriving.percent,
        )
        for column in quiet
    )
    slow, fast = members[:3], members[3:]
    lines = [
        ("A, worst of seven: established", min(o.established.percent for o in floods), 99.8),
        ("A, worst of seven: arriving", min(o.arriving.percent for o in floods), 82.0),
        ("B, worst of six: logged in", min(o.logged_in.percent for o in members), 100.0),
        ("B, 100/s: logins at the first try", _worst_first_try(slow), 85.0),
        ("B, 1,000/s: logins at the first try", _worst_first_try(fast), 85.0),
        ("B, worst of six: returning", min(o.returning.percent for o in members), 95.0),
    ]
    rows: list[list[str] | None] = [
        [what, f"{value:.2f}", f">= {bar:g}", "met" if value >= bar else "MISSED"]
        for what, value, bar in lines
    ]
    verdict = "met" if below <= 0.5 else "MISSED"
    rows.append(["A, no flood: points below LRU", f"{max(0.0, below):.2f}", "<= 0.5", verdict])
    return table([REAL, "measured", "target", ""], rows) + (
        "\n\n  At 1,000/s there is room for five seconds of newcomers next to 5,000 users, and"
        "\n  a login needs a session that is 3 to 20 seconds old: no order of eviction keeps those."
    )


def _worst_first_try(outcomes: list[Outcome]) -> float:
    return min(outcome.first_try.percent for outcome in outcomes)
