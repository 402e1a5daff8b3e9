"""Tags: values that msgpack does not know, wrapped in an extension with a code.

A subclass of a type is stored as the plain value that it equals, and is refused if the plain value
would lose something. So a StrEnum is stored as a str, and the datetime of pendulum as a datetime.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable
from datetime import date, datetime, time, timedelta, timezone, tzinfo
from decimal import Decimal
from enum import Enum
from typing import TYPE_CHECKING, Any, Final
from uuid import UUID

from msgspec.msgpack import Decoder, Encoder, Ext

from .refusals import SURROGATE, Refused, parts_of_surrogate, refusal

if TYPE_CHECKING:
    from zoneinfo import ZoneInfo

PLAIN: Final = frozenset({str, int, float, bool, type(None), bytes})
"""Immutable types that msgpack encodes without a tag."""
MAX_DEPTH: Final = 100
"""The maximum depth of nested containers, far below Python's recursion limit."""

_TUPLE, _SET, _FROZENSET, _DATETIME, _DATE, _TIME, _TIMEDELTA, _UUID, _DECIMAL, _INT = range(1, 11)
_MARKUP: Final = 11

_encode = Encoder().encode
_AS_IS: Final = PLAIN - {int}


# -- writing ---------------------------------------------------------------------------------------


def tag(value: Any, depth: int) -> Any:
    """Return ``value`` with everything that msgpack does not know wrapped in an Ext.

    Raises:
        Refused: the value, or one in it, cannot be stored.
    """
    kind = type(value)
    if kind in _AS_IS:
        return value
    if kind is int:
        return value if -(2**63) <= value < 2**64 else _tag_big_int(value)
    if depth > MAX_DEPTH:
        raise Refused(
            f"values may be nested at most {MAX_DEPTH} levels deep, and not in themselves"
        )
    if kind is list:
        return _tag_items(value, depth)
    if kind is dict:
        return _tag_dict(value, depth)
    tagger = _TAGGERS.get(kind)
    if tagger is not None:
        return tagger(value, depth)
    if kind.__name__ == "Markup" and kind is _markup():
        return Ext(_MARKUP, _encode_part(str(value), None))
    return _tag_subclass(value, depth)


def _tag_subclass(value: Any, depth: int) -> Any:
    """Return the plain value that a value of a subclass equals, tagged if it needs a tag."""
    if isinstance(value, dict):
        return _tag_dict(_plain_dict(value), depth)
    for base in type(value).__mro__:
        if base in _PLAIN_BY_TYPE:
            plain = _PLAIN_BY_TYPE[base](value)
            if _loses(value, plain):
                break
            return tag(plain, depth)
        if base in _TAGGERS:
            if base is tuple:  # a named tuple would lose its names
                break
            tagged = _TAGGERS[base](value, depth)
            if _loses(value, untag(tagged.code, memoryview(tagged.data))):
                break
            return tagged
    raise Refused(refusal(value), is_value=True)


def _plain_dict(value: dict[Any, Any]) -> dict[Any, Any]:
    """Return the items of a subclass of dict. Refuse it if ``items()`` does not show all of them.

    A multi-value dict shows one value of each key, and holds a list.
    """
    held = dict(dict.items(value))
    shown = dict(value.items())
    if held.keys() != shown.keys() or any(shown[key] is not held[key] for key in held):
        raise Refused(refusal(value), is_value=True)
    return held


def _loses(value: Any, plain: Any) -> bool:
    """Return whether a value of a subclass holds more than the plain value."""
    if hasattr(value, "__html__"):  # templates would escape the plain text
        return True
    if not isinstance(value, Enum | list | set | frozenset) and getattr(value, "__dict__", None):
        return True
    if isinstance(value, datetime):  # other zone objects: the hour that occurs twice is unequal
        plain = plain.replace(tzinfo=value.tzinfo)
    try:
        return not (plain == value or plain != plain)  # noqa: PLR0124 - NaN keeps its value
    except (ArithmeticError, TypeError, ValueError):
        return True


def plain_key(key: Any) -> Any:
    """Return the plain key that a key of a dict equals.

    Raises:
        Refused: a dict in a session cannot have this key.
    """
    if type(key) in _AS_IS or (type(key) is int and -(2**63) <= key < 2**64):
        return key
    for base in (str, int):
        if isinstance(key, base) and type(key) not in PLAIN:
            plain = _PLAIN_BY_TYPE[base](key)
            if not _loses(key, plain):
                return plain_key(plain)
    fix = "key.item()" if type(key).__module__ == "numpy" else "str(key)"
    refused = Refused(
        f"the keys of a dict must be str, int, float, bool, bytes or None, got "
        f"{type(key).__name__}; write {fix}"
    )
    refused.parts.append(f".{repr(key)[:40]}")
    raise refused


def _tag_items(items: Iterable[Any], depth: int) -> list[Any]:
    tagged: list[Any] = []
    try:
        for item in items:
            tagged.append(tag(item, depth + 1))  # noqa: PERF401 - the error needs the index
    except Refused as refused:
        refused.parts.append(f"[{len(tagged)}]")
        raise
    return tagged


def _tag_dict(value: dict[Any, Any], depth: int) -> dict[Any, Any]:
    tagged: dict[Any, Any] = {}
    key: Any = None
    if not all(type(key) is str for key in value):
        value = {plain_key(key): item for key, item in value.items()}
    try:
        for key, item in value.items():
            tagged[key] = tag(item, depth + 1)
    except Refused as refused:
        refused.parts.append(f".{key}")
        raise
    return tagged


def _markup() -> Any:
    """Return the class ``markupsafe.Markup`` if the application has imported it.

    Templates do not escape its text, for example in a flashed message.
    """
    return getattr(sys.modules.get("markupsafe"), "Markup", None)


def _tag_big_int(value: int) -> Ext:
    return Ext(_INT, value.to_bytes(value.bit_length() // 8 + 1, "big", signed=True))


def _tag_tuple(value: tuple[Any, ...], depth: int) -> Ext:
    return Ext(_TUPLE, _encode_part(_tag_items(value, depth), value))


def _tag_set(value: set[Any] | frozenset[Any], depth: int) -> Ext:
    try:
        parts = [_encode_part(tag(item, depth + 1), item) for item in value]
    except Refused as refused:
        refused.parts.append("{}")
        raise
    code = _SET if isinstance(value, set) else _FROZENSET
    # Sorted, so that a set has one encoding, after the header of an array of 32-bit length.
    return Ext(code, b"\xdd" + len(parts).to_bytes(4, "big") + b"".join(sorted(parts)))


def _tag_datetime(value: datetime, depth: int) -> Ext:
    return Ext(_DATETIME, _clock_text(value))


def _tag_time(value: time, depth: int) -> Ext:
    return Ext(_TIME, _clock_text(value))


def _clock_text(value: datetime | time) -> bytes:
    """Encode the fold, the ISO form, and the name of a zone.

    With only the offset it would be another value: Python compares the two as unequal in the hour
    that occurs twice when the clocks change.
    """
    zone = value.tzinfo
    # A subclass has an isoformat() of its own, such as pandas with nanoseconds.
    iso: Any = datetime.isoformat if isinstance(value, datetime) else time.isoformat
    if zone is None or type(zone) is timezone:
        return b"%d%s" % (value.fold, iso(value).encode())
    from zoneinfo import ZoneInfo  # noqa: PLC0415 - few values have a zone

    if not isinstance(zone, ZoneInfo) and _is_fixed(zone):
        return b"%d%s" % (value.fold, iso(value).encode())
    if not isinstance(zone, ZoneInfo) or zone.key is None:
        raise Refused(
            f"a {type(value).__name__} whose zone is a "
            f"{type(zone).__module__}.{type(zone).__name__}; give it a datetime.timezone or a "
            f"ZoneInfo, for example value.astimezone(datetime.UTC)",
            is_value=True,
        )
    local = iso(value.replace(tzinfo=None))
    return b"%d%s[%s]" % (value.fold, local.encode(), zone.key.encode())


def _is_fixed(zone: tzinfo) -> bool:
    """Return whether a zone has one offset, such as those of pytz, dateutil and pendulum for UTC.

    It is stored as a ``datetime.timezone``, which is equal.
    """
    try:
        return zone.utcoffset(None) is not None and not zone.dst(None)
    except (AttributeError, TypeError, ValueError, NotImplementedError):
        return False


def _encode_part(tagged: Any, value: Any) -> bytes:
    try:
        return _encode(tagged)
    except UnicodeEncodeError:
        refused = Refused(SURROGATE)
        refused.parts += parts_of_surrogate(value) or ()
        raise refused from None


_TAGGERS: Final[dict[type, Callable[[Any, int], Ext]]] = {
    tuple: _tag_tuple,
    set: _tag_set,
    frozenset: _tag_set,
    datetime: _tag_datetime,
    date: lambda value, depth: Ext(_DATE, date.isoformat(value).encode()),
    time: _tag_time,
    timedelta: lambda value, depth: Ext(
        _TIMEDELTA, _encode([value.days, value.seconds, value.microseconds])
    ),
    UUID: lambda value, depth: Ext(_UUID, value.bytes),
    Decimal: lambda value, depth: Ext(_DECIMAL, Decimal.__str__(value).encode()),
}

_PLAIN_BY_TYPE: Final[dict[type, Callable[[Any], Any]]] = {
    str: str.__str__,
    int: int.__int__,
    float: float.__float__,
    bytes: bytes.__bytes__,
    list: lambda value: [*list.__iter__(value)],
}
"""The plain value of a subclass, for types that msgpack knows."""


# -- reading ---------------------------------------------------------------------------------------


def untag(code: int, data: memoryview) -> Any:
    """Return the value of an extension.

    Raises:
        ValueError: there is no such extension, or its data are invalid.
    """
    reader = _UNTAGGERS.get(code)
    if reader is None:
        raise ValueError(f"unknown extension {code}")
    return reader(bytes(data))


def _untag_datetime(data: bytes) -> datetime:
    text, zone = _clock_parts(data)
    value = datetime.fromisoformat(text).replace(fold=int(data[:1]))
    return value if zone is None else value.replace(tzinfo=zone)


def _untag_time(data: bytes) -> time:
    text, zone = _clock_parts(data)
    value = time.fromisoformat(text).replace(fold=int(data[:1]))
    return value if zone is None else value.replace(tzinfo=zone)


def _clock_parts(data: bytes) -> tuple[str, ZoneInfo | None]:
    text, bracket, key = data[1:].decode().partition("[")
    if not bracket:
        return text, None
    from zoneinfo import ZoneInfo  # noqa: PLC0415

    try:
        return text, ZoneInfo(key.removesuffix("]"))
    except (LookupError, OSError) as error:  # no such zone (any more)
        raise ValueError(str(error)) from None


def _untag_markup(data: bytes) -> str:
    """Decode Markup; as plain text without MarkupSafe, since templates then escape everything."""
    markup: Callable[[str], str] = _markup() or str
    return markup(_decode_text(data))


_decode_items = Decoder(list[Any], ext_hook=untag).decode
_decode_text = Decoder(str).decode
_decode_ints = Decoder(tuple[int, int, int]).decode

_UNTAGGERS: Final[dict[int, Callable[[bytes], Any]]] = {
    _TUPLE: lambda data: tuple(_decode_items(data)),
    _SET: lambda data: set(_decode_items(data)),
    _FROZENSET: lambda data: frozenset(_decode_items(data)),
    _DATETIME: _untag_datetime,
    _DATE: lambda data: date.fromisoformat(data.decode()),
    _TIME: _untag_time,
    _TIMEDELTA: lambda data: timedelta(*_decode_ints(data)),
    _UUID: lambda data: UUID(bytes=data),
    _DECIMAL: lambda data: Decimal(data.decode()),
    _INT: lambda data: int.from_bytes(data, "big", signed=True),
    _MARKUP: _untag_markup,
}
