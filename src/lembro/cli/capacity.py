"""``lembro size``: measure how many sessions fit into a MemoryStore, by filling one."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, Final, TypeAlias

import msgspec

from .. import size
from .._core import codec
from ..errors import CodecError, SessionTooLarge
from ..events import Event
from ..ids import key_for
from ..stores.base import Record
from ..stores.memory import MemoryStore
from ..stores.memory.settings import SMALLEST
from . import arguments as types
from .arguments import Parser, add_json
from .completion import FILES
from .exits import WrongError
from .output import print_json

SIZES: Final = tuple(map(size.parse, ("4M", "16M", "64M", "256M", "1G")))
FILLED: Final = SIZES[0]
USER: Final = "user-1234"
SHARE: Final = 16  # one session may take max_size / 16, by default
MOST_AROUND: Final = 1024  # bytes; the most that the store adds to a payload
TOO_LARGE: Final = "too large"
YEAR: Final = 365 * 86400.0


class SampleError(ValueError):
    """The sample is not a session."""


@dataclass(frozen=True)
class Fit:
    """The content of a full store."""

    sessions: int
    used: int
    """Bytes that the sessions take."""
    max_size: int

    @property
    def each(self) -> int:
        """Bytes that a session takes, including its share of the tables."""
        return round(self.used / self.sessions)

    def in_store_of(self, max_size: int) -> int:
        """Return how many sessions a store of another size holds."""
        return self.sessions * max_size // self.max_size


Pair: TypeAlias = list[int | None]
"""A number for anonymous sessions, and one for those of users. None: it is too large."""


@dataclass(frozen=True)
class Sizes:
    """What was measured. Sizes are in bytes."""

    encoded: int
    stored: Pair
    fit: list[tuple[int, Pair]]
    """How many sessions fit, for each ``max_size``."""
    need: list[tuple[int, Pair]]
    """The ``max_size`` that they need, for each number of sessions."""

    def as_dict(self) -> dict[str, Any]:
        """Return it for ``--json``."""

        def named(pair: Pair) -> dict[str, int | None]:
            return dict(zip(("anonymous", "logged_in"), pair, strict=True))

        return {
            "encoded": self.encoded,
            "stored": named(self.stored),
            "fit": [{"max_size": size, "sessions": named(fit)} for size, fit in self.fit],
            "need": [{"sessions": count, "max_size": named(sizes)} for count, sizes in self.need],
        }


def add(commands: Any) -> None:
    """Add ``lembro size``."""
    parser: Parser = commands.add_parser(
        "size", help="measure how many sessions fit into a store", description=_size.__doc__
    )
    file = parser.add_argument(
        "file", nargs="?", default="-", help="a sample of a session, as JSON; - for standard input"
    )
    file.complete = FILES  # type: ignore[attr-defined]  # shtab reads it
    parser.add_argument(
        "--max-size",
        type=types.max_size,
        action="append",
        metavar="SIZE",
        help="size of the store, such as 64M; may be repeated (default: 4M to 1G)",
    )
    parser.add_argument(
        "--sessions",
        type=types.count,
        action="append",
        metavar="N",
        help="show the max_size that N sessions need; may be repeated",
    )
    parser.add_argument(
        "--user", type=types.user, default=USER, help="a user ID of typical length (%(default)s)"
    )
    add_json(parser)
    parser.set_defaults(run=_size)


def _size(arguments: argparse.Namespace) -> int:
    """Measure how large a session is, and how many fit into a MemoryStore."""
    name = "standard input" if arguments.file == "-" else arguments.file
    try:
        if arguments.file == "-":
            text = sys.stdin.buffer.read()
        else:
            with open(arguments.file, "rb") as file:
                text = file.read()
    except OSError as error:
        raise WrongError(f"can't read {name} ({(error.strerror or str(error)).lower()})") from None
    counts: list[int] = arguments.sessions or []
    sizes = arguments.max_size or (() if counts else SIZES)
    try:
        found = measure(read(text), sizes, arguments.user, counts)
    except SampleError as error:
        raise WrongError(f"{name}: {error}") from None
    if arguments.json:
        print_json(found.as_dict())
    else:
        print("\n".join(_lines(found)))
    return 0


def read(text: bytes) -> dict[str, Any]:
    """Parse the JSON of a session. Raise SampleError if it is not one."""
    if not text.strip():
        raise SampleError('the sample is empty; give a session as JSON, such as {"cart": []}')
    try:
        data = msgspec.json.decode(text)
    except (msgspec.DecodeError, UnicodeError) as error:
        raise SampleError(f"the sample must be JSON ({error})") from None
    except RecursionError:
        raise SampleError("the sample is nested too deeply for a session") from None
    if not isinstance(data, dict):
        raise SampleError(
            f'the sample must be a JSON object, such as {{"cart": []}}, got {_kind(data)}'
        )
    if not data:
        raise SampleError("an empty session is not stored; give the keys that yours will have")
    return data


def fill(payload: bytes, max_size: int, user: str | None = None) -> Fit | None:
    """Fill a store with copies of a session, then replace all of them once.

    Args:
        payload: The encoded session.
        max_size: The size of the store, in bytes.
        user: A user ID; each session has another one of this length. None: anonymous sessions.

    Returns:
        None if the session is too large for the store.
    """
    store = MemoryStore(max_size, clock=lambda: 0.0)
    store.close()  # nothing expires, so there is nothing to purge
    evicted: list[Event] = []
    store.once("evicted", evicted.append)
    width = None if user is None else len(user.encode())
    number = 0

    def add() -> None:
        nonlocal number
        name = None if width is None else f"{number:0{width}}"[-width:]
        record = Record(payload, name, None, store.new_reputation())
        store.add(key_for(str(number)), record, idle=YEAR, life=YEAR)
        number += 1

    try:
        while not evicted:
            add()
    except SessionTooLarge:
        return None
    for _ in range(number):  # while it evicts, it holds a few sessions fewer
        add()
    stats = store.stats()
    return Fit(stats.sessions, stats.used, max_size)


def size_for(count: int, payload: bytes, fit: Fit, user: str | None = None) -> str:
    """Return the ``max_size`` of a store for ``count`` sessions, rounded up to two digits.

    ``fit`` is the result for a store in which they are not too large.
    """
    needed = count * fit.max_size // fit.sessions
    needed = max(SMALLEST, needed + needed // 32)  # a margin of 3 %
    while needed < fit.max_size:  # in a small store the tables take a larger part
        found = fill(payload, needed, user)
        if found is not None and found.sessions >= count:
            break
        needed += needed // 16
    return _rounded_up(needed)


def report(
    data: dict[str, Any],
    sizes: Sequence[int] = SIZES,
    user: str = USER,
    counts: Sequence[int] = (),
) -> Iterator[str]:
    """Yield the lines of the report.

    Args:
        data: The sample session.
        sizes: Sizes of stores, in bytes, to report how many sessions fit.
        user: A user ID of typical length.
        counts: Numbers of sessions, to report the size of store that they need.

    Raises:
        SampleError: a value cannot be stored in a session.
    """
    yield from _lines(measure(data, sizes, user, counts))


def measure(
    data: dict[str, Any],
    sizes: Sequence[int] = SIZES,
    user: str = USER,
    counts: Sequence[int] = (),
) -> Sizes:
    """Measure a session, with the arguments of :func:`report`.

    Raises:
        SampleError: a value cannot be stored in a session.
    """
    try:
        payload = codec.encode({}, data)
    except CodecError as error:
        raise SampleError(str(error)) from None
    filled: dict[int, list[Fit | None]] = {}
    # A larger store holds proportionally more, but takes long to fill.
    enough = max(FILLED, SHARE * (len(payload) + MOST_AROUND))

    def fits_in(max_size: int) -> list[Fit | None]:
        fill_size = min(max_size, enough)
        if fill_size not in filled:
            filled[fill_size] = [fill(payload, fill_size, name) for name in (None, user)]
        return filled[fill_size]

    fitting = [(each, _each(fits_in(each), partial(_rounded_fit, max_size=each))) for each in sizes]
    need = [
        (
            count,
            [
                None if fit is None else size.parse(size_for(count, payload, fit, name))
                for fit, name in zip(fits_in(enough), (None, user), strict=True)
            ],
        )
        for count in counts
    ]
    stored = _each(filled[max(filled)], lambda fit: fit.each)
    return Sizes(len(payload), stored, fitting, need)


def _lines(found: Sizes) -> Iterator[str]:
    """Yield a table, and a note if a session is large."""

    def cells(numbers: Pair, text: Callable[[int], str]) -> list[str]:
        return [TOO_LARGE if number is None else text(number) for number in numbers]

    rows = [
        ["", "anonymous", "logged in"],
        ["encoded", *[f"{found.encoded:,} bytes"] * 2],
        ["stored", *cells(found.stored, "{:,} bytes".format)],
        *(
            [f"fit into {size.pretty(max_size)}", *cells(numbers, "{:,}".format)]
            for max_size, numbers in found.fit
        ),
        *([f"{count:,} need", *cells(sizes, size.pretty)] for count, sizes in found.need),
    ]
    yield from _table(*rows)
    fewest = min((count for count, _ in found.need), default=SHARE)
    large = SHARE * found.encoded > SMALLEST and fewest < SHARE
    if large or any(TOO_LARGE in row for row in rows):
        yield (
            "\nOne session may take a sixteenth of max_size, at most 1 MiB, unless "
            "max_session_size is given."
        )


def _each(fits: list[Fit | None], number: Callable[[Fit], int]) -> Pair:
    return [None if fit is None else number(fit) for fit in fits]


def _rounded_fit(fit: Fit, max_size: int) -> int:
    """Round down to two digits, because the result varies by a few percent."""
    count = fit.in_store_of(max_size)
    step: int = 10 ** max(0, len(str(count)) - 2)
    return count // step * step


def _rounded_up(number: int) -> str:
    """Round a size up to two digits."""
    unit = 1024 ** (((number * 1024 // 1000).bit_length() - 1) // 10)
    tenths = -(-10 * number // unit)
    step = 10 ** max(0, len(str(tenths)) - 2)
    return size.pretty(-(-tenths // step) * step * unit // 10)


def _table(*rows: list[str]) -> Iterator[str]:
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    for first, *others in rows:
        cells = [cell.rjust(width) for cell, width in zip(others, widths[1:], strict=True)]
        yield "   ".join([first.ljust(widths[0]), *cells])


def _kind(value: object) -> str:
    names = {list: "a list", str: "a string", bool: "a boolean", type(None): "null"}
    return names.get(type(value), "a number")
