"""Where the records lie: one stretch of memory, reserved whole and taken piece by piece.

It is cut into segments. Records are appended to the open one; what a record leaves behind when it
goes is dead until its segment is evacuated: the living are moved to the open segment, and the
memory goes back to the system. So what the store holds is what it counts, whatever the sizes.
"""

from __future__ import annotations

from array import array
from mmap import mmap
from typing import Final

from .layout import GRAIN
from .linked_lists import NONE, fixed
from .reserved_memory import anonymous, release

SMALLEST: Final = 2 * 1024  # bytes of a segment
LARGEST: Final = 128 * 1024  # to evacuate it takes about a quarter of a millisecond
MOST: Final = 2**18  # segments; each takes 33 bytes in tables that are made with the store
CLASSES: Final = 16  # of segments, by how much of them is dead


def segment_size(max_size: int) -> int:
    """About a hundredth of the whole, within limits: a power of two."""
    most = max(LARGEST, _power_of_two(max_size // MOST))
    return min(most, max(SMALLEST, _power_of_two(max_size >> 7)))


def _power_of_two(number: int) -> int:
    return 1 << (number.bit_length() - 1) if number else 1


class Arena:
    __slots__ = (
        "_class",
        "_classes",
        "_fresh",
        "_warm",
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
        self.segment: Final[int] = segment_size(max_size)
        self.shift: Final[int] = self.segment.bit_length() - 1
        self.segments: Final[int] = max_size >> self.shift
        self.memory: Final[mmap] = anonymous(self.segments << self.shift)
        self.live = array("I", bytes(4 * self.segments))  # bytes of the records in each segment
        self.fill = array("I", bytes(4 * self.segments))  # where its records end
        self._classes = fixed(
            CLASSES + 1, self.segments
        )  # of the sealed ones; the last list: the free ones
        self._class = array("B", bytes(self.segments))
        self.tables: Final[int] = 17 * self.segments + 8 * (CLASSES + 1)  # bytes
        self._fresh = 0  # segments from here on were never used
        self.reset()

    def reset(self) -> None:
        """Forget all records. The memory that they took is counted until it is given back."""
        self._classes.reset()
        self.live[:] = array("I", bytes(4 * self.segments))
        self.stale = self._fresh  # segments before this one are free, and ``give_back`` is to come
        self._warm = NONE  # a free segment whose memory was not given back: it is the reserve
        self.open = NONE
        self.at = self.end = 0  # in the open segment: where the next record goes, and the end
        self.live_total = 0
        # Bytes: the segments in use, and one in reserve that evacuation needs for a moment.
        self.held = self.segment * (1 + self.stale)

    def give_back(self) -> bool:
        """Give back the memory of one segment whose records were forgotten. Whether there was one.
        (All of a million sessions at once would take 30 ms.)"""
        if not self.stale:
            return False
        self.stale -= 1
        release(self.memory, self.stale << self.shift, self.segment)
        self._classes.push(CLASSES, self.stale)
        self.held -= self.segment
        return True

    def take(self, size: int) -> int:
        """Append a record that fits; where it begins."""
        at = self.at
        self.at = at + size
        self.live[self.open] += size
        self.live_total += size
        return at

    def drop(self, at: int, size: int) -> int:
        """A record is gone; the segment that is empty and free by that, or NONE."""
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
        """The sealed segment of which most is dead, at least so many sixteenths; or NONE."""
        for at in range(CLASSES - 1, least - 1, -1):
            segment = self._classes.first(at)
            if segment != NONE:
                return segment
        return NONE

    def bounds(self, segment: int) -> tuple[int, int]:
        """Where the records of a segment begin and end."""
        start = segment << self.shift
        end = self.at if segment == self.open else start + self.fill[segment]
        return start + GRAIN, end

    def in_use(self) -> list[int]:
        return [
            segment for segment in range(self._fresh) if segment == self.open or self.live[segment]
        ]

    def open_next(self) -> int:
        """Seal the open segment, and open another; its number."""
        if self.open != NONE:
            fill = self.at - (self.open << self.shift)
            self.fill[self.open] = fill
            dead = fill - GRAIN - self.live[self.open]  # not all: an empty one would have room
            self._class[self.open] = (dead * CLASSES) >> self.shift
            self._classes.push(self._class[self.open], self.open)
        segment = self._warm
        if segment != NONE:
            self._warm = NONE
        else:
            segment = self._classes.first(CLASSES)
            if segment != NONE:
                self._classes.remove(segment)
            elif self.stale:
                self.stale = segment = self.stale - 1
                self.held -= self.segment  # counted already
            else:
                segment = self._fresh
                assert segment < self.segments
                self._fresh += 1
        self.held += self.segment
        self.open = segment
        self.at = (segment << self.shift) + GRAIN  # so that no record begins at 0
        self.end = (segment + 1) << self.shift
        return segment

    def vacate(self, segment: int) -> None:
        """A sealed segment is free: what lived in it was moved elsewhere."""
        self.live_total -= self.live[segment]
        self.live[segment] = 0
        self._classes.remove(segment)
        self._release(segment)

    def _release(self, segment: int) -> None:
        self.held -= self.segment
        if self._warm == NONE:
            self._warm = segment
            return
        release(self.memory, segment << self.shift, self.segment)
        self._classes.push(CLASSES, segment)
