"""Which segments hold records that are due: a wheel of buckets, each for a stretch of time.

Of each segment a bound is known, before which nothing in it expires. A deadline that moves later
leaves the bound as it is; it is found anew when its old bucket comes round and the segment is
looked through.
"""

from __future__ import annotations

from array import array
from typing import Final

from .linked_lists import NONE, fixed

_FAR: Final = 1e15  # seconds; what never expires is looked at once a turn


class Wheel:
    __slots__ = ("_buckets", "_chains", "_cursor", "_due", "_width", "bound", "next", "size")

    def __init__(self, entries: int, buckets: int, width: float, now: float) -> None:
        """``entries`` is how many segments there may be, ``width`` the stretch of a bucket, in
        seconds."""
        self._buckets = buckets
        self._width = width
        self._chains = fixed(buckets + 1, entries)
        self._due = buckets  # the list of what has come round and waits to be looked at
        self._cursor = int(now / width)
        self.bound: array[float] = array("d", bytes(8 * entries))
        self.next: float = (self._cursor + 1) * width
        """Nothing comes round before this time; minus infinity while something waits."""

        self.size: Final[int] = 16 * entries + 8 * (buckets + 1)  # bytes

    def place(self, entry: int, bound: float) -> None:
        """Enter what is in no bucket."""
        self.bound[entry] = bound
        self._chains.push(self._bucket(bound), entry)

    def earlier(self, entry: int, deadline: float) -> None:
        """Something in it expires at this time; no news if that is after its bound."""
        if deadline < self.bound[entry]:
            self.bound[entry] = deadline
            self._chains.move(self._bucket(deadline), entry)

    def again(self, entry: int, bound: float) -> None:
        """Another bound, now that it was looked through."""
        self.bound[entry] = bound
        self._chains.move(self._bucket(bound), entry)

    def remove(self, entry: int) -> None:
        self._chains.remove(entry)

    def look(self, now: float) -> int:
        """An entry whose bound has passed, left where it is; ``-2`` if the next in turn has been
        placed anew; ``-1`` if none is waiting."""
        chains = self._chains
        entry = chains.first(self._due)
        if entry == NONE:
            if not self._advance(now):
                self.next = (self._cursor + 1) * self._width
                return NONE
            self.next = -_FAR
            entry = chains.first(self._due)
            if entry == NONE:
                return -2
        bound = self.bound[entry]
        if bound <= now:
            return entry
        chains.move(self._bucket(bound), entry)
        return -2

    def gather(self, now: float) -> None:
        """Let all wait that may be expired by now, also in the bucket of this moment."""
        for _ in range(self._buckets):
            if not self._advance(now):
                break
        self._chains.splice(self._cursor % self._buckets, self._due)
        self.next = -_FAR

    def entries(self) -> list[int]:
        """All that are in the wheel."""
        return [entry for at in range(self._buckets + 1) for entry in self._chains.walk(at)]

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
        stretch = int(max(-_FAR, min(deadline, _FAR)) / self._width)
        return max(stretch, self._cursor) % self._buckets
