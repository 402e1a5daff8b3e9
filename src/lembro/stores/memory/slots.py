"""The table: a row ("slot") for each record, its fields in columns, grown in steps.

The columns keep their identity for the life of the store, so the hot verbs may hold them.
"""

from __future__ import annotations

from typing import Final

from .linked_lists import Chains
from .reserved_memory import Stretch, Typecode

FIRST: Final = 32  # slots of an empty store
MOST: Final = 4096


def step(capacity: int) -> int:
    """By how many slots a table of this capacity grows: an eighth, so that little stays unused,
    and never so many that a write is held up."""
    return min(FIRST + (capacity >> 3), MOST)


class Slots:
    __slots__ = (
        "_columns",
        "_free",
        "_free_list",
        "_most",
        "capacity",
        "edge",
        "fresh",
        "row",
        "spare",
    )

    capacity: int
    edge: int
    fresh: int
    row: int
    spare: int

    def __init__(self, most: int, lists: int) -> None:
        """``most`` is how many slots there may ever be; ``lists`` how many lists the slots in
        use are linked in, in ``chains``, whose last list holds the slots given back."""
        self._most = most
        self._columns: list[Stretch] = []
        self.row = 0  # bytes that a slot takes
        links = [self._stretch("i", most + lists + 1) for _ in range(2)]
        self._free = Chains(lists + 1, links[0], links[1])
        self._free_list = lists
        self.capacity = 0
        self.edge = 0  # slots from here on are not given out: the capacity, or less while shrinking
        self.fresh = 0  # slots from here on were never used (linking them all would take time)
        self.spare = 0  # slots given back

    @property
    def chains(self) -> Chains:
        return self._free

    @property
    def size(self) -> int:
        return self.capacity * self.row

    def column(self, typecode: Typecode) -> memoryview[int]:
        """A new column, before the first slot is taken."""
        return self._stretch(typecode, self._most)

    def _stretch(self, typecode: Typecode, entries: int) -> memoryview[int]:
        column = Stretch(typecode, entries)
        self._columns.append(column)
        self.row += column.itemsize
        return column.view

    def next(self) -> int:
        """The slot that ``take`` gives out next; the caller has looked whether there is one."""
        return self._free.first(self._free_list) if self.spare else self.fresh

    def take(self) -> int:
        """A free slot; the caller has looked whether there is one."""
        if self.spare:
            slot = self._free.first(self._free_list)
            self._free.remove(slot)
            self.spare -= 1
            return slot
        slot = self.fresh
        assert slot < self.edge
        self.fresh = slot + 1
        return slot

    def give(self, slot: int) -> None:
        """Take a slot back; it must be in no list."""
        self._free.push(self._free_list, slot)
        self.spare += 1

    def growth(self) -> int:
        """By how many bytes the table grows next."""
        return step(self.capacity) * self.row

    def grow(self) -> None:
        """Add a step of slots."""
        assert self.edge == self.capacity  # while shrinking there is always a free slot
        self.capacity = self.edge = min(self._most, self.capacity + step(self.capacity))

    def retire(self, slot: int) -> None:
        """Give a free slot out no more; it must be the last below the edge."""
        self.edge = slot
        if slot < self.fresh:
            self._free.remove(slot)
            self.spare -= 1

    def reset(self) -> None:
        """Drop all slots. Their lists are then to be reset."""
        for column in self._columns:
            column.clear(self.fresh)
        self.spare = 0
        self.truncate(0)

    def truncate(self, capacity: int) -> None:
        """Drop the slots from ``capacity`` on, all of them retired."""
        for column in self._columns:
            column.release_from(capacity + self._free_list + 1)
        self.capacity = self.edge = capacity
        self.fresh = min(self.fresh, capacity)
