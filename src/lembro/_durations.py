"""Durations of options: seconds, or a timedelta."""

from __future__ import annotations

from datetime import timedelta
from typing import Final

from ._log import log
from .errors import ConfigError

Seconds = int | float | timedelta

DAY: Final = 24 * 60 * 60
LONGEST: Final = 100 * 365 * DAY
"""The longest duration that is accepted, in seconds: 100 years."""
LONGEST_USUAL: Final = 400 * DAY
"""A longer duration is probably in milliseconds: browsers keep no cookie for more than 400 days."""
MINUTE_IN_MS: Final = 60_000

_warned: Final[set[tuple[str, float]]] = set()


def seconds(
    name: str,
    value: Seconds,
    example: str = "",
    *,
    zero: bool = False,
    usual: float = LONGEST_USUAL,
) -> float:
    """Return a duration in seconds.

    Args:
        name: The option, for the error.
        value: Seconds or a timedelta.
        example: The example in the error, if it is not ``name=...``.
        zero: Whether 0 is allowed.
        usual: A longer number of seconds is warned of, because it is probably in milliseconds.

    Raises:
        ConfigError: ``value`` is not a duration, not above 0, or longer than 100 years.
    """
    number = value.total_seconds() if isinstance(value, timedelta) else value
    example = example or f"{name}=timedelta(hours=8)"
    if isinstance(number, bool) or not isinstance(number, int | float):
        raise ConfigError(
            f"{name} must be seconds (int or float) or a timedelta, got {value!r}. "
            f"Example: {example}"
        )
    if not (0 < number <= LONGEST or (zero and number == 0)):
        least = "at least 0" if zero else "more than 0"
        raise ConfigError(
            f"{name} must be {least} and at most {LONGEST} seconds (100 years), got {value!r}. "
            f"{if_milliseconds(name, value, longest=LONGEST)}Example: {example}"
        )
    if isinstance(value, int | float):
        warn_of_milliseconds(name, value, longest=usual)
    return float(number)


def if_milliseconds(name: str, value: object, *, longest: float) -> str:
    """Return a part of the error for a number that is too long in seconds, not in milliseconds."""
    if not isinstance(value, int | float) or not longest < value <= longest * 1000:
        return ""
    return f"If you mean milliseconds, write {name}={_short(value / 1000)}. "


def warn_of_milliseconds(name: str, value: float, *, longest: float) -> None:
    """Warn once of a number of seconds that was probably meant as milliseconds, as in Node.

    It is longer than ``longest``, or it is longer than ten days, no whole number of days, and in
    milliseconds a whole number of minutes. 3,600,000 is such a number.
    """
    odd = value > 10 * DAY and value % DAY != 0 and value % MINUTE_IN_MS == 0
    if not (value > longest or odd) or (name, value) in _warned:
        return
    _warned.add((name, value))
    log.warning(
        "lembro: %s=%s is in seconds: %s. If you mean milliseconds, write %s=%s (%s). Otherwise "
        "write %s=timedelta(days=%g)",
        *(name, value, timedelta(seconds=value), name, _short(value / 1000)),
        *(timedelta(seconds=value / 1000), name, value / DAY),
    )


def _short(number: float) -> str:
    return f"{number:.3f}".rstrip("0").rstrip(".")
