"""An estimate of the server's clock, so that a store need not ask for the time in each verb.

A plain GET of Redis returns no time, and a transaction of MongoDB cannot ask for it. So the store
notes the time that a reply contains, and keeps the difference to the monotonic clock of this
process. If the difference is older than a minute, the store asks for the time. The estimate is late
by the time that the reply took, so a live session is never treated as expired. The process's wall
clock does not matter. In Redis, no deadline depends on this estimate.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Final

LONGEST: Final = 60.0  # seconds for which a difference is used


class ServerClock:
    """An estimate of the server's clock.

    Args:
        clock: A function that returns seconds, for tests. None: the server's clock.
    """

    def __init__(self, clock: Callable[[], float] | None) -> None:
        self._clock = clock
        self._noted: tuple[float, float] | None = (
            None  # the difference, and when it becomes too old
        )

    def given(self) -> int | str:
        """Return the time to send to a script of Redis: milliseconds, or "" for its own clock."""
        return "" if self._clock is None else int(self._clock() * 1000)

    def note(self, now: int) -> None:
        """Note the server's time in milliseconds, which was just received."""
        if self._clock is None:
            mine = time.monotonic()
            self._noted = now - mine * 1000, mine + LONGEST

    def now(self) -> int | None:
        """Return the server's time in milliseconds, or None if the server must be asked."""
        if self._clock is not None:
            return int(self._clock() * 1000)
        noted, mine = self._noted, time.monotonic()
        return None if noted is None or mine > noted[1] else int(mine * 1000 + noted[0])
