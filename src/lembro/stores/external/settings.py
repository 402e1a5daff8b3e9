"""Checks of the arguments that all external stores share."""

from __future__ import annotations

from datetime import timedelta
from typing import Final

from ...errors import ConfigError

LONGEST_INTERVAL: Final = 366 * 86400.0  # seconds
LONGEST_TIMEOUT: Final = 60.0  # seconds


def check_interval(value: float | timedelta) -> float:
    """Return the interval in seconds. Raise ConfigError unless 0 < interval <= 366 days."""
    seconds: object = value.total_seconds() if isinstance(value, timedelta) else value
    if not _is_between(seconds, LONGEST_INTERVAL):
        raise ConfigError(
            f"interval must be seconds or a timedelta, more than 0 and at most 366 days, got "
            f"{value!r}. Example: interval=360"
        )
    return float(seconds)  # type: ignore[arg-type]


def check_timeout(value: float) -> float:
    """Return the timeout in seconds. Raise ConfigError unless 0 < timeout <= 60."""
    if not _is_between(value, LONGEST_TIMEOUT):
        raise ConfigError(
            f"timeout must be seconds, more than 0 and at most 60, got {value!r}. "
            f"Example: timeout=0.2"
        )
    return float(value)


def _is_between(value: object, most: float) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and 0 < value <= most
