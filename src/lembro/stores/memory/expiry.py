"""Which records are due: a wheel of buckets, each for a stretch of time.

A deadline that moves later is only written down; the entry is placed anew when its old bucket
comes round. So the bucket of an entry is never later than its deadline.
"""

from __future__ import annotations

from array import array
from typing import Final

from .chains import NONE, Chains
from .slots import Slots

_FAR: Final = 1e15  # seconds; what never expires is looked at once a turn


class Wheel:
    __slots__ = ("_buckets", "_chains", "_cursor", "_due", "_width", "deadline")

    def __init__(self, slots: Slots, buckets: int, width: float, now: float) -> None:
        """``width`` is the stretch of a bucket, in seconds."""
        self._buckets = buckets
        self._width = width
        self._chains = Chains(buckets + 1)
        self._due = buckets  # the list of what has come round and waits to be looked at
        self._cursor = int(now / width)
        slots.register(*self._chains.columns)
        self.deadline: array[float] = slots.column("d")

    def place(self, slot: int, deadline: float) -> None:
        """Enter a slot that is in no bucket."""
        self.deadline[slot] = deadline
        self._chains.push(self._bucket(deadline), slot)

    def defer(self, slot: int, deadline: float) -> None:
        """Set another deadline."""
        earlier = deadline < self.deadline[slot]
        self.deadline[slot] = deadline
        if earlier:
            self._chains.move(self._bucket(deadline), slot)

    def remove(self, slot: int) -> None:
        self._chains.remove(slot)

    def rename(self, old: int, new: int) -> None:
        self._chains.rename(old, new)
        self.deadline[new] = self.deadline[old]

    def look(self, now: float) -> int:
        """Look at one entry that has come round: its slot if it is expired, ``-2`` if it is not
        (it has been placed anew), ``-1`` if none is waiting."""
        chains = self._chains
        slot = chains.first(self._due)
        if slot == NONE:
            if not self._advance(now):
                return NONE
            slot = chains.first(self._due)
            if slot == NONE:
                return -2
        deadline = self.deadline[slot]
        if deadline <= now:
            return slot
        chains.move(self._bucket(deadline), slot)
        return -2

    def is_quiet(self, now: float) -> bool:
        """Whether ``look`` would find nothing at all."""
        return self._chains.first(self._due) == NONE and self._cursor >= int(now / self._width)

    def gather(self, now: float) -> None:
        """Let all wait that may be expired by now, also in the bucket of this moment."""
        for _ in range(self._buckets):
            if not self._advance(now):
                break
        self._chains.splice(self._cursor % self._buckets, self._due)

    def entries(self) -> list[int]:
        """All slots in the wheel."""
        return [slot for at in range(self._buckets + 1) for slot in self._chains.walk(at)]

    def reset(self) -> None:
        self._chains.reset()

    def _advance(self, now: float) -> bool:
        """Go on by one bucket, if it lies wholly in the past."""
        today = int(now / self._width)
        if self._cursor >= today:
            return False
        self._cursor = max(self._cursor, today - self._buckets)
        self._chains.splice(self._cursor % self._buckets, self._due)
        self._cursor += 1
        return True

    def _bucket(self, deadline: float) -> int:
        # What is past already goes into the bucket of the cursor, the next that is looked at.
        stretch = int(min(deadline, _FAR) / self._width)
        return max(stretch, self._cursor) % self._buckets
