"""The store's clock: seconds that never run backwards."""

from __future__ import annotations

from collections.abc import Callable

from ...errors import ConfigError

Clock = Callable[[], float]


class Clamped:
    """A clock that stands still while the one behind it is set back."""

    __slots__ = ("_clock", "_last")

    def __init__(self, clock: Clock) -> None:
        if not callable(clock):
            raise ConfigError(
                f"clock={clock!r} is not a clock: give a function without arguments that returns "
                "seconds, such as time.monotonic"
            )
        self._clock = clock
        self._last = float(clock())

    def __call__(self) -> float:
        self._last = max(self._last, self._clock())
        return self._last
