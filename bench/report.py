"""The output of the benches: progress while they run, a table at the end."""

from __future__ import annotations

import sys
import time
from collections.abc import Sequence


class Progress:
    """One line that is rewritten on a terminal. Elsewhere, a line every ten seconds."""

    def __init__(self) -> None:
        self._live = sys.stderr.isatty()
        self._last = time.monotonic()
        self._width = 0

    def say(self, text: str) -> None:
        now = time.monotonic()
        if self._live:
            if now - self._last > 0.1:
                self._last = now
                print(f"\r  {text:<{self._width}}", end="", file=sys.stderr, flush=True)
                self._width = max(self._width, len(text))
        elif now - self._last > 10:
            self._last = now
            print(f"  ... {text}", file=sys.stderr, flush=True)

    def done(self) -> None:
        if self._live:
            print(f"\r  {'':<{self._width}}\r", end="", file=sys.stderr, flush=True)


def table(heads: Sequence[str], rows: Sequence[Sequence[str] | None]) -> str:
    """Format aligned columns: the first to the left, the others to the right. None is a rule."""
    lines = [heads, *(row for row in rows if row is not None)]
    widths = [max(len(line[i]) for line in lines) for i in range(len(heads))]
    rule = "  " + "-" * (sum(widths) + 2 * len(widths) - 2)
    printed = [rule if row is None else _line(row, widths) for row in (heads, None, *rows)]
    return "\n".join(printed)


def _line(cells: Sequence[str], widths: Sequence[int]) -> str:
    first, *others = (f"{cell:<{width}}" for cell, width in zip(cells, widths, strict=True))
    aligned = [f"{cell.strip():>{len(cell)}}" for cell in others]
    return "  " + "  ".join([first, *aligned])
