"""Every row of the failure catalogue has a test file named after it.

Rows 49 to 54 are about external stores and snapshots, rows 58 to 69 about planned features.
"""

from __future__ import annotations

import re
from pathlib import Path

ROWS = {*range(1, 49), *range(55, 58), *range(70, 84)}


def test_every_row_has_its_file() -> None:
    names = [path.name for path in Path(__file__).parent.glob("test_*.py")]
    rows = [int(match[1]) for name in names if (match := re.match(r"test_(\d\d)_[a-z]", name))]
    assert sorted(rows) == sorted(ROWS)
