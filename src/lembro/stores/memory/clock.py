"""The store's clock: seconds that never decrease."""

from __future__ import annotations

from collections.abc import Callable

from ...errors import ConfigError

Clock = Callable[[], float]


class Clamped:
    """A clock that never runs backwards. If the wrapped clock is set back, its time stays the same
    until the wrapped clock has caught up."""

    __slots__ = ("_clock", "_last")

    def __init__(self, clock: Clock) -> None:
        """Wrap a clock. Raise ConfigError if it cannot be called."""
        if not callable(clock):
            raise ConfigError(
                "clock must be a function without arguments that returns seconds, "
                f"got {clock!r}. Example: MemoryStore(clock=time.monotonic)."
            )
        self._clock = clock
        self._last = float(clock())

    def __call__(self) -> float:
        self._last = max(self._last, self._clock())
        return self._last
