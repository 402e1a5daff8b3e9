"""Compaction: it moves records together, so that memory can go back to the system.

* A segment is compacted by moving its living records to the open segment.
* The slot table is shrunk by moving the records of high slots to low ones.
* To clear the store, the payloads in the overflow are removed one by one, and the emptied segments
  are given back one by one.

Each takes place in short steps.
"""

from __future__ import annotations

from math import inf
from typing import Final

from . import layout
from .arena import CLASSES, Arena
from .eviction import FREE_LIST, Queues
from .expiry_wheel import ExpiryWheel
from .layout import BODY, DEADLINE, LARGE, read_state
from .ledger import Ledger
from .linked_lists import NONE
from .overflow import Overflow
from .records import Records
from .slots import Slots

FEWEST_SLOTS: Final = 256  # a table with this number of slots or fewer does not shrink


class Compaction:
    """Compacts segments and shrinks the slot table.

    Attributes:
        readers: The iterations over all sessions that are in progress. While there are any, the
            table does not shrink, because they rely on the numbers of the slots.
    """

    __slots__ = (
        "_arena",
        "_ledger",
        "_overflow",
        "_place",
        "_queues",
        "_records",
        "_slots",
        "_wheel",
        "readers",
    )

    def __init__(
        self,
        *,
        arena: Arena,
        ledger: Ledger,
        overflow: Overflow,
        place: memoryview[int],
        queues: Queues,
        records: Records,
        slots: Slots,
        wheel: ExpiryWheel,
    ) -> None:
        self._arena = arena
        self._ledger = ledger
        self._overflow = overflow
        self._place = place
        self._queues = queues
        self._records = records
        self._slots = slots
        self._wheel = wheel
        self.readers: set[object] = set()

    def compact(self, segment: int) -> None:
        """Move the living records of a sealed segment to the open one, and free the segment."""
        arena, memory, place = self._arena, self._arena.memory, self._place
        capacity = self._slots.capacity
        at, end = arena.bounds(segment)
        soonest = inf
        while at < end:
            deadline, _, length, flags, slot, extent, user_length = read_state(
                memory, at + DEADLINE
            )
            if slot < capacity and place[slot] == at >> 3:
                size = BODY[flags] + user_length
                if not flags & LARGE:
                    size += length
                size = (size + 7) & -8
                if arena.at + size > arena.end:
                    if arena.open != NONE:
                        self._wheel.lower_bound(arena.open, soonest)
                    self._wheel.add(arena.open_next(), inf)
                to = arena.take(size)
                memory.move(to, at, size)
                if size >> 3 != extent:  # the record had become shorter in its place
                    layout.write_extent(memory, to + layout.EXTENT, size >> 3)
                    self._queues.resize(slot, extent << 3, size)
                place[slot] = to >> 3
                soonest = min(soonest, deadline)
            at += extent << 3
        arena.vacate(segment)
        self._wheel.remove(segment)
        self._wheel.lower_bound(arena.open, soonest)
        self._ledger.update()

    def compact_step(self, now: float) -> int:
        """Compact a segment of which an eighth is dead. Return 0, or NONE if there is no such
        segment."""
        segment = self._arena.sparsest(CLASSES // 8)
        if segment == NONE:
            return NONE
        self.compact(segment)
        return 0

    def shrink(self, budget: int) -> bool:
        """Continue to halve a slot table of which three quarters are unused.

        Args:
            budget: How many slots to free at most.

        Returns:
            Whether there is more to do.
        """
        slots = self._slots
        if self.readers or (
            slots.edge == slots.capacity
            and (slots.capacity <= FEWEST_SLOTS or self._records.count * 4 > slots.capacity)
        ):
            return False
        goal = slots.capacity >> 1
        for _ in range(budget):
            if slots.edge <= goal:
                slots.truncate(goal)
                self._ledger.update()
                break
            slot = slots.edge - 1
            if slot < slots.fresh and self._queues.tier[slot] != FREE_LIST:
                self._records.change_slot(slot)
            slots.retire(slot)
        return True

    def shrink_step(self, now: float) -> int:
        """Shrink the slot table a little. Return 0, or NONE if there is nothing to do."""
        return 0 if self.shrink(2) else NONE

    def remove_overflow_step(self, now: float) -> int:
        """Remove a record with its payload in the overflow. Return 0, or NONE if there is no such
        record."""
        slot = self._overflow.last()
        if slot is None:
            return NONE
        self._records.remove(slot)
        return 0

    def give_back_step(self, now: float) -> int:
        """Give back a segment that ``clear`` has emptied. Return 0, or NONE if there is no such
        segment."""
        if not self._arena.give_back():
            return NONE
        self._ledger.update()
        return 0
