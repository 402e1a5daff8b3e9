"""Draw the figures of the docs from the last ``make bench``: ``python -m tools.figures [names]``.

``make figures`` calls it. A bench without results leaves its figures as they are. Only results of
full runs are used, unless ``--quick`` allows others, for a preview.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

from bench import charts, verdicts
from bench.contenders import Lembro
from bench.flood import REAL
from bench.pauses import STEPS

IMAGES: Final = verdicts.ROOT / "docs" / "images"


def resident(result: Any) -> Path:
    """Draw resident memory over the cap while the sizes of sessions change, for lembro and the
    peers.
    """
    path = IMAGES / "resident.svg"
    charts.shifting(result["details"]["phases"], Lembro.title, path)
    return path


def pauses(result: Any) -> Path:
    """Draw how long each insert took while the store grew to a million sessions."""
    number = f"{result['details']['number']:,}"
    head = (
        f"how long each insert took while a store grew to {number} sessions,\n"
        "with the longest (heights are logarithmic: a single one can be seen)"
    )
    path = IMAGES / "pauses.svg"
    charts.pauses(result["details"]["runs"], Lembro.title, STEPS[0], head, path)
    return path


def flood(result: Any) -> Path:
    """Draw the share of users who keep their session in a flood of bots."""
    rows = [
        (row["policy"], row["established"], row["arriving"]) for row in result["details"]["kept"]
    ]
    head = "requests that find their session in the worst flood: established, and (pale) arriving"
    path = IMAGES / "flood.svg"
    charts.flood(rows, REAL, head, path)
    return path


def soak(result: Any) -> Path:
    """Draw what a store takes during its soak."""
    path = IMAGES / f"{result['subject'].replace('_', '-')}.svg"
    charts.soak(result["details"], path)
    return path


FIGURES: Final[dict[str, tuple[str, Callable[[Any], Path]]]] = {
    "resident": ("memory", resident),
    "pauses": ("pauses", pauses),
    "flood": ("flood", flood),
    "soak-memory": ("soak_memory", soak),
    "soak-sqlite": ("soak_sqlite", soak),
}


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tools.figures")
    parser.add_argument("names", nargs="*", choices=[*FIGURES, []], default=[])
    parser.add_argument("--quick", action="store_true", help="also from a run with --quick")
    given = parser.parse_args()
    for name in given.names or FIGURES:
        bench, figure = FIGURES[name]
        result = verdicts.load(bench)
        if result is None:
            print(f"{name}: `make bench ARGS={bench}` has not been run")
        elif result["quick"] and not given.quick:
            print(f"{name}: the last `make bench` of {bench} was a quick one")
        else:
            path = figure(result)
            print(f"{path.relative_to(verdicts.ROOT)}: {path.stat().st_size // 1000} kB")
    return 0


if __name__ == "__main__":
    sys.exit(main())
