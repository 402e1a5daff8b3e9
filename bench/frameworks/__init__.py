"""The time that a session adds to a request in each framework.

lembro is compared with the framework's own sessions and with the best library for it. There is one
module for each framework: ``contenders()``, of which the first is the bare application;
``REFERENCE``, the library that lembro is compared with; and ``BAR``: if set, lembro takes at most
one part in so many of its time.
"""

from __future__ import annotations

from importlib import import_module
from typing import Final

from bench import serving
from bench.peers import ACTIONS
from bench.report import table
from bench.requests import Added, by_library, measure, part
from bench.verdicts import save

FRAMEWORKS: Final = (
    "flask",
    "django",
    "litestar",
    "aiohttp",
    "pyramid",
    "falcon",
    "sanic",
    "bottle",
    "tornado",
)
ROUNDS: Final = {"quick": 60, "full": 300}


def main(*, quick: bool) -> None:
    rounds = ROUNDS["quick" if quick else "full"]
    found: dict[str, dict[str, dict[str, float]]] = {}
    for name in FRAMEWORKS:
        try:
            framework = import_module(f"bench.frameworks.{name}")
            contenders = framework.contenders()
        except ImportError as error:
            print(f"  MISSING: {name} can't be measured ({error})\n")
            continue
        added = measure(name, contenders, rounds)
        print(report(added, framework.REFERENCE, framework.BAR) + "\n")
        found[name] = by_library(added)
    save("frameworks", quick, [], {"visitors": serving.VISITORS, "rounds": rounds, "added": found})


def report(added: Added, reference: str, bar: dict[str, int]) -> str:
    libraries = dict.fromkeys(library for library, _ in added)
    rows: list[list[str] | None] = [
        [library, *(f"{added[library, action]:.2f}" for action in ACTIONS)] for library in libraries
    ]
    rows.append(None)
    pairs = {action: (added["lembro", action], added[reference, action]) for action in ACTIONS}
    rows.append([f"lembro: of {reference}", *(_part(*pairs[action]) for action in ACTIONS)])
    if bar:
        rows.append(
            ["required", *(_verdict(*pairs[action], bar.get(action)) for action in ACTIONS)]
        )
    return table(["added us", *ACTIONS], rows)


def _part(ours: float, theirs: float) -> str:
    if ours <= 0:
        return "nothing"
    return part(theirs / ours) if theirs > 0 else "theirs: nothing"


def _verdict(ours: float, theirs: float, bar: int | None) -> str:
    if bar is None:
        return ""
    return f"1/{bar} {'met' if ours * bar <= theirs else 'MISSED'}"
