"""Tables, JSON and progress, for the commands."""

from __future__ import annotations

import json
import math
import re
import sys
import time
from collections.abc import Iterable, Iterator
from itertools import chain, islice, pairwise
from types import TracebackType
from typing import Any, Final, Self, TypeVar

import msgspec

T = TypeVar("T")

FIRST_ROWS: Final = 100
"""The rows that decide how wide the columns of a long table are."""

_not_plain: Final = re.compile(r"[^\n -~]")
_PAUSE: Final = 0.1  # seconds between two updates of the progress
_UNITS: Final = (("d", 86400), ("h", 3600), ("m", 60), ("s", 1))


def print_json(value: Any, *, indent: int = 0) -> None:
    """Print a value as JSON: on one line, or indented."""
    encoded = msgspec.json.encode(jsonable(value))
    print(_escaped((msgspec.json.format(encoded, indent=indent) if indent else encoded).decode()))


def _escaped(text: str) -> str:
    """Escape characters of JSON that would control a terminal, or that the output cannot encode."""
    try:
        text.encode(sys.stdout.encoding or "utf-8")
        encodes = True
    except UnicodeEncodeError:
        encodes = False

    def escape(found: re.Match[str]) -> str:
        character = found[0]
        return character if encodes and character.isprintable() else json.dumps(character)[1:-1]

    return _not_plain.sub(escape, text)


def jsonable(value: Any) -> Any:
    """Return a value of a session in a form that msgspec encodes as JSON."""
    if isinstance(value, dict):
        return {_key(key): jsonable(item) for key, item in value.items()}
    if isinstance(value, list | tuple | set | frozenset):
        return [jsonable(item) for item in value]
    return str(value) if isinstance(value, str) else value  # markupsafe.Markup is a str


def _key(key: Any) -> Any:
    """Return a key of a dict. JSON has no None and no bool as a key."""
    return msgspec.json.encode(key).decode() if key is None or isinstance(key, bool) else key


def print_table(head: list[str], rows: Iterable[list[str]]) -> int:
    """Print a table while its rows arrive, and return how many there were.

    The first rows decide the width of each column, so that a table of any length needs little
    memory. A longer cell in a later row moves the rest of its row to the right.
    """
    rows = iter(rows)
    first = list(islice(rows, FIRST_ROWS))
    widths = [max(map(len, column)) for column in zip(head, *first, strict=True)]
    number = 0
    for row in chain([head] if first else [], first, rows):
        cells = [cell.ljust(width) for cell, width in zip(row, widths, strict=True)]
        print("  ".join(cells).rstrip())
        number += 1
    return max(0, number - 1)


def print_fields(fields: dict[str, str]) -> None:
    """Print names and values, one pair on each line."""
    width = max(map(len, fields))
    for name, value in fields.items():
        print(f"{name.ljust(width)}  {value}")


def duration(seconds: float) -> str:
    """Return a duration with its two largest units, such as "3d 4h". Infinity is "never"."""
    if math.isinf(seconds):
        return "never"
    left = int(max(0, seconds))
    for (name, size), (smaller, part) in pairwise(_UNITS):
        if left >= size:
            return f"{left // size}{name} {left % size // part}{smaller}"
    return f"{left}s"


class Progress:
    """Counts the work that a command has done, on stderr, if that is a terminal.

    Args:
        done: The name of the counted things, such as "sessions read".
        total: The number at the end, if it is known.
        shown: Whether to show the count.
    """

    def __init__(self, done: str, total: int | None = None, *, shown: bool = True) -> None:
        self._done = done
        self._total = total
        self._shown = shown and sys.stderr.isatty()
        self._next = time.monotonic() + _PAUSE
        self._width = 0
        self.count: int = 0

    def add(self, number: int) -> None:
        """Count some more."""
        self.count += number
        if self._shown and time.monotonic() >= self._next:
            self._next = time.monotonic() + _PAUSE
            of = ""
            if self._total:
                of = f" of {self._total:,} ({min(100, 100 * self.count // self._total)} %)"
            self._print(f"{self.count:,}{of} {self._done}")

    def over(self, items: Iterable[T]) -> Iterator[T]:
        """Yield the items, and count them."""
        for item in items:
            self.add(1)
            yield item

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if self._width:
            self._print("")
            print(end="\r", file=sys.stderr, flush=True)

    def _print(self, text: str) -> None:
        print(f"\r{text.ljust(self._width)}", end="", file=sys.stderr, flush=True)
        self._width = len(text)
