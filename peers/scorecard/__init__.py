"""Trials of what ``docs/security.md`` claims of other libraries and marks "ran".

    python -m peers.scorecard [library ...]

Each library serves the same small application over https. ``/write`` stores a value and responds
with it, ``/read`` responds with it. ``/rotate`` issues a new token as the library's documentation
recommends for a login, and ``/end`` ends the session as it recommends for a logout. The same trials
are made with each library. The outcome of a trial is a text for each requirement, with which the
cell on the page must begin. Time is real: a lifetime is two seconds.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Final

ROOT: Final = Path(__file__).resolve().parents[2]
PAGE: Final = ROOT / "docs" / "security.md"

EVERYWHERE: Final = ("7.3.1", "7.4.1", "3.3.1", "3.3.2", "3.3.3", "3.3.4", "3.3.5")
SERVER_SIDE: Final = ("7.2.1", "7.2.2", "7.2.4", "7.3.2")
TRIED: Final[dict[str, tuple[str, ...]]] = {
    "express-session": (*SERVER_SIDE, *EVERYWHERE),
    "Flask-Session": (*SERVER_SIDE, *EVERYWHERE),
    "starsessions": (*SERVER_SIDE, *EVERYWHERE),
    "Django": (*SERVER_SIDE, *EVERYWHERE, "7.4.2", "7.4.3"),
}
"""The requirements of the ASVS that are tried with each library."""


def cells() -> dict[tuple[str, str], str]:
    """Return the cells of the page about other libraries, by library and requirement."""
    text = PAGE.read_text(encoding="utf-8")
    [table] = re.findall(r"<!-- scorecard: others -->(.*?)<!-- /scorecard -->", text, re.DOTALL)
    lines = [line for line in table.splitlines() if line.startswith("|")]
    rows = [[cell.strip() for cell in line.strip("|").split("|")] for line in lines]
    heads = rows[0]
    return {
        (library, row[0]): cell
        for row in rows[2:]
        for library, cell in zip(heads[2:], row[2:], strict=True)
    }


def ran(cell: str) -> bool:
    return cell.endswith(" · ran")


def problems_of(library: str, outcomes: dict[str, str]) -> list[str]:
    """Return the claims of the page about a library that its trials do not show."""
    page = cells()
    return [
        f"{library}, {number}: the page has {page[library, number]!r}, and the trial {outcome!r}"
        for number, outcome in outcomes.items()
        if not re.match(rf"{re.escape(outcome)}(?!\w)", page[library, number])
    ]
