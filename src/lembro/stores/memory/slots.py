"""The table: a row ("slot") for each record, its fields in columns, grown in steps.

Columns are arrays of numbers: 8 bytes for a float, where an object would take 24 and its place.
They keep their identity for the life of the store, so the hot verbs may hold them.
"""

from __future__ import annotations

from array import array
from sys import getsizeof
from typing import Any, Final

from .chains import NONE, Chains

FIRST: Final = 32  # slots of an empty store
MOST: Final = 4096


def step(capacity: int) -> int:
    """By how many slots a table of this capacity grows: an eighth, so that little stays unused,
    and never so many that a write is held up."""
    return min(FIRST + (capacity >> 3), MOST)


class Slots:
    __slots__ = ("_fixed", "_free", "_free_list", "capacity", "columns", "edge", "fresh", "size")

    def __init__(self, free: Chains, free_list: int) -> None:
        self._free = free
        self._free_list = free_list  # the list of ``free`` that holds the slots given back
        self.columns: list[array[Any]] = []
        self._fixed: list[int] = []  # how many sentinels come before the slots of each column
        self.capacity = 0
        self.edge = 0  # slots from here on are not given out: the capacity, or less while shrinking
        self.fresh = 0  # slots from here on were never used (linking them all would take time)
        self.size = 0  # bytes

    def column(self, typecode: str) -> array[Any]:
        """A new column, to be registered before the first slot is taken."""
        new: array[Any] = array(typecode)
        self.register(new)
        return new

    def register(self, *columns: array[Any]) -> None:
        for column in columns:
            self.columns.append(column)
            self._fixed.append(len(column))
        self.size = self._measure()

    def has_free(self) -> bool:
        return self.fresh < self.edge or self._free.first(self._free_list) != NONE

    def take(self) -> int:
        """A free slot; the caller has looked whether there is one."""
        slot = self._free.first(self._free_list)
        if slot != NONE:
            self._free.remove(slot)
            return slot
        slot = self.fresh
        assert slot < self.edge
        self.fresh = slot + 1
        return slot

    def give(self, slot: int) -> None:
        """Take a slot back; it must be in no list of the free chains."""
        self._free.push(self._free_list, slot)

    def growth(self) -> int:
        """At most so many bytes are needed while ``grow`` runs: what is added with what arrays
        allocate ahead (1/16), and one column being copied by ``realloc``."""
        added = step(self.capacity)
        after = self.capacity + added + self._fixed_most()
        ahead = added + (after >> 4) + 8
        return sum(c.itemsize for c in self.columns) * ahead + 8 * after

    def grow(self) -> int:
        """Add a step of slots; by how many bytes the table has grown."""
        assert self.edge == self.capacity  # while shrinking there is always a free slot
        added = step(self.capacity)
        for column in self.columns:
            column.frombytes(bytes(added * column.itemsize))
        self.capacity += added
        self.edge = self.capacity
        return self._remeasure()

    def retire(self, slot: int) -> None:
        """Give a free slot out no more; it must be the last below the edge."""
        self.edge = slot
        if slot < self.fresh:
            self._free.remove(slot)

    def truncate(self, capacity: int) -> int:
        """Drop the slots from ``capacity`` on, all of them retired; by how many bytes the table
        has grown (a negative number)."""
        for column, fixed in zip(self.columns, self._fixed, strict=True):
            del column[capacity + fixed :]
        self.capacity = self.edge = capacity
        self.fresh = min(self.fresh, capacity)
        return self._remeasure()

    def _fixed_most(self) -> int:
        return max(self._fixed)

    def _remeasure(self) -> int:
        before, self.size = self.size, self._measure()
        return self.size - before

    def _measure(self) -> int:
        return sum(map(getsizeof, self.columns))
