"""The time that a session adds to a request, over the bare application without any middleware.

Applications are called in this process. A server or a client would take much more time than the
session. All applications take turns in each round. The result is the median over the rounds of the
difference to the bare application in the same round. The time is that of the processor, so that
other work of the machine counts little.
"""

from __future__ import annotations

import gc
import json
import platform
from collections.abc import Callable, Sequence
from operator import sub
from statistics import median
from typing import Final

from bench import peers, serving
from bench.peers import ACTIONS
from bench.report import Progress, table
from bench.serving import (
    Batch,
    Contender,
    asgi_actions,
    asgi_batch,
    strangers,
    wsgi_actions,
    wsgi_batch,
)
from bench.verdicts import Verdict, ahead, save, verdict_table

BATCH_SECONDS: Final = 0.002
WARM_UP: int = 200  # requests
ROUNDS: Final = {"quick": 200, "full": 1000}


def main(*, quick: bool) -> list[Verdict]:
    size = len(json.dumps(peers.session_data(), separators=(",", ":")))
    python = f"{platform.python_implementation()} {platform.python_version()}"
    print(
        f"{python}; {serving.VISITORS:,} visitors with a session of {size} bytes of JSON each; "
        "added microseconds a request\n"
    )
    rounds = ROUNDS["quick" if quick else "full"]
    found, verdicts = {}, []
    for kind, contenders in (("ASGI", asgi_contenders()), ("WSGI", wsgi_contenders())):
        added = measure(kind, contenders, rounds)
        print(table(["", *ACTIONS], _rows(added)) + "\n")
        found[kind.lower()] = by_library(added)
        verdicts += ahead(kind, found[kind.lower()])
    print(verdict_table(verdicts))
    save(
        "requests",
        quick,
        verdicts,
        {"visitors": serving.VISITORS, "bytes": size, "rounds": rounds, **found},
    )
    return verdicts


# -- who takes part --------------------------------------------------------------------------------


def asgi_contenders() -> list[Contender]:
    found = [Contender("bare", "", asgi_batch(peers.bare_asgi, strangers()))]
    for library, build in peers.ASGI.items():
        try:
            apps = build()
        except ImportError as error:
            _missing(library, error)
            continue
        found += asgi_actions(library, apps)
    return found


def wsgi_contenders() -> list[Contender]:
    found = [Contender("bare", "", wsgi_batch(peers.bare_wsgi, strangers()))]
    for library, build in peers.WSGI.items():
        try:
            apps = build()
        except ImportError as error:
            _missing(library, error)
            continue
        found += wsgi_actions(library, apps)
    return found


def _missing(library: str, error: ImportError) -> None:
    print(f"  MISSING: {library} can't be imported ({error})\n")


# -- measuring -------------------------------------------------------------------------------------

Added = dict[tuple[str, str], float]
"""(library, action) -> microseconds a request, more than the bare application's."""


def measure(
    kind: str, contenders: list[Contender], rounds: int, seconds: float | None = None
) -> Added:
    """Measure contenders, of which the first is the bare application; see ``take_turns``."""
    progress = Progress()
    bare, *others = take_turns(
        contenders, rounds, lambda text: progress.say(f"{kind}: {text}"), seconds
    )
    progress.done()
    print(f"{kind} (the bare application takes {median(bare):.2f})")
    return {
        (contender.library, contender.action): median(map(sub, times, bare))
        for contender, times in zip(contenders[1:], others, strict=True)
    }


def take_turns(
    contenders: Sequence[Contender],
    rounds: int,
    say: Callable[[str], None],
    seconds: float | None = None,
) -> list[list[float]]:
    """Return the times of each contender: microseconds a request, one for each round.

    Args:
        contenders: The contenders.
        rounds: How often each serves a batch.
        say: The function that is called with the progress.
        seconds: How long a batch takes, about. Default: ``BATCH_SECONDS``.
    """
    seconds = BATCH_SECONDS if seconds is None else seconds
    counts = [_count_for(contender.batch, seconds) for contender in contenders]
    found: list[list[float]] = [[] for _ in contenders]
    gc.collect()
    gc.freeze()
    for number in range(rounds):
        say(f"round {number + 1} of {rounds}")
        turn = [(number + i) % len(contenders) for i in range(len(contenders))]
        for i in turn if number % 2 else reversed(turn):
            found[i].append(contenders[i].batch(counts[i]) / counts[i] * 1e6)
    gc.unfreeze()
    return found


def _count_for(batch: Batch, seconds: float) -> int:
    """Return how many requests fill a batch, and warm up."""
    batch(WARM_UP)
    return max(20, int(seconds / (batch(WARM_UP) / WARM_UP)))


def by_library(added: Added) -> dict[str, dict[str, float]]:
    """Return the times in a form for JSON: library -> action -> microseconds."""
    found: dict[str, dict[str, float]] = {}
    for (library, action), microseconds in added.items():
        found.setdefault(library, {})[action] = microseconds
    return found


# -- reporting -------------------------------------------------------------------------------------


def _rows(added: Added) -> list[list[str]]:
    libraries = dict.fromkeys(library for library, _ in added)
    return [
        [library, *(f"{added[library, action]:.2f}" for action in ACTIONS)] for library in libraries
    ]


def part(of: float) -> str:
    return f"1/{of:.1f}"
