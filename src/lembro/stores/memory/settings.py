"""The arguments of MemoryStore, checked when it is made: what cannot work is said at once."""

from __future__ import annotations

from datetime import timedelta
from typing import Final

from ... import bytesize
from ..._log import log
from ...errors import ConfigError
from .resident import most

SMALLEST: Final = 64 * 1024  # bytes; with less the tables leave no room for sessions
SMALLEST_SESSION: Final = 1024  # bytes
LONGEST_INTERVAL: Final = 366 * 86400.0  # seconds


def check_max_size(value: int | str) -> int:
    number = bytesize.parse(value)
    if number < SMALLEST:
        raise ConfigError(
            f"max_size={value!r} is {number} bytes, and the tables alone need some of it: "
            f'give at least {SMALLEST} ("64K"), such as max_size="4M"'
        )
    return number


def warn_of_too_much(max_size: int) -> None:
    """Say that a cap will never be reached. It is no error: what a machine has is not known where
    it is configured, and a small one will do for as long as there are few sessions."""
    memory = most()
    if memory is not None and max_size > memory:
        log.warning(
            "max_size=%s is more than the %s of memory that this process can have, so it is no "
            "limit: the system may end the process before a session is evicted; give less",
            bytesize.pretty(max_size),
            bytesize.pretty(memory),
        )


def check_interval(value: float | timedelta) -> float:
    """Seconds. NaN, infinity, zero and less, and more than 366 days are errors."""
    seconds: object = value.total_seconds() if isinstance(value, timedelta) else value
    if (
        isinstance(seconds, bool)
        or not isinstance(seconds, int | float)
        or not 0 < seconds <= LONGEST_INTERVAL
    ):
        raise ConfigError(
            f"interval={value!r} is not a purge interval: give seconds or a timedelta, more than "
            "0 and at most 366 days, such as interval=360"
        )
    return float(seconds)


def check_max_session_size(value: int | str | None, max_size: int) -> int:
    if value is None:
        return max_size // 16
    number = bytesize.parse(value)
    if not SMALLEST_SESSION <= number <= max_size // 4:
        raise ConfigError(
            f"max_session_size={value!r} is not possible with a max_size of "
            f"{bytesize.pretty(max_size)}: give {SMALLEST_SESSION} bytes to a quarter of max_size "
            f"({bytesize.pretty(max_size // 4)}); the default is a sixteenth"
        )
    return number


def check_reduce_to(value: float) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 < value <= 1:
        raise ConfigError(
            f"reduce_to={value!r} is not a share of max_size: give more than 0 and at most 1, "
            "such as reduce_to=0.75"
        )
    return float(value)
