"""The values of a session that MongoDB holds as a document, and not as text.

JavaScript stores a Date, an ObjectId or NaN there with their own types. A session of lembro has
their JSON form instead. If the application does not change it, the original value is stored again.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import Any

from ..errors import CodecError
from .record import iso
from .values import is_exact


def plain(value: Any) -> Any:
    """Return the JSON form of a value of BSON."""
    if isinstance(value, dict):
        return {str(key): plain(item) for key, item in value.items()}
    if isinstance(value, list):
        return [plain(item) for item in value]
    if value is None or isinstance(value, bool):
        return value
    if isinstance(value, str):
        return str(value)
    if isinstance(value, int):  # Int64 too
        return int(value) if is_exact(value) else float(value)
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    return _date(value) or str(value)


def check_keys(value: Any) -> None:
    """Raise CodecError for a key that no document of MongoDB can have."""
    parts = _parts_of_nul(value)
    if parts is not None:
        raise CodecError(
            "MongoDB cannot store a key with a NUL character. Remove it from the key",
            path="".join(reversed(parts)).removeprefix("."),
        )


def _parts_of_nul(value: Any) -> list[str] | None:
    """Return the path to a key with a NUL character, the innermost part first."""
    items: Iterable[tuple[str, Any]] = ()
    if isinstance(value, dict):
        items = ((f".{key}", item) for key, item in value.items())
        bad = next((key for key in value if "\0" in key), None)
        if bad is not None:
            return [f".{bad}"]
    elif isinstance(value, list):
        items = ((f"[{number}]", item) for number, item in enumerate(value))
    for part, item in items:
        parts = _parts_of_nul(item)
        if parts is not None:
            parts.append(part)
            return parts
    return None


def restore(value: Any, before: Any) -> Any:
    """Return a value for BSON. A part that has not changed gets its original value from
    ``before``."""
    if isinstance(value, dict) and isinstance(before, dict):
        return {key: restore(item, before.get(key)) for key, item in value.items()}
    if isinstance(value, list) and isinstance(before, list) and len(value) == len(before):
        return [restore(item, old) for item, old in zip(value, before, strict=True)]
    old = plain(before)
    return before if type(old) is type(value) and old == value else value


def _date(value: Any) -> str | None:
    """Return the JSON form of a date of MongoDB; None for another value."""
    if type(value).__name__ != "DatetimeMS":
        return None
    try:
        return iso(int(value))
    except (ValueError, OverflowError):  # a date of JavaScript beyond the year 9999
        return str(int(value))
