"""The committed record of the benches: ``bench/results.json``, the results of one machine.

It is small. Of the results in ``.artifacts/bench/`` it keeps the numbers that the README and the
documentation show (``tools/measured.py`` writes them there). Each bench has its machine, its
version of Python and its day.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

from bench import verdicts
from bench.contenders import BARE, BY_TITLE, BareDict, Cachetools, Lembro
from bench.memory import DEFAULT_CAP, MIB, worst_of
from bench.pauses import MEANWHILE, STEPS, longest
from bench.speed import VERBS, quotient

PATH: Final = verdicts.ROOT / "bench" / "results.json"
ABOUT: Final = ("when", "python", "machine", "quick")

Record = dict[str, Any]
"""Bench -> its results."""


def _requests(details: Any) -> Record:
    return {
        "visitors": details["visitors"],
        "bytes": details["bytes"],
        "asgi": _rounded(details["asgi"]),
        "wsgi": _rounded(details["wsgi"]),
    }


def _served(details: Any) -> Record:
    return {"connections": details["connections"], "asgi": _rounded(details["asgi"])}


def _frameworks(details: Any) -> Record:
    return {"visitors": details["visitors"], "added": _rounded(details["added"])}


def _speed(details: Any) -> Record:
    """Return the run with the most sessions; each verb as a multiple of a bare dict's."""
    found = max(details.values(), key=lambda it: it["number"])
    times = found["times"]
    return {
        "number": found["number"],
        "of_a_dict": {
            title: {
                verb: significant(quotient(times, title, BareDict.title, verb))
                for verb in VERBS
                if times[title][verb] and times[BareDict.title][verb]
            }
            for title in times
            if title != BareDict.title
        },
        "touch_of_cachetools": (
            significant(quotient(times, Lembro.title, Cachetools.title, "touch"))
            if Cachetools.title in times
            else None
        ),
    }


def _memory(details: Any) -> Record:
    bare = details["million"][BareDict.title]["gc"]
    kept = {
        title: {
            "number": it["number"],
            "overhead": round(it["overhead"]),
            "gc_of_a_dict": significant(it["gc"] / bare),
        }
        for title, it in details["million"].items()
    }
    small = max(details["small"]["most"].values())
    return {
        "cap": details["phases"][Lembro.title]["cap"],
        "million": kept,
        "returned": round(100 * min(it["returned"] for it in details["halves"].values())),
        "worst": _rounded(worst_of(details["phases"])),
        "worst_told_truly": _rounded(worst_of(details["truly"])),
        "unfinished": sorted(
            {
                title
                for of in ("phases", "truly")
                for title, it in details[of].items()
                if "why" in it
            }
        ),
        "beyond_default": round((small - 1) * DEFAULT_CAP / MIB, 2),
    }


def _pauses(details: Any) -> Record:
    runs = details["runs"]
    return {
        "best_of": details["best_of"],
        "number": {title: of[0]["number"] for title, of in runs.items()},
        "longest": {
            title: {
                step: significant(value)
                for step in (*STEPS, MEANWHILE)
                if (value := longest(of, step)) is not None
            }
            for title, of in runs.items()
        },
    }


def _threads(details: Any) -> Record:
    return {"quotient": significant(details["quotient"]), "lost": details["lost"]}


def _flood(details: Any) -> Record:
    return dict(details)


def _soak(details: Any) -> Record:
    kept = ("minutes", "max_size", "recounts", "operations", "expired", "evicted")
    shares = ("used", "held", "resident")
    return {
        **{name: details[name] for name in kept},
        **{name: round(details[name], 3) for name in shares},
        "late": round(details["late"] * 1000, 1),
        "late_idle": round(details["late_idle"] * 1000, 1),
    }


SOURCES: Final[dict[str, Callable[[Any], Record]]] = {
    "requests": _requests,
    "served": _served,
    "frameworks": _frameworks,
    "speed": _speed,
    "memory": _memory,
    "pauses": _pauses,
    "threads": _threads,
    "flood": _flood,
    "soak_memory": _soak,
    "soak_sqlite": _soak,
}
"""The benches that the documentation shows, in the order in which ``--docs`` runs them.

It does not run the soaks, which take two hours each.
"""


def significant(value: float, digits: int = 3) -> float:
    """Round to this number of significant digits."""
    return float(f"{value:.{digits}g}")


def _rounded(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _rounded(inner) for key, inner in value.items()}
    return significant(value)


def collected(before: Record, *, quick: bool) -> tuple[Record, list[str]]:
    """Return the record with the results that the benches have saved since.

    Args:
        before: The record so far. A bench without a result keeps its old values.
        quick: Accept the results of ``--quick`` too.
    """
    record, left = dict(before), []
    for name, condense in SOURCES.items():
        result = verdicts.load(name)
        if result is None:
            left.append(f"{name}: it was not run")
        elif result["quick"] and not quick:
            left.append(f"{name}: its last run was a quick one")
        else:
            record[name] = {key: result[key] for key in ABOUT} | condense(result["details"])
    return record, left


def load(path: Path = PATH) -> Record:
    record: Record = json.loads(path.read_text(encoding="utf-8")) if path.is_file() else {}
    return record


def save(record: Record, path: Path = PATH) -> None:
    path.write_text(json.dumps(record, indent=1) + "\n", encoding="utf-8")


def is_peer(title: str) -> bool:
    """Return whether a contender of the store benches is another library."""
    cls = BY_TITLE[title]
    return cls not in BARE and not issubclass(cls, Lembro)
