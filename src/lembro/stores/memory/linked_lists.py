"""Many doubly linked lists over the same slots, in two columns and without an object per node.

A slot is in one list of a ``Chains`` at most. Every list has a sentinel node; those come first in
the columns, so the node of a slot is ``slot + lists``.
"""

from __future__ import annotations

from array import array
from collections.abc import Iterator
from typing import Final, TypeAlias

NONE: Final = -1

Links: TypeAlias = "array[int] | memoryview[int]"


class Chains:
    __slots__ = ("_base", "_next", "_prev")

    def __init__(self, lists: int, after: Links, before: Links) -> None:
        """``after`` and ``before`` have a place for each list and each slot."""
        self._base = lists
        self._next = after
        self._prev = before
        self.reset()

    def first(self, at: int) -> int:
        """The first slot of list ``at``, or NONE."""
        node = self._next[at]
        return NONE if node == at else node - self._base

    def push(self, at: int, slot: int) -> None:
        """Put a slot that is in no list at the end of list ``at``."""
        node = slot + self._base
        last = self._prev[at]
        self._next[last] = node
        self._prev[node] = last
        self._next[node] = at
        self._prev[at] = node

    def remove(self, slot: int) -> None:
        """Take a slot out of the list it is in."""
        node = slot + self._base
        after, before = self._next[node], self._prev[node]
        self._next[before] = after
        self._prev[after] = before

    def move(self, at: int, slot: int) -> None:
        """Take a slot out of its list and put it at the end of list ``at``."""
        self.remove(slot)
        self.push(at, slot)

    def splice(self, source: int, target: int) -> None:
        """Append the whole of one list to another, in one step however long it is."""
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
        """Let slot ``new``, which is in no list, take the place of ``old`` in its list."""
        node = new + self._base
        after, before = self._next[old + self._base], self._prev[old + self._base]
        self._next[node] = after
        self._prev[node] = before
        self._next[before] = node
        self._prev[after] = node

    def walk(self, at: int) -> Iterator[int]:
        """The slots of list ``at`` in their order. The list must not change meanwhile."""
        node = self._next[at]
        while node != at:
            yield node - self._base
            node = self._next[node]

    def reset(self) -> None:
        """Empty every list, whatever the slots' places hold."""
        for links in (self._next, self._prev):
            for at in range(self._base):
                links[at] = at


def fixed(lists: int, slots: int) -> Chains:
    """Chains over so many slots."""
    return Chains(lists, *(array("i", bytes(4 * (lists + slots))) for _ in range(2)))
