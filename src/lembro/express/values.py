"""Refuse the values that JSON or JavaScript would change."""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import Any, Final

from .._core.refusals import refusal
from ..errors import CodecError

_SAFE: Final = 2**53
"""JavaScript represents every whole number up to this one exactly."""
_LARGEST: Final = 10**21
"""JavaScript writes larger numbers with an exponent, so that they come back as floats."""

_ALWAYS: Final = frozenset({str, bool, type(None)})
"""The types whose values Express always keeps."""


def check_values(data: dict[str, Any], reserved: Iterable[str] = ()) -> None:
    """Raise CodecError for a value that Express would change or could not read.

    Args:
        data: The data of a session.
        reserved: Keys that are not the application's.
    """
    if not data.keys().isdisjoint(reserved):
        key = next(key for key in reserved if key in data)
        raise CodecError(
            f"the key {key!r} of an Express session is not the application's. Use another key",
            path=key,
        )
    if not _is_kept(data):
        _check(data, "")


def _is_kept(value: Any) -> bool:
    """Return whether Express surely keeps this dict or list.

    Most sessions pass. ``_check``, which knows the path of each value, takes 1.6 times as long.
    """
    if type(value) is dict:
        for key in value:
            if type(key) is not str:
                return False
        value = value.values()
    for item in value:
        kind = type(item)
        if kind in _ALWAYS or (kind is int and -_SAFE <= item <= _SAFE):
            continue
        if (kind is not dict and kind is not list) or not _is_kept(item):
            return False
    return True


def _check(value: Any, path: str) -> None:
    kind = type(value)
    if kind in _ALWAYS:
        return
    if kind is dict:
        for key, item in value.items():
            if type(key) is not str:
                raise CodecError(
                    f"the keys of an Express session must be str, got {type(key).__name__}; write "
                    f"str(key)",
                    path=path or repr(key)[:40],
                )
            _check(item, f"{path}.{key}" if path else key)
    elif kind is list:
        for number, item in enumerate(value):
            _check(item, f"{path}[{number}]")
    elif kind is int:
        if not is_exact(value):
            raise CodecError(
                "JavaScript cannot keep this whole number, because it is beyond 2**53. Store "
                "str(value)",
                path=path,
            )
    elif kind is float:
        if not math.isfinite(value):
            raise CodecError("JSON has no NaN and no infinity. Store None, or a str", path=path)
    else:
        hint = "store value.isoformat()" if hasattr(value, "isoformat") else ""
        article = f"a {kind.__name__}; {hint}" if hint else _plain_refusal(value)
        raise CodecError(f"an Express session cannot store {article}", path=path)


def is_exact(number: int) -> bool:
    """Return whether JavaScript writes this number with the digits that it reads."""
    if abs(number) <= _SAFE:
        return True
    # JavaScript writes the shortest digits that give the same float. So this number may come from
    # Express.
    return abs(number) < _LARGEST and number == _shortest(number)


def _shortest(number: int) -> int:
    digits, _, exponent = repr(float(number)).partition("e")
    whole, _, fraction = digits.partition(".")
    if not exponent:
        return int(whole)
    return int(whole + fraction.ljust(int(exponent), "0"))


def _plain_refusal(value: Any) -> str:
    """Return the kind of a value, and what to store instead of it in JSON."""
    kinds: dict[type[Any], str] = {
        tuple: "list(value)",
        set: "list(value)",
        frozenset: "list(value)",
        bytes: "value.hex(), or base64",
    }
    kind = type(value)
    if kind in kinds:
        return f"a {kind.__name__}; store {kinds[kind]}"
    if kind.__name__ in ("UUID", "Decimal", "timedelta"):
        return f"a {kind.__name__}; store str(value)"
    return refusal(value)
