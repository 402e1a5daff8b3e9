"""Every row of the catalogue has its test, named after it.

Rows 49 to 54 are about stores outside of the process and snapshots, and 58 to 69 about features
that do not exist yet.
"""

from __future__ import annotations

import re
from pathlib import Path

ROWS = {*range(1, 49), *range(55, 58), *range(70, 84)}


def test_every_row_has_its_file() -> None:
    names = [path.name for path in Path(__file__).parent.glob("test_*.py")]
    rows = [int(match[1]) for name in names if (match := re.match(r"test_(\d\d)_[a-z]", name))]
    assert sorted(rows) == sorted(ROWS)
