"""The checks of arguments that the external stores share."""

from __future__ import annotations

from typing import Any, Final

from ..._durations import if_milliseconds
from ...errors import ConfigError

LONGEST_TIMEOUT: Final = 60.0  # seconds


def check_timeout(value: float) -> float:
    """Return the timeout in seconds. Raise ConfigError unless 0 < timeout <= 60."""
    if (
        isinstance(value, bool)
        or not isinstance(value, int | float)
        or not 0 < value <= LONGEST_TIMEOUT
    ):
        raise ConfigError(
            f"timeout must be seconds, more than 0 and at most 60, got {value!r}. "
            f"{if_milliseconds('timeout', value, longest=LONGEST_TIMEOUT)}Example: timeout=0.2"
        )
    return float(value)


def check_count(name: str, value: Any, *, least: int) -> int:
    """Return a count. Raise ConfigError unless it is an int and at least ``least``."""
    if isinstance(value, bool) or not isinstance(value, int) or value < least:
        raise ConfigError(
            f"{name} must be a whole number, at least {least}, got {value!r}. "
            f"Example: {name}={least + 1}"
        )
    return value
