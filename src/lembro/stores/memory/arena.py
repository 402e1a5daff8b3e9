"""The memory of the records: one reserved range, cut into segments of equal size.

New records are appended to the open segment. When it is full it is sealed, and the next segment is
opened. A removed record leaves dead bytes behind. Compaction (``compaction.py``) moves the living
records of a segment to the open one; then the segment's memory goes back to the system. So the
store needs no more memory than it counts, whatever the sizes of the records.
"""

from __future__ import annotations

from array import array
from mmap import mmap
from typing import Final

from .layout import GRAIN
from .linked_lists import NONE, in_arrays
from .reserved_memory import anonymous, release

SMALLEST: Final = 2 * 1024  # bytes of a segment
LARGEST: Final = 128 * 1024  # bytes of a segment; compacting one takes about 0.25 ms
MOST: Final = 2**18  # segments; each takes 33 bytes in tables that are made with the store
CLASSES: Final = 16  # of segments, by the share of dead bytes


def segment_size(max_size: int) -> int:
    """Return the size of a segment: about a hundredth of max_size, and a power of two."""
    most = max(LARGEST, _power_of_two(max_size // MOST))
    return min(most, max(SMALLEST, _power_of_two(max_size >> 7)))


def _power_of_two(number: int) -> int:
    return 1 << (number.bit_length() - 1) if number else 1


class Arena:
    """The segments. A segment is open, sealed, free, or stale.

    A stale segment was emptied by ``reset`` and is free, but its memory was not given back yet.

    Attributes:
        memory: The reserved range.
        segment: Bytes of a segment.
        segments: How many segments the range has.
        shift: ``offset >> shift`` is the segment of an offset.
        open: The open segment, or NONE.
        at: Where the next record goes in the open segment; 0 without one.
        end: Where the open segment ends; 0 without one.
        live: Bytes of the living records in each segment.
        live_total: The sum of ``live``.
        fill: Where the records of each sealed segment end.
        held: Bytes that the segments take: those in use, the stale ones, and one in reserve, which
            compaction needs for a short time.
        stale: The segments before this one are stale.
        tables: Bytes of the tables about segments.
    """

    __slots__ = (
        "_class",
        "_classes",
        "_fresh",
        "_reserve",
        "at",
        "end",
        "fill",
        "held",
        "live",
        "live_total",
        "memory",
        "open",
        "segment",
        "segments",
        "shift",
        "stale",
        "tables",
    )

    at: int
    end: int
    fill: array[int]
    held: int
    live: array[int]
    live_total: int
    open: int
    stale: int

    def __init__(self, max_size: int) -> None:
        """Reserve ``max_size`` bytes of addresses, rounded down to whole segments."""
        self.segment: Final[int] = segment_size(max_size)
        self.shift: Final[int] = self.segment.bit_length() - 1
        self.segments: Final[int] = max_size >> self.shift
        self.memory: Final[mmap] = anonymous(self.segments << self.shift)
        self.live = array("I", bytes(4 * self.segments))
        self.fill = array("I", bytes(4 * self.segments))
        # The sealed segments by class; the last list has the free segments.
        self._classes = in_arrays(CLASSES + 1, self.segments)
        self._class = array("B", bytes(self.segments))
        self.tables: Final[int] = 17 * self.segments + 8 * (CLASSES + 1)
        self._fresh = 0  # segments from this one on were never used
        self.reset()

    def reset(self) -> None:
        """Drop all records. Their memory is counted until ``give_back`` has released it."""
        self._classes.reset()
        self.live[:] = array("I", bytes(4 * self.segments))
        self.stale = self._fresh
        self._reserve = NONE  # a free segment that kept its memory
        self.open = NONE
        self.at = self.end = 0
        self.live_total = 0
        self.held = self.segment * (1 + self.stale)

    def give_back(self) -> bool:
        """Give back the memory of one stale segment. Return False if no segment is stale.

        One segment at a time, because all the memory of a million sessions would take 30 ms.
        """
        if not self.stale:
            return False
        self.stale -= 1
        release(self.memory, self.stale << self.shift, self.segment)
        self._classes.push(CLASSES, self.stale)
        self.held -= self.segment
        return True

    def take(self, size: int) -> int:
        """Append a record that fits into the open segment. Return its offset."""
        at = self.at
        self.at = at + size
        self.live[self.open] += size
        self.live_total += size
        return at

    def drop(self, at: int, size: int) -> int:
        """Count a record as dead. Return the segment if that makes it free, or NONE."""
        segment = at >> self.shift
        live = self.live[segment] - size
        self.live[segment] = live
        self.live_total -= size
        if segment == self.open:
            if live:
                return NONE
            self.open = NONE
            self.at = self.end = 0
            self._release(segment)
            return segment
        if not live:
            self._classes.remove(segment)
            self._release(segment)
            return segment
        now = ((self.fill[segment] - GRAIN - live) * CLASSES) >> self.shift
        if now != self._class[segment]:
            self._class[segment] = now
            self._classes.move(now, segment)
        return NONE

    def sparsest(self, least: int = 1) -> int:
        """Return the sealed segment with the most dead bytes, or NONE.

        Args:
            least: How many sixteenths of the segment must be dead.
        """
        for which in range(CLASSES - 1, least - 1, -1):
            segment = self._classes.first(which)
            if segment != NONE:
                return segment
        return NONE

    def bounds(self, segment: int) -> tuple[int, int]:
        """Return where the records of a segment begin and end."""
        start = segment << self.shift
        end = self.at if segment == self.open else start + self.fill[segment]
        return start + GRAIN, end

    def in_use(self) -> list[int]:
        """Return the segments that hold records."""
        return [
            segment for segment in range(self._fresh) if segment == self.open or self.live[segment]
        ]

    def open_next(self) -> int:
        """Seal the open segment and open another. Return the new one."""
        if self.open != NONE:
            fill = self.at - (self.open << self.shift)
            self.fill[self.open] = fill
            dead = fill - GRAIN - self.live[self.open]  # never all: it would be free
            self._class[self.open] = (dead * CLASSES) >> self.shift
            self._classes.push(self._class[self.open], self.open)
        segment = self._reserve
        if segment != NONE:
            self._reserve = NONE
        else:
            segment = self._classes.first(CLASSES)
            if segment != NONE:
                self._classes.remove(segment)
            elif self.stale:
                self.stale = segment = self.stale - 1
                self.held -= self.segment  # it was counted as stale
            else:
                segment = self._fresh
                assert segment < self.segments
                self._fresh += 1
        self.held += self.segment
        self.open = segment
        self.at = (segment << self.shift) + GRAIN  # so that no record begins at offset 0
        self.end = (segment + 1) << self.shift
        return segment

    def vacate(self, segment: int) -> None:
        """Free a sealed segment whose records were moved elsewhere."""
        self.live_total -= self.live[segment]
        self.live[segment] = 0
        self._classes.remove(segment)
        self._release(segment)

    def _release(self, segment: int) -> None:
        self.held -= self.segment
        if self._reserve == NONE:
            self._reserve = segment
            return
        release(self.memory, segment << self.shift, self.segment)
        self._classes.push(CLASSES, segment)
