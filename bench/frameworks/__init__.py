"""The time that a session adds to a request in each framework.

lembro is compared with the framework's own sessions and with the best library for it. There is one
module for each framework: ``contenders()``, of which the first is the bare application, and
``REFERENCE``, the library that lembro is compared with in the table.
"""

from __future__ import annotations

from importlib import import_module
from typing import Final

from bench import serving
from bench.peers import ACTIONS
from bench.report import table
from bench.requests import Added, by_library, measure, part
from bench.verdicts import Verdict, ahead, save, verdict_table

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


def main(*, quick: bool) -> list[Verdict]:
    rounds = ROUNDS["quick" if quick else "full"]
    found: dict[str, dict[str, dict[str, float]]] = {}
    verdicts: list[Verdict] = []
    for name in FRAMEWORKS:
        try:
            framework = import_module(f"bench.frameworks.{name}")
            contenders = framework.contenders()
        except ImportError as error:
            print(f"  MISSING: {name} can't be measured ({error})\n")
            continue
        added = measure(name, contenders, rounds)
        print(report(added, framework.REFERENCE) + "\n")
        found[name] = by_library(added)
        verdicts += ahead(name, found[name])
    print(verdict_table(verdicts))
    details = {"visitors": serving.VISITORS, "rounds": rounds, "added": found}
    save("frameworks", quick, verdicts, details)
    return verdicts


def report(added: Added, reference: str) -> str:
    libraries = dict.fromkeys(library for library, _ in added)
    rows: list[list[str] | None] = [
        [library, *(f"{added[library, action]:.2f}" for action in ACTIONS)] for library in libraries
    ]
    rows.append(None)
    pairs = {action: (added["lembro", action], added[reference, action]) for action in ACTIONS}
    rows.append([f"lembro: of {reference}", *(_part(*pairs[action]) for action in ACTIONS)])
    return table(["added us", *ACTIONS], rows)


def _part(ours: float, theirs: float) -> str:
    if ours <= 0:
        return "nothing"
    return part(theirs / ours) if theirs > 0 else "theirs: nothing"
