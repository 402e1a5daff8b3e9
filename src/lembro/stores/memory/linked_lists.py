"""Doubly linked lists of slots, in two columns of numbers instead of one object per node.

A slot is in at most one list of a ``LinkedLists``. Each list has a sentinel node. The sentinels
come first in the columns, so the node of a slot is ``slot + number of lists``.
"""

from __future__ import annotations

from array import array
from collections.abc import Iterator
from typing import Final, TypeAlias

NONE: Final = -1

Links: TypeAlias = "array[int] | memoryview[int]"


class LinkedLists:
    """Lists that share their slots. ``which`` is the number of a list, from 0."""

    __slots__ = ("_lists", "_next", "_prev")

    def __init__(self, lists: int, after: Links, before: Links) -> None:
        """Make the lists empty.

        Args:
            lists: How many lists there are.
            after: The column of next nodes, with an entry for each list and each slot.
            before: The column of previous nodes, of the same length.
        """
        self._lists = lists
        self._next = after
        self._prev = before
        self.reset()

    def first(self, which: int) -> int:
        """Return the first slot of a list, or NONE."""
        node = self._next[which]
        return NONE if node == which else node - self._lists

    def push(self, which: int, slot: int) -> None:
        """Append a slot that is in no list."""
        node = slot + self._lists
        last = self._prev[which]
        self._next[last] = node
        self._prev[node] = last
        self._next[node] = which
        self._prev[which] = node

    def remove(self, slot: int) -> None:
        """Remove a slot from its list."""
        node = slot + self._lists
        after, before = self._next[node], self._prev[node]
        self._next[before] = after
        self._prev[after] = before

    def move(self, which: int, slot: int) -> None:
        """Remove a slot from its list and append it to list ``which``."""
        self.remove(slot)
        self.push(which, slot)

    def splice(self, source: int, target: int) -> None:
        """Append all of list ``source`` to list ``target``, in constant time."""
        first = self._next[source]
        if first == source:
            return
        last, end = self._prev[source], self._prev[target]
        self._next[end] = first
        self._prev[first] = end
        self._next[last] = target
        self._prev[target] = last
        self._next[source] = self._prev[source] = source

    def rename(self, old: int, new: int) -> None:
        """Put slot ``new``, which is in no list, at the position of slot ``old``."""
        node = new + self._lists
        after, before = self._next[old + self._lists], self._prev[old + self._lists]
        self._next[node] = after
        self._prev[node] = before
        self._next[before] = node
        self._prev[after] = node

    def walk(self, which: int) -> Iterator[int]:
        """Yield the slots of a list in order. The list must not change meanwhile."""
        node = self._next[which]
        while node != which:
            yield node - self._lists
            node = self._next[node]

    def reset(self) -> None:
        """Make all lists empty, whatever the entries of the slots hold."""
        for links in (self._next, self._prev):
            for which in range(self._lists):
                links[which] = which


def in_arrays(lists: int, slots: int) -> LinkedLists:
    """Make lists for a fixed number of slots."""
    return LinkedLists(lists, *(array("i", bytes(4 * (lists + slots))) for _ in range(2)))
