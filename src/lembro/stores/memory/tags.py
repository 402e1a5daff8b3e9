"""Who belongs together: the sessions of a user, and the session that bears a standing's token.

A hash table from a 64-bit tag to any number of slots. It grows and shrinks a bucket at a time
(linear hashing), so there is no moment at which it is rebuilt; an entry takes 20 bytes where a
dict would take a hundred. A tag may be shared by chance: callers compare what it stands for.
"""

from __future__ import annotations

from array import array
from sys import getsizeof
from typing import Final

from .slots import Slots

OUT: Final = -2  # in ``_next``: the slot is not in the table
END: Final = -1
_FEWEST: Final = 8  # buckets
_EMPTY: Final = getsizeof(array("i"))  # bytes


class Tags:
    __slots__ = ("_heads", "_low", "_next", "_prev", "count", "heads_size", "tag")

    def __init__(self, slots: Slots) -> None:
        self.tag = slots.column("Q")
        self._next = slots.column("i")
        self._prev = slots.column("i")  # ~bucket for the first of a bucket
        self._heads = array("i", [END]) * _FEWEST
        self._low = _FEWEST  # the power of two that is at most the number of buckets
        self.count = 0
        self.heads_size = getsizeof(self._heads)  # bytes

    def slots_of(self, tag: int) -> list[int]:
        """The slots with this tag, the last added first."""
        slots = []
        slot = self._heads[self._bucket(tag)]
        while slot >= 0:
            if self.tag[slot] == tag:
                slots.append(slot)
            slot = self._next[slot]
        return slots

    def add(self, slot: int, tag: int) -> int:
        """Enter a slot; by how many bytes the table has grown."""
        self.tag[slot] = tag
        self._link(slot, self._bucket(tag))
        self.count += 1
        if self.count > len(self._heads):
            return self._split()
        return 0

    def leave_out(self, slot: int) -> None:
        """Note of a new slot that it is not in the table."""
        self._next[slot] = OUT

    def has(self, slot: int) -> bool:
        return bool(self._next[slot] != OUT)

    def remove(self, slot: int) -> int:
        """Take a slot out, if it is in; by how many bytes the table has grown."""
        after, before = self._next[slot], self._prev[slot]
        if after == OUT:
            return 0
        if before < 0:
            self._heads[~before] = after
        else:
            self._next[before] = after
        if after >= 0:
            self._prev[after] = before
        self._next[slot] = OUT
        self.count -= 1
        change = 0
        while len(self._heads) > max(_FEWEST, 4 * self.count):  # four times at most
            change += self._merge()
        return change

    def rename(self, old: int, new: int) -> None:
        """Let slot ``new`` take the place of ``old``."""
        after, before = self._next[old], self._prev[old]
        self.tag[new], self._next[new], self._prev[new] = self.tag[old], after, before
        if after == OUT:
            return
        if before < 0:
            self._heads[~before] = new
        else:
            self._next[before] = new
        if after >= 0:
            self._prev[after] = new
        self._next[old] = OUT

    def growth(self, *, now: bool = False) -> int:
        """At most so many bytes are needed while a slot is added: an array that grows is copied,
        and a sixteenth is allocated ahead. With ``now`` only if that is due."""
        buckets = len(self._heads)
        if now and self.heads_size > _EMPTY + self._heads.itemsize * buckets:
            return 0
        return (buckets + 2 * (buckets >> 4) + 16) * self._heads.itemsize

    def reset(self) -> None:
        self._heads = array("i", [END]) * _FEWEST
        self._low = _FEWEST
        self.count = 0
        self.heads_size = getsizeof(self._heads)

    @property
    def measured(self) -> int:
        return getsizeof(self._heads)

    def _bucket(self, tag: int) -> int:
        bucket = tag & (2 * self._low - 1)
        return bucket if bucket < len(self._heads) else bucket & (self._low - 1)

    def _link(self, slot: int, bucket: int) -> None:
        first = self._heads[bucket]
        self._next[slot] = first
        self._prev[slot] = ~bucket
        if first >= 0:
            self._prev[first] = slot
        self._heads[bucket] = slot

    def _split(self) -> int:
        """One bucket more; the next in turn is shared out between itself and the new one."""
        old = len(self._heads) - self._low
        self._heads.append(END)
        slot, self._heads[old] = self._heads[old], END
        self._share(slot)
        if len(self._heads) == 2 * self._low:
            self._low *= 2
        return self._remeasure()

    def _merge(self) -> int:
        """One bucket less; what it held goes to the bucket it once came from."""
        slot = self._heads.pop()
        if len(self._heads) < self._low:
            self._low //= 2
        self._share(slot)
        if self.heads_size > 8 * len(self._heads) + 256:  # an array gives nothing back by itself
            self._heads = self._heads[:]
        return self._remeasure()

    def _share(self, slot: int) -> None:
        kept = []
        while slot >= 0:
            kept.append(slot)
            slot = self._next[slot]
        for slot in reversed(kept):  # linking puts in front, and the order is to stay
            self._link(slot, self._bucket(self.tag[slot]))

    def _remeasure(self) -> int:
        before, self.heads_size = self.heads_size, getsizeof(self._heads)
        return self.heads_size - before
