"""The sweep: it reads the records of due segments and removes the expired ones.

It works record by record, so that a write can do a few steps and the purger many.
"""

from __future__ import annotations

from collections.abc import Callable
from math import inf

from .arena import Arena
from .expiry_wheel import ExpiryWheel
from .layout import DEADLINE, read_state
from .linked_lists import NONE
from .records import Records
from .slots import Slots


class Sweep:
    """Sweeps one segment after the other. ``ExpiryWheel.sweeping`` is the current one."""

    __slots__ = ("_arena", "_at", "_memory", "_place", "_records", "_slots", "_soonest", "_wheel")

    def __init__(
        self,
        arena: Arena,
        slots: Slots,
        place: memoryview[int],
        wheel: ExpiryWheel,
        records: Records,
    ) -> None:
        self._arena = arena
        self._memory = arena.memory
        self._slots = slots
        self._place = place
        self._wheel = wheel
        self._records = records
        self._at = 0  # the next record in the segment
        self._soonest = inf  # the soonest deadline of the records that stay

    def limited(self, limit: int | None) -> Callable[[float], int]:
        """Return a ``step`` that stops, as if no segment were due, after ``limit`` removals."""
        left = inf if limit is None else limit

        def step(now: float) -> int:
            nonlocal left
            if left <= 0:
                return NONE
            removed = self.step(now)
            if removed != NONE:
                left -= removed
            return removed

        return step

    def step(self, now: float) -> int:
        """Check one record of a due segment.

        Returns:
            1 if it had expired and was removed, 0 if not, NONE if no segment is due.
        """
        wheel = self._wheel
        segment = wheel.sweeping
        if segment == NONE:
            segment = wheel.next_due(now)
            if segment < 0:
                return NONE if segment == NONE else 0
            wheel.sweeping = segment
            self._at = self._arena.bounds(segment)[0]
            # During the sweep, the bound of the segment is that of the writes in between.
            self._soonest = wheel.bound[segment] = inf
        at, end = self._at, self._arena.bounds(segment)[1]
        memory, place, capacity = self._memory, self._place, self._slots.capacity
        while at < end:
            deadline, _, _, _, slot, extent, _ = read_state(memory, at + DEADLINE)
            here = at >> 3
            at += extent << 3
            if slot >= capacity or place[slot] != here:
                continue  # dead
            self._at = at
            if deadline <= now:
                self._records.expire(slot)
                return 1
            self._soonest = min(self._soonest, deadline)
            return 0
        wheel.sweeping = NONE
        wheel.set_bound(segment, min(self._soonest, wheel.bound[segment]))
        return 0
