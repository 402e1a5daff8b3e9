"""The expiry wheel: it finds the segments that may hold expired records, and removes nothing.

The wheel has a bound for each segment: nothing in the segment expires before it. Time is divided
into buckets of equal width, and a segment is listed in the bucket of its bound. When a bucket has
passed, its segments are due: the sweep (``sweep.py``) reads their records, removes the expired
ones, and gives the segment a new bound.

If a deadline moves later, as a touch does, the bound stays as it is. The next sweep of the segment
corrects it. So a touch costs the wheel nothing.
"""

from __future__ import annotations

from array import array
from typing import Final

from .linked_lists import NONE, in_arrays

MOVED: Final = -2
_FAR: Final = 1e15  # seconds; a later bound is treated like this one


class ExpiryWheel:
    """The segments in use, by their bounds.

    Attributes:
        bound: The bound of each segment, in seconds by the store's clock.
        next: No bucket passes before this time. It is in the past while segments are due.
        sweeping: The segment that is being swept, or NONE. ``remove`` and ``reset`` end a sweep.
        size: Bytes of the tables.
    """

    __slots__ = (
        "_buckets",
        "_cursor",
        "_due",
        "_lists",
        "_width",
        "bound",
        "next",
        "size",
        "sweeping",
    )

    def __init__(self, segments: int, buckets: int, width: float, now: float) -> None:
        """Make an empty wheel.

        Args:
            segments: How many segments there may be.
            buckets: How many buckets the wheel has.
            width: The width of a bucket, in seconds.
            now: The current time by the store's clock.
        """
        self._buckets = buckets
        self._width = width
        self._lists = in_arrays(buckets + 1, segments)
        self._due = buckets  # the last list has the segments that are due
        self._cursor = int(now / width)  # the number of the next bucket to pass
        self.bound: array[float] = array("d", bytes(8 * segments))
        self.next: float = (self._cursor + 1) * width
        self.sweeping: int = NONE
        self.size: Final[int] = 16 * segments + 8 * (buckets + 1)

    def add(self, segment: int, bound: float) -> None:
        """Add a segment that is not in the wheel."""
        self.bound[segment] = bound
        self._lists.push(self._bucket(bound), segment)

    def lower_bound(self, segment: int, deadline: float) -> None:
        """Lower the bound of a segment, in which a record expires at ``deadline``."""
        if deadline < self.bound[segment]:
            self.bound[segment] = deadline
            self._lists.move(self._bucket(deadline), segment)

    def set_bound(self, segment: int, bound: float) -> None:
        """Set the bound of a segment after a sweep."""
        self.bound[segment] = bound
        self._lists.move(self._bucket(bound), segment)

    def remove(self, segment: int) -> None:
        """Remove a segment. If it is being swept, the sweep ends."""
        if segment == self.sweeping:
            self.sweeping = NONE
        self._lists.remove(segment)

    def next_due(self, now: float) -> int:
        """Return a due segment, which stays where it is.

        Returns:
            The segment; MOVED if the next one was listed again under a later bound, so that
            another call may find one; or NONE if no segment is due.
        """
        lists = self._lists
        segment = lists.first(self._due)
        if segment == NONE:
            if not self._advance(now):
                self.next = (self._cursor + 1) * self._width
                return NONE
            self.next = -_FAR
            segment = lists.first(self._due)
            if segment == NONE:
                return MOVED
        bound = self.bound[segment]
        if bound <= now:
            return segment
        lists.move(self._bucket(bound), segment)
        return MOVED

    def collect(self, now: float) -> None:
        """Make all segments due that may hold expired records, those of this moment included."""
        for _ in range(self._buckets):
            if not self._advance(now):
                break
        self._lists.splice(self._cursor % self._buckets, self._due)
        self.next = -_FAR

    def segments(self) -> list[int]:
        """Return the segments in the wheel."""
        return [segment for at in range(self._buckets + 1) for segment in self._lists.walk(at)]

    def reset(self) -> None:
        """Remove all segments."""
        self._lists.reset()
        self.sweeping = NONE

    def _advance(self, now: float) -> bool:
        """Make the segments of one bucket due, if it has passed. Return whether it has."""
        today = int(now / self._width)
        if self._cursor >= today:
            return False
        self._cursor = max(self._cursor, today - self._buckets)
        self._lists.splice(self._cursor % self._buckets, self._due)
        self._cursor += 1
        return True

    def _bucket(self, deadline: float) -> int:
        # A deadline in the past belongs to the bucket that passes next.
        number = int(max(-_FAR, min(deadline, _FAR)) / self._width)
        return max(number, self._cursor) % self._buckets
