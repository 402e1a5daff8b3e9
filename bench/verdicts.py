"""A measurement and its target: the output, and the JSON in ``.artifacts/bench/``."""

from __future__ import annotations

import json
import os
import platform
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final

from bench.report import table

ROOT: Final = Path(__file__).resolve().parents[1]
ARTIFACTS: Final = ROOT / ".artifacts" / "bench"


@dataclass(frozen=True)
class Verdict:
    """The bar is the target that has to hold; the aim is a more ambitious one."""

    measure: str
    bar: float
    aim: float
    got: float
    unit: str = ""
    at_least: bool = False  # the bar is a minimum, not a maximum
    peer: str = ""  # the best of the others, as text

    @property
    def met(self) -> bool:
        return self._holds(self.bar)

    @property
    def aim_met(self) -> bool:
        return self._holds(self.aim)

    def _holds(self, limit: float) -> bool:
        return self.got >= limit if self.at_least else self.got <= limit

    def row(self) -> list[str]:
        sign = ">=" if self.at_least else "<="
        word = "met" if self.met else "MISSED"
        return [
            self.measure,
            f"{sign} {number(self.bar)}{self.unit}",
            f"{number(self.aim)}{self.unit}",
            f"{number(self.got)}{self.unit}",
            f"{word}, and the aim" if self.aim_met else word,
            self.peer,
        ]


LEAST: Final = 0.1  # microseconds; a difference that is smaller cannot be measured


def ahead(
    subject: str, added: Mapping[str, Mapping[str, float]], aims: Mapping[str, float] | None = None
) -> list[Verdict]:
    """Compare lembro with the best other library: it should add less to each kind of request.

    Args:
        subject: What the libraries are for, such as the name of a framework.
        added: For each library and action, the microseconds that it adds to a request.
        aims: For each action, the part of the other's time that lembro aims at.
    """
    others = [library for library in added if not library.startswith("lembro")]
    found = []
    for library, times in added.items():
        if library in others or not others:
            continue
        for action, time_of_ours in times.items():
            best = min(others, key=lambda other: added[other][action])
            part = max(time_of_ours, LEAST) / max(added[best][action], LEAST)
            aim = (aims or {}).get(action, 1.0)
            found.append(Verdict(f"{subject}, {library}: {action}", 1.0, aim, part, peer=best))
    return found


def number(value: float) -> str:
    if value >= 1000:
        return f"{value:,.0f}"
    return f"{value:.0f}" if value >= 100 or value == int(value) else f"{value:.2f}"


def verdict_table(verdicts: Sequence[Verdict]) -> str:
    heads = ["measure", "bar", "aim", "got", "", "best peer"]
    text = table(heads, [verdict.row() for verdict in verdicts])
    held = sum(verdict.met for verdict in verdicts)
    aims = sum(verdict.aim_met for verdict in verdicts)
    return f"{text}\n\n  {held} of {len(verdicts)} targets are met, and {aims} aims"


def save(subject: str, quick: bool, verdicts: Sequence[Verdict], details: Any) -> Path:
    """Write the results of a bench. ``details`` are the data of its figures."""
    path = ARTIFACTS / f"{subject}.json"
    path.parent.mkdir(parents=True, exist_ok=True)
    result = {
        "subject": subject,
        "quick": quick,
        "when": time.strftime("%Y-%m-%d %H:%M"),
        "python": f"{platform.python_implementation()} {platform.python_version()}",
        "machine": f"{platform.system()} {platform.machine()}, {os.cpu_count()} cores",
        "verdicts": [{**asdict(v), "met": v.met, "aim_met": v.aim_met} for v in verdicts],
        "details": details,
    }
    path.write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")
    return path


def load(subject: str) -> Any:
    """Return the saved results of a bench, or None."""
    path = ARTIFACTS / f"{subject}.json"
    return json.loads(path.read_text(encoding="utf-8")) if path.is_file() else None
