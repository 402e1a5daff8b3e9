"""Checks of MemoryStore's arguments. They run when the store is made."""

from __future__ import annotations

import os
from datetime import timedelta
from typing import Final

from ... import bytesize
from ..._durations import DAY, LONGEST, if_milliseconds, warn_of_milliseconds
from ..._log import log
from ...errors import ConfigError
from .resident import most

SMALLEST: Final = 64 * 1024  # bytes; with less, the tables leave no room for sessions
SMALLEST_SESSION: Final = 1024  # bytes
LARGEST_DEFAULT: Final = 1024 * 1024  # bytes; evicting sessions for a larger one takes long
LONGEST_INTERVAL: Final = 366 * 86400.0  # seconds
SNAPSHOT_MAX_AGE: Final = 60.0  # seconds
HISTORY: Final = 30 * 86400.0
"""Seconds. A record has the time of its last use as a whole number of seconds since the store was
made. With a snapshot, the store counts from this much earlier."""


def check_max_size(value: int | str) -> int:
    """Return max_size in bytes. Raise ConfigError if it is not a size, or too small."""
    number = bytesize.parse(value)
    if number < SMALLEST:
        raise ConfigError(
            f"max_size must be at least 64 KiB, got {value!r}. Example: MemoryStore('4M')."
        )
    return number


def warn_of_too_much(max_size: int) -> None:
    """Log a warning if the process cannot have as much memory as max_size.

    It is no error. The machine is often not known where the store is configured, and a small
    machine is enough while there are few sessions.
    """
    memory = most()
    if memory is not None and max_size > memory:
        log.warning(
            "lembro: max_size=%s exceeds the %s of memory that this process can have. The system "
            "may kill the process before the store evicts a session. Use a smaller max_size.",
            bytesize.pretty(max_size),
            bytesize.pretty(memory),
        )


def check_interval(value: float | timedelta) -> float:
    """Return the interval in seconds. Raise ConfigError unless 0 < interval <= 366 days."""
    seconds: object = value.total_seconds() if isinstance(value, timedelta) else value
    if (
        isinstance(seconds, bool)
        or not isinstance(seconds, int | float)
        or not 0 < seconds <= LONGEST_INTERVAL
    ):
        raise ConfigError(
            "interval must be seconds or a timedelta, more than 0 and at most 366 days, "
            f"got {value!r}. {if_milliseconds('interval', value, longest=LONGEST_INTERVAL)}"
            "Example: interval=360."
        )
    if isinstance(value, int | float):
        warn_of_milliseconds("interval", value, longest=DAY)
    return float(seconds)


def check_snapshot(
    path: str | os.PathLike[str] | None, max_age: float | timedelta
) -> tuple[str, float]:
    """Return the absolute path of the snapshot, empty for none, and its maximum age in seconds.

    Raises:
        ConfigError: The path does not name a file in a folder that exists, the age is not a
            duration, or the system has no file locks.
    """
    example = 'Example: MemoryStore("64M", snapshot="sessions.bin")'
    seconds: object = max_age.total_seconds() if isinstance(max_age, timedelta) else max_age
    if isinstance(seconds, bool) or not isinstance(seconds, int | float) or not seconds > 0:
        raise ConfigError(
            "snapshot_max_age must be seconds or a timedelta, more than 0, "
            f"got {max_age!r}. Example: snapshot_max_age=60."
        )
    if isinstance(max_age, int | float) and max_age <= LONGEST:
        warn_of_milliseconds("snapshot_max_age", max_age, longest=DAY)
    if path is None:
        return "", float(seconds)
    given: object = os.fspath(path) if isinstance(path, os.PathLike) else path
    if not isinstance(given, str) or not given or "\0" in given:
        raise ConfigError(f"snapshot must be the path of a file, got {path!r}. {example}.")
    full = os.path.abspath(given)
    if not os.path.isdir(os.path.dirname(full)):
        raise ConfigError(
            f"snapshot must be in a folder that exists, got {given!r}. "
            f"Make the folder {os.path.dirname(full)!r}."
        )
    if os.path.isdir(full):
        raise ConfigError(
            f"snapshot must be the path of a file, got the folder {given!r}. {example}."
        )
    if os.name == "nt":  # pragma: no cover - Windows
        raise ConfigError("snapshot needs the file locks of a POSIX system. Leave it out.")
    return full, float(seconds)


def check_session_size(value: int | str | None, max_size: int) -> int:
    """Return max_session_size in bytes. None means a sixteenth of max_size, at most 1 MiB.

    Raises:
        ConfigError: It is not a size, or not between 1 KiB and a quarter of max_size.
    """
    if value is None:
        return min(max_size // 16, LARGEST_DEFAULT)
    number = bytesize.parse(value)
    if not SMALLEST_SESSION <= number <= max_size // 4:
        raise ConfigError(
            "max_session_size must be from 1 KiB to a quarter of max_size "
            f"({bytesize.pretty(max_size // 4)}), got {value!r}. Leave it out for "
            f"{bytesize.pretty(min(max_size // 16, LARGEST_DEFAULT))}."
        )
    return number


def check_reduce_to(value: float) -> float:
    """Return reduce_to. Raise ConfigError unless 0 < reduce_to <= 1."""
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 < value <= 1:
        raise ConfigError(
            "reduce_to must be a share of max_size, more than 0 and at most 1, "
            f"got {value!r}. Example: MemoryStore(reduce_to=0.75)."
        )
    return float(value)
