"""The slot table: for each record one row of numbers, its slot, in columns.

The table grows and shrinks in steps. A column is the same object for the life of the store, so
other parts may keep references to it.
"""

from __future__ import annotations

from typing import Final

from .linked_lists import LinkedLists
from .reserved_memory import ReservedMemory, Typecode

FIRST: Final = 32  # slots of an empty store
MOST: Final = 4096  # slots of one step


def step(capacity: int) -> int:
    """Return by how many slots a table of this capacity grows.

    A step is an eighth of the capacity, so that few slots are unused, and at most ``MOST`` slots,
    so that no write has to wait long.
    """
    return min(FIRST + (capacity >> 3), MOST)


class Slots:
    """The slot table. A slot is free, in use, or retired (about to be cut off).

    Attributes:
        capacity: How many slots the table has memory for.
        edge: Slots from this one on are not handed out: the capacity, or less while shrinking.
        fresh: Slots from this one on were never used. Linking all of them would take time.
        spare: How many used slots are free again.
        row: Bytes of a slot in all columns.
    """

    __slots__ = (
        "_columns",
        "_free_list",
        "_lists",
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
        """Make an empty table.

        Args:
            most: The largest capacity.
            lists: How many linked lists the slots in use need. ``linked_lists`` has one more, the
                last, for free slots.
        """
        self._most = most
        self._columns: list[ReservedMemory] = []
        self.row = 0
        links = [self._add_column("i", most + lists + 1) for _ in range(2)]
        self._lists = LinkedLists(lists + 1, links[0], links[1])
        self._free_list = lists
        self.capacity = 0
        self.edge = 0
        self.fresh = 0
        self.spare = 0

    @property
    def linked_lists(self) -> LinkedLists:
        """The linked lists of the slots."""
        return self._lists

    @property
    def size(self) -> int:
        """Bytes of the table."""
        return self.capacity * self.row

    def column(self, typecode: Typecode) -> memoryview[int]:
        """Add a column. Call it before the first slot is taken."""
        return self._add_column(typecode, self._most)

    def _add_column(self, typecode: Typecode, entries: int) -> memoryview[int]:
        column = ReservedMemory(typecode, entries)
        self._columns.append(column)
        self.row += column.itemsize
        return column.view

    def next(self) -> int:
        """Return the slot that ``take`` hands out next. There must be a free one."""
        return self._lists.first(self._free_list) if self.spare else self.fresh

    def take(self) -> int:
        """Hand out a free slot. There must be one."""
        if self.spare:
            slot = self._lists.first(self._free_list)
            self._lists.remove(slot)
            self.spare -= 1
            return slot
        slot = self.fresh
        assert slot < self.edge
        self.fresh = slot + 1
        return slot

    def give(self, slot: int) -> None:
        """Make a slot free. It must be in no list."""
        self._lists.push(self._free_list, slot)
        self.spare += 1

    def growth(self) -> int:
        """Return how many bytes the next step takes."""
        return step(self.capacity) * self.row

    def grow(self) -> None:
        """Add a step of slots."""
        assert self.edge == self.capacity  # while shrinking there is always a free slot
        self.capacity = self.edge = min(self._most, self.capacity + step(self.capacity))

    def retire(self, slot: int) -> None:
        """Stop handing out a free slot. It must be the last one below the edge."""
        self.edge = slot
        if slot < self.fresh:
            self._lists.remove(slot)
            self.spare -= 1

    def reset(self) -> None:
        """Drop all slots. The caller resets the linked lists."""
        for column in self._columns:
            column.clear(self.fresh)
        self.spare = 0
        self.truncate(0)

    def truncate(self, capacity: int) -> None:
        """Drop the slots from ``capacity`` on. All of them must be retired."""
        for column in self._columns:
            column.release_from(capacity + self._free_list + 1)
        self.capacity = self.edge = capacity
        self.fresh = min(self.fresh, capacity)
