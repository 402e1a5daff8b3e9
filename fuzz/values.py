"""Values for a session, built from a fuzzer's bytes: values that it can store, and values that it
must refuse.
"""

from __future__ import annotations

import math
import struct
from collections import OrderedDict, namedtuple
from collections.abc import Callable, Hashable
from datetime import date, datetime, time, timedelta, timezone, tzinfo
from decimal import Decimal
from enum import Enum
from typing import Any
from uuid import UUID
from zoneinfo import ZoneInfo

from .source import Source

DEPTH = 6
"""The limit of nested containers. Refusing deep ones needs no fuzzer."""

Point = namedtuple("Point", "x y")


class Colour(Enum):
    RED = "red"


class Text(str):
    """A str subclass such as SafeString, which templates do not escape."""

    __slots__ = ()

    def __html__(self) -> str:
        return self


def _within_itself() -> list[Any]:
    loop: list[Any] = []
    loop.append(loop)
    return loop


REFUSED: tuple[Callable[[], Any], ...] = (
    lambda: bytearray(b"x"),
    lambda: memoryview(b"x"),
    lambda: 1j,
    object,
    lambda: Colour.RED,
    lambda: Text("x"),
    lambda: Point(1, 2),
    lambda: range(3),
    lambda: {(1, 2): "a key that is a tuple"},
    lambda: {2**70: "a key beyond 64 bits"},
    lambda: "\ud800",
    lambda: ["\udfff"],
    lambda: {"\ud800": 1},
    lambda: {"\ud800"},
    _within_itself,
    lambda: Exception("x"),
    lambda: int,
)

_INTS = (0, 1, -1, 127, 128, 2**31, 2**32, 2**53, 2**63 - 1, 2**63, -(2**63), -(2**63) - 1)
_MORE_INTS = (2**64 - 1, 2**64, -(2**64), 2**71, 2**72 - 1, -(2**71), -(2**200))
_FLOATS = (0.0, -0.0, 1.0, 1e308, 5e-324, math.inf, -math.inf, math.nan, 0.1)
_DECIMALS = ("0", "-0", "1.0", "1.00", "1E+5", "-Infinity", "NaN", "sNaN", "NaN123", "1E-999999")
_ZONES = ("UTC", "Europe/Berlin", "America/New_York", "Asia/Kathmandu")


class Builder:
    """Build values. ``refused`` tells whether any of them must be refused."""

    def __init__(self, source: Source) -> None:
        self.source = source
        self.refused = False

    def data(self) -> dict[str, Any]:
        """Build what a handler puts into a session."""
        return self._fill({}, self._text, 0)

    def value(self, depth: int) -> Any:
        if depth < DEPTH and self.source.left:
            match self.source.byte() % 8:
                case 0:
                    return [self.value(depth + 1) for _ in self._few()]
                case 1:
                    return tuple(self.value(depth + 1) for _ in self._few())
                case 2:
                    return self._fill({}, self._key, depth)
                case 3:
                    return self._fill(OrderedDict(), self._key, depth)
                case 4:
                    return self._set(depth)
                case 5 if self.source.byte() < 16:
                    self.refused = True
                    return self.source.pick(REFUSED)()
        return self._leaf()

    def _fill(self, items: dict[Any, Any], key_of: Callable[[], Any], depth: int) -> dict[Any, Any]:
        for _ in self._few():
            key = key_of()
            if key not in items:  # so that no refused value is overwritten
                items[key] = self.value(depth + 1)
        return items

    def _few(self) -> range:
        return range(self.source.number(0, 3))

    def _set(self, depth: int) -> set[Any] | frozenset[Any]:
        items = {self._hashable(depth + 1) for _ in self._few()}
        return items if self.source.byte() % 2 else frozenset(items)

    def _hashable(self, depth: int) -> Hashable:
        if depth < DEPTH and self.source.left:
            match self.source.byte() % 6:
                case 0:
                    return tuple(self._hashable(depth + 1) for _ in self._few())
                case 1:
                    return frozenset(self._hashable(depth + 1) for _ in self._few())
        leaf = self._leaf()
        # A signalling NaN cannot be hashed.
        return "sNaN" if isinstance(leaf, Decimal) and leaf.is_snan() else leaf

    def _key(self) -> Any:
        kinds: tuple[Callable[[], Any], ...] = (self._text, self._small, self._float, self._scalar)
        return self.source.pick(kinds)()

    def _leaf(self) -> Any:
        kinds: tuple[Callable[[], Any], ...] = (
            self._text,
            self._int,
            self._float,
            self._scalar,
            self._datetime,
            self._date,
            self._time,
            self._timedelta,
            self._uuid,
            self._decimal,
        )
        return self.source.pick(kinds)()

    def _text(self) -> str:
        return self.source.chunk().decode("utf-8", "replace")

    def _small(self) -> int:
        return self.source.number(-(2**63), 2**64 - 1)

    def _int(self) -> int:
        if self.source.byte() % 2:
            return self.source.pick(_INTS + _MORE_INTS)
        return int.from_bytes(self.source.chunk(), "big", signed=True)

    def _float(self) -> float:
        if self.source.byte() % 2:
            return self.source.pick(_FLOATS)
        number: float = struct.unpack(">d", self.source.take(8))[0]
        return number

    def _scalar(self) -> Any:
        return self.source.pick((None, True, False, b"", b"\x00\xff", self.source.chunk()))

    def _date(self) -> date:
        return date.fromordinal(self.source.number(1, date.max.toordinal()))

    def _datetime(self) -> datetime:
        zone = self._zone()
        return datetime.combine(self._date(), self._time_without_zone(), zone)

    def _time(self) -> time:
        return self._time_without_zone().replace(tzinfo=self._zone())

    def _time_without_zone(self) -> time:
        number = self.source.number
        micros = self.source.pick((0, 1, 1000, 999_999, number(0, 999_999)))
        return time(number(0, 23), number(0, 59), number(0, 59), micros, fold=number(0, 1))

    def _zone(self) -> tzinfo | None:
        match self.source.byte() % 4:
            case 0:
                return None
            case 1:
                return timezone.utc  # noqa: UP017 - beside the other timezones
            case 2:
                day = timedelta(days=1)
                seconds = timedelta(seconds=self.source.number(-86_399, 86_399))
                micros = timedelta(microseconds=self.source.pick((0, 0, 1, 999_999)))
                offset = seconds + micros
                return timezone(offset) if -day < offset < day else None
            case _:
                return ZoneInfo(self.source.pick(_ZONES))

    def _timedelta(self) -> timedelta:
        number = self.source.number
        days = self.source.pick((0, 1, -1, 999_999_999, -999_999_999, number(-1000, 1000)))
        return timedelta(days, number(0, 86_399), number(0, 999_999))

    def _uuid(self) -> UUID:
        return UUID(bytes=self.source.take(16))

    def _decimal(self) -> Decimal:
        if self.source.byte() % 2:
            return Decimal(self.source.pick(_DECIMALS))
        digits = tuple(byte % 10 for byte in self.source.chunk())
        return Decimal((self.source.number(0, 1), digits, self.source.number(-400, 400)))


def same(one: Any, other: Any) -> bool:
    """Compare values and types at every level.

    A subclass of dict equals the dict with the same items. NaN equals NaN, and 0.0 does not equal
    -0.0.
    """
    if isinstance(one, dict) and isinstance(other, dict):
        pairs = zip(one.items(), other.items(), strict=False)
        return len(one) == len(other) and all(
            same(key, key2) and same(value, value2) for (key, value), (key2, value2) in pairs
        )
    if type(one) is not type(other):
        return False
    if isinstance(one, float):
        both_nan = math.isnan(one) and math.isnan(other)
        return both_nan or struct.pack(">d", one) == struct.pack(">d", other)
    if isinstance(one, Decimal):
        return bool(one.as_tuple() == other.as_tuple())
    if isinstance(one, list | tuple):
        return len(one) == len(other) and all(map(same, one, other))
    if isinstance(one, set | frozenset):
        return len(one) == len(other) and all(
            any(same(item, item2) for item2 in other) for item in one
        )
    if isinstance(one, datetime | time):
        return (
            one.replace(tzinfo=None) == other.replace(tzinfo=None)
            and one.fold == other.fold
            and one.utcoffset() == other.utcoffset()
            and (one.tzinfo is None) == (other.tzinfo is None)
            and getattr(one.tzinfo, "key", None) == getattr(other.tzinfo, "key", None)
        )
    return bool(one == other)
