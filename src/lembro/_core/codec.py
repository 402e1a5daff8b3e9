"""Encode a session's data to bytes and decode them to equal values of the same types.

The payload is a version byte, a msgpack array of two maps (lembro's own and the application's), and
a mark of six bytes. The two maps keep lembro's keys apart from the application's.

Types that msgpack does not know (tuples, sets, dates, UUIDs, ...) are tagged with an extension
code. Without a tag, msgspec would silently turn them into lists and strings. A record holds plain
values, never a pickle.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable
from datetime import date, datetime, time, timedelta, timezone
from decimal import Decimal
from typing import TYPE_CHECKING, Any, Final
from uuid import UUID

from msgspec.msgpack import Decoder, Encoder, Ext

from ..errors import CodecError
from .refusals import SURROGATE, Refused, parts_of_surrogate, refusal

if TYPE_CHECKING:
    from zoneinfo import ZoneInfo

Data = dict[str, Any]
Meta = dict[str, bool | bytes]

VERSION: Final = b"\x01"
"""The first byte of a payload without tagged values."""
TAGGED: Final = b"\x81"
"""The first byte of a payload that may hold tagged values."""
PLAIN: Final = frozenset({str, int, float, bool, type(None), bytes})
"""Immutable types that msgpack encodes without a tag."""
FIXED: Final = frozenset({int, float, bool, type(None)})
"""Types of values that take few bytes, and can always be stored."""
MARK: Final = 6
"""Bytes at the end of a payload that make each write unique."""
_NO_MARK: Final = bytes(MARK)
MAX_DEPTH: Final = 100
"""The most levels of nested containers, far below Python's recursion limit."""


def encode(meta: Meta, data: Data, *, plain: bool = False, owner: str = "session") -> bytes:
    """Encode the payload of a session.

    Args:
        meta: lembro's own map.
        data: The application's data.
        plain: Whether the caller knows that nothing needs a tag. Checking this takes longer than
            the encoding itself, and tagging takes twice as long again.
        owner: "session" or "cache", for errors.

    Raises:
        CodecError: a value cannot be stored; ``path`` says where it is.
    """
    if plain or _is_plain(data, 1):
        try:  # contextlib.suppress takes as long as the encoding
            return VERSION + _encode((meta, data)) + _NO_MARK
        except (UnicodeEncodeError, OverflowError):  # find the text, or tag the integer, below
            pass
    tagged = {}
    for key, value in data.items():
        _check_top_key(key)
        tagged[key] = _tagged(value, key, owner)
    try:
        version = VERSION if _is_plain(tagged, 1) else TAGGED
        return version + _encode((meta, tagged)) + _NO_MARK
    except UnicodeEncodeError:
        raise _surrogate(data, "") from None


def with_mark(payload: bytes, mark: bytes) -> bytes:
    """Return the payload with this mark, which makes each write of the same data unique."""
    return payload[:-MARK] + mark


def same_data(payload: bytes, other: bytes) -> bool:
    """Return whether two payloads are equal, apart from their marks."""
    return payload[:-MARK] == other[:-MARK]


def changed(payload: bytes, meta: Meta, data: Data) -> bytes | None:
    """Encode data in which no key was assigned. Return None if they equal those of ``payload``.

    Tries the plain encoding first: it is several times faster, and enough without tagged values.

    Raises:
        CodecError: a value cannot be stored.
    """
    try:
        plain = _encode((meta, data))
    except (TypeError, ValueError, OverflowError, RecursionError):
        plain = b""
    if len(plain) == len(payload) - 1 - MARK and payload.startswith(plain, 1):
        return None
    encoded = encode(meta, data)
    return None if same_data(encoded, payload) else encoded


def decode(payload: bytes) -> tuple[Meta, Data]:
    """Decode a payload.

    A forged payload may hold values that :func:`encode` refuses, such as keys of other types. A
    check would take longer than the decoding; ``encode`` refuses them later.

    Raises:
        CodecError: the bytes are not a payload.
    """
    if not payload.startswith((VERSION, TAGGED)):
        raise CodecError(f"the record has an unknown format (first byte {payload[:1]!r})")
    try:
        return _decode_session(payload[1:-MARK])
    except (ValueError, TypeError, ArithmeticError, RecursionError) as error:
        raise CodecError(f"the record cannot be read ({type(error).__name__})") from None


def check(key: Any, value: Any) -> None:
    """Raise CodecError, with the path, unless a session can store ``value`` under ``key``."""
    _check_top_key(key)
    kind = type(value)
    if kind in FIXED or kind is bytes:
        return
    encode_value(value, key)


def encode_value(value: Any, path: str = "") -> bytes:
    """Encode one value.

    Two encodings are equal if and only if the values and their types are. So 1, 1.0 and True
    differ, as do maps with another order of keys.

    Raises:
        CodecError: the value cannot be stored.
    """
    kind = type(value)
    if kind in PLAIN or ((kind is dict or kind is list) and _is_plain(value, 2)):
        try:
            return _encode(value)
        except (UnicodeEncodeError, OverflowError):  # find the text, or tag the integer, below
            pass
    tagged = _tagged(value, path)
    try:
        return _encode(tagged)
    except UnicodeEncodeError:
        raise _surrogate(value, path) from None


def decode_value(encoding: bytes) -> Any:
    """Decode what ``encode_value`` returned."""
    return _decode_value(encoding)


# -- writing ---------------------------------------------------------------------------------------

_TUPLE, _SET, _FROZENSET, _DATETIME, _DATE, _TIME, _TIMEDELTA, _UUID, _DECIMAL, _INT = range(1, 11)
_MARKUP: Final = 11

_encode = Encoder().encode
_AS_IS: Final = PLAIN - {int}


def _is_plain(value: Any, depth: int) -> bool:
    """Return whether nothing in this dict or list needs a tag, except integers beyond 64 bits."""
    if type(value) is dict:
        if not all(type(key) is str for key in value):
            return False
        value = value.values()
    for item in value:
        kind = type(item)
        if kind in PLAIN:
            continue
        if (kind is not dict and kind is not list) or depth > MAX_DEPTH:
            return False
        if not _is_plain(item, depth + 1):
            return False
    return True


def _tagged(value: Any, path: str, owner: str = "session") -> Any:
    """Return ``value`` as :func:`_tag` does. The error names the path."""
    try:
        return _tag(value, 1)
    except Refused as refused:
        where = path + "".join(reversed(refused.parts))
        raise CodecError(refused.message(owner), path=where) from None


def _tag(value: Any, depth: int) -> Any:
    """Return ``value`` with everything that msgpack does not know wrapped in an Ext."""
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
    if isinstance(value, dict):  # a subclass is loaded as the plain dict that it equals
        return _tag_dict(value, depth)
    tagger = _TAGGERS.get(kind)
    if tagger is not None:
        return tagger(value, depth)
    if kind.__name__ == "Markup" and kind is _markup():
        return Ext(_MARKUP, _encode_part(str(value), None))
    raise Refused(refusal(value), is_value=True)


def _tag_items(items: Iterable[Any], depth: int) -> list[Any]:
    tagged: list[Any] = []
    try:
        for item in items:
            tagged.append(_tag(item, depth + 1))  # noqa: PERF401 - the error needs the index
    except Refused as refused:
        refused.parts.append(f"[{len(tagged)}]")
        raise
    return tagged


def _tag_dict(value: dict[Any, Any], depth: int) -> dict[Any, Any]:
    tagged: dict[Any, Any] = {}
    key: Any = None
    for key in value:
        if type(key) is not str:
            _check_key(key)
    try:
        for key, item in value.items():
            tagged[key] = _tag(item, depth + 1)
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
        parts = [_encode_part(_tag(item, depth + 1), item) for item in value]
    except Refused as refused:
        refused.parts.append("{}")
        raise
    code = _SET if type(value) is set else _FROZENSET
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
    if zone is None or type(zone) is timezone:
        return b"%d%s" % (value.fold, value.isoformat().encode())
    from zoneinfo import ZoneInfo  # noqa: PLC0415 - few values have a zone

    if type(zone) is not ZoneInfo or zone.key is None:
        raise Refused(
            f"a {type(value).__name__} whose zone is a "
            f"{type(zone).__module__}.{type(zone).__name__}; give it a datetime.timezone or a "
            f"ZoneInfo, for example value.astimezone(datetime.UTC)",
            is_value=True,
        )
    local = value.replace(tzinfo=None).isoformat()
    return b"%d%s[%s]" % (value.fold, local.encode(), zone.key.encode())


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
    date: lambda value, depth: Ext(_DATE, value.isoformat().encode()),
    time: _tag_time,
    timedelta: lambda value, depth: Ext(
        _TIMEDELTA, _encode([value.days, value.seconds, value.microseconds])
    ),
    UUID: lambda value, depth: Ext(_UUID, value.bytes),
    Decimal: lambda value, depth: Ext(_DECIMAL, str(value).encode()),
}


# -- reading ---------------------------------------------------------------------------------------


def _untag(code: int, data: memoryview) -> Any:
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


_decode_session = Decoder(tuple[Meta, Data], ext_hook=_untag).decode
_decode_value = Decoder(Any, ext_hook=_untag).decode
_decode_items = Decoder(list[Any], ext_hook=_untag).decode
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


# -- errors ----------------------------------------------------------------------------------------


def _check_top_key(key: Any) -> None:
    if type(key) is not str:
        raise CodecError(
            f"the keys of a session must be str, got {type(key).__name__}; write str(key)",
            path=repr(key)[:40],
        )
    if not key.isascii():
        encode_value(key, repr(key)[:40])


def _check_key(key: Any) -> None:
    if type(key) not in PLAIN or (type(key) is int and not -(2**63) <= key < 2**64):
        refused = Refused(
            f"the keys of a dict must be str, int, float, bool, bytes or None, got "
            f"{type(key).__name__}"
        )
        refused.parts.append(f".{repr(key)[:40]}")
        raise refused


def _surrogate(value: Any, path: str) -> CodecError:
    """Make the error for text with a lone surrogate, with the path to it."""
    where = "".join(reversed(parts_of_surrogate(value) or ()))
    return CodecError(SURROGATE, path=path + where if path else where.removeprefix("."))
