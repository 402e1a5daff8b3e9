"""A clock for tests."""

from __future__ import annotations


class FakeClock:
    """A clock for tests. A call returns the time in seconds, and ``advance`` changes it."""

    def __init__(self, now: float = 1000.0) -> None:
        self.now: float = now

    def __call__(self) -> float:
        return self.now

    def advance(self, seconds: float) -> None:
        """Let time pass; a negative number sets the clock back."""
        self.now += seconds
