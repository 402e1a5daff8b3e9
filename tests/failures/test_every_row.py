"""Every row of the catalogue has its test, named after it; those of networked stores and snapshots
(49 to 54) come with these."""

from __future__ import annotations

import re
from pathlib import Path

LATER = range(49, 55)


def test_every_row_has_its_file() -> None:
    names = [path.name for path in Path(__file__).parent.glob("test_*.py")]
    rows = [int(match[1]) for name in names if (match := re.match(r"test_(\d\d)_[a-z]", name))]
    early = [row for row in range(1, 58) if row not in LATER]
    assert sorted(set(rows) - set(LATER)) == [*early, *range(70, 75)]
    assert len(rows) == len(set(rows))
