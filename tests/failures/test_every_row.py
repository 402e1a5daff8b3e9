"""Every row of the failure catalogue has a test file named after it.

Row 52 is about files, and some of 58 to 69 are about planned features. Stores in a file have a
folder of their own.
"""

from __future__ import annotations

import re
from pathlib import Path

ROWS = {*range(1, 52), *range(53, 58), 62, 63, 64, 66, 67, *range(70, 93)}
HERE = Path(__file__).parent


def rows_of(folder: Path) -> list[int]:
    names = sorted(path.name for path in folder.glob("test_*.py"))
    return [int(match[1]) for name in names if (match := re.match(r"test_(\d\d)_[a-z]", name))]


def test_every_row_has_its_file() -> None:
    assert rows_of(HERE) == sorted(ROWS)


def test_every_row_about_files_has_its_file() -> None:
    assert rows_of(HERE / "sqlite") == [49, 50, 52, 54]  # 51 and 52 are one file
