"""Sizes in bytes as text, such as ``"4M"``. K, M, G and T are powers of 1024."""

from __future__ import annotations

import re
from typing import Final

from .errors import ConfigError

MAX: Final = 2**63 - 1
_UNITS: Final = {"": 1, "K": 2**10, "M": 2**20, "G": 2**30, "T": 2**40}
_read = re.compile(
    r"\s*([0-9]{1,30}(?:\.[0-9]{1,30})?)\s*(?:([KMGT])(?:i?B)?|B)?\s*", re.ASCII | re.IGNORECASE
)


def parse(size: int | str) -> int:
    """Return the number of bytes that ``size`` means. A fraction is rounded down.

    >>> parse("4M"), parse("1.5 MiB"), parse("512b")
    (4194304, 1572864, 512)

    Raises:
        ConfigError: ``size`` is not a size from 1 byte to 2**63 - 1. (An unreadable setting must
            never mean "no limit".)
    """
    if isinstance(size, int) and not isinstance(size, bool):
        number = size
    elif isinstance(size, str) and (match := _read.fullmatch(size)):
        whole, _, decimals = match[1].partition(".")
        # In whole numbers: a float would round, and fractions is slow to import.
        number = int(whole + decimals) * _UNITS[(match[2] or "").upper()] // 10 ** len(decimals)
    else:
        raise _wrong(size)
    if not 1 <= number <= MAX:
        raise _wrong(size)
    return number


def pretty(number: int) -> str:
    """Return a number of bytes in the largest unit that fits, with at most three decimals.

    >>> pretty(4194304), pretty(3143631), pretty(512)
    ('4M', '2.998M', '512B')
    """
    if abs(number) < 1024:
        return f"{number}B"
    unit, factor = "T", _UNITS["T"]
    for unit, factor in _UNITS.items():  # noqa: B007 - used after the loop
        if round(abs(number) / factor, 3) < 1024:
            break
    return f"{number / factor:.3f}".rstrip("0").rstrip(".") + unit


def _wrong(size: object) -> ConfigError:
    return ConfigError(
        f"a size must be a whole number of bytes from 1 to 2**63 - 1, or a number with the unit K, "
        f'M, G or T (powers of 1024), got {size!r}. Example: "4M"'
    )
