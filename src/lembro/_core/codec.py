"""Encode a session's data to bytes and decode them to equal values of the same types.

The payload is a version byte, a msgpack array of two maps (lembro's metadata and the application's
data), and a mark of six bytes. The two maps keep lembro's keys apart from the application's.

Types that msgpack does not know (tuples, sets, dates, UUIDs, ...) are tagged with an extension
code. Without a tag, msgspec would silently turn them into lists and strings. A record holds plain
values, never a pickle.
"""

from __future__ import annotations

from typing import Any, Final

from msgspec.msgpack import Decoder, Encoder

from ..errors import CodecError
from .refusals import SURROGATE, Refused, parts_of_surrogate
from .tags import MAX_DEPTH, PLAIN, plain_key, tag, untag

Data = dict[str, Any]
Meta = dict[str, bool | bytes]

VERSION: Final = b"\x01"
"""The first byte of a payload without tagged values."""
TAGGED: Final = b"\x81"
"""The first byte of a payload that may hold tagged values."""
FIXED: Final = frozenset({int, float, bool, type(None)})
"""Types of values that take few bytes, and can always be stored."""
MARK: Final = 6
"""Bytes at the end of a payload that make each write unique."""
_NO_MARK: Final = bytes(MARK)

_encode = Encoder().encode
_decode_session = Decoder(tuple[Meta, Data], ext_hook=untag).decode
_decode_value = Decoder(Any, ext_hook=untag).decode


def encode(meta: Meta, data: Data, *, plain: bool = False, owner: str = "session") -> bytes:
    """Encode the payload of a session.

    Args:
        meta: lembro's metadata of the session.
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
        name = _top_key(key)
        tagged[name] = _tagged(value, name, owner)
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


def check(key: Any, value: Any) -> str:
    """Raise CodecError, with the path, unless a session can store ``value`` under ``key``.

    Returns:
        The key, as a plain str.
    """
    name = _top_key(key)
    kind = type(value)
    if kind not in FIXED and kind is not bytes:
        encode_value(value, name)
    return name


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
    """Return ``value`` as ``tag`` does. The error names the path."""
    try:
        return tag(value, 1)
    except Refused as refused:
        where = path + "".join(reversed(refused.parts))
        raise CodecError(refused.message(owner), path=where) from None


# -- errors ----------------------------------------------------------------------------------------


def _top_key(key: Any) -> str:
    """Return a key of the session as a plain str, such as a StrEnum's."""
    if type(key) is str:
        if not key.isascii():
            encode_value(key, repr(key)[:40])
        return key
    if isinstance(key, str):
        try:
            return _top_key(plain_key(key))
        except Refused:
            pass
    raise CodecError(
        f"the keys of a session must be str, got {type(key).__name__}; write str(key)",
        path=repr(key)[:40],
    )


def _surrogate(value: Any, path: str) -> CodecError:
    """Make the error for text with a lone surrogate, with the path to it."""
    where = "".join(reversed(parts_of_surrogate(value) or ()))
    return CodecError(SURROGATE, path=path + where if path else where.removeprefix("."))
