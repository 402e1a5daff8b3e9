"""The index: a hash table that finds the slot of a key.

The table uses linear hashing: it grows and shrinks by single buckets and is never rebuilt, so that
no insertion takes long. The slots of a bucket form a chain. The keys themselves are in the records,
so a record takes ten bytes in the index.
"""

from __future__ import annotations

from array import array
from mmap import mmap
from typing import Final

from .layout import KEY
from .reserved_memory import ReservedMemory
from .slots import Slots

END: Final = -1
_FEWEST: Final = 8  # buckets
BATCH: Final = 32  # buckets that are added at a time


class Index:
    """The hash table. The hot verbs read ``heads``, ``chain``, ``mask``, ``low`` and ``buckets``.

    Attributes:
        heads: The first slot of each bucket's chain, or END. Only the first ``buckets`` are in use.
        chain: The next slot of each slot, or END.
        buckets: How many buckets there are.
        low: The largest power of two that is at most ``buckets``, less one.
        mask: Twice that power of two, less one. The bucket of a key is ``hash(key) & mask``, or
            ``hash(key) & low`` if that bucket does not exist yet.
        count: How many keys there are.
        size: Bytes of the table, rounded up to whole units.
    """

    __slots__ = (
        "_memory",
        "_place",
        "_reserved",
        "_unit",
        "buckets",
        "chain",
        "count",
        "heads",
        "low",
        "mask",
        "size",
    )

    buckets: int
    chain: memoryview[int]
    count: int
    heads: memoryview[int]
    low: int
    mask: int
    size: int

    def __init__(
        self, slots: Slots, place: memoryview[int], memory: mmap, most: int, unit: int
    ) -> None:
        """Make an empty index.

        Args:
            slots: The slot table, which gets a column for the chains.
            place: Where the record of each slot begins in ``memory``, in units of 8 bytes.
            memory: The memory of the records.
            most: How many keys there may be.
            unit: The size is counted in units of this number of bytes.
        """
        self._place = place
        self._memory = memory
        self._unit = unit
        self.chain = slots.column("i")
        self._reserved = ReservedMemory("i", 2 * most + _FEWEST)
        self.heads = self._reserved.view
        self.reset()

    def reset(self) -> None:
        """Remove all keys."""
        self.buckets = _FEWEST
        self.heads[:_FEWEST] = memoryview(array("i", [END]) * _FEWEST)
        self.mask = 2 * _FEWEST - 1
        self.low = _FEWEST - 1
        self.count = 0
        self.size = 0
        self._remeasure()

    def find(self, key: bytes) -> int:
        """Return the slot of a key, or END."""
        bucket = hash(key) & self.mask
        if bucket >= self.buckets:
            bucket &= self.low
        slot = self.heads[bucket]
        while slot >= 0:
            at = self._place[slot] << 3
            if self._memory[at : at + KEY] == key:
                break
            slot = self.chain[slot]
        return slot

    def add(self, key: bytes, slot: int) -> bool:
        """Add a new key, whose record is already written. Return whether the size changed."""
        bucket = hash(key) & self.mask
        if bucket >= self.buckets:
            bucket &= self.low
        self.chain[slot] = self.heads[bucket]
        self.heads[bucket] = slot
        self.count = count = self.count + 1
        if self.buckets < count + (count >> 1):
            self._split(2 + (count >> 4 if count < BATCH << 4 else BATCH))
            return self._remeasure()
        return False

    def remove(self, key: bytes, slot: int) -> bool:
        """Remove a key. Return whether the size changed."""
        self._relink(key, slot, self.chain[slot])
        self.count = count = self.count - 1
        if self.buckets > 3 * count + _FEWEST:
            self._merge()
            self._merge()
            self._merge()
            return self._remeasure()
        return False

    def rename(self, key: bytes, old: int, new: int) -> None:
        """Put slot ``new`` at the position of slot ``old``."""
        self.chain[new] = self.chain[old]
        self._relink(key, old, new)

    def growth(self) -> int:
        """Return by how many bytes adding a key can increase the size."""
        return self._unit

    def slots(self) -> list[int]:
        """Return the slots of all keys."""
        found = []
        for bucket in range(self.buckets):
            slot = self.heads[bucket]
            while slot >= 0:
                found.append(slot)
                slot = self.chain[slot]
        return found

    def _bucket(self, key: bytes) -> int:
        bucket = hash(key) & self.mask
        return bucket if bucket < self.buckets else bucket & self.low

    def _relink(self, key: bytes, slot: int, to: int) -> None:
        """Make the entry that points to ``slot`` point to ``to``."""
        bucket = self._bucket(key)
        at = self.heads[bucket]
        if at == slot:
            self.heads[bucket] = to
            return
        chain = self.chain
        while (after := chain[at]) != slot:
            at = after
        chain[at] = to

    def _split(self, times: int) -> None:
        """Add a few buckets. Each new bucket gets a part of the keys of an existing one."""
        heads, chain, place, memory = self.heads, self.chain, self._place, self._memory
        bit, first = self.low + 1, self.buckets
        last = min(first + times, 2 * bit)
        for new in range(first, last):
            slot = heads[new - bit]
            stay = go = END
            while slot >= 0:
                after = chain[slot]
                at = place[slot] << 3
                if hash(memory[at : at + KEY]) & bit:
                    chain[slot] = go
                    go = slot
                else:
                    chain[slot] = stay
                    stay = slot
                slot = after
            heads[new - bit] = stay
            heads[new] = go
        self.buckets = last
        if last == 2 * bit:
            self.low, self.mask = self.mask, 2 * self.mask + 1

    def _merge(self) -> None:
        """Remove the last bucket. Its keys go to the bucket that it was split from."""
        self.buckets -= 1
        slot = self.heads[self.buckets]
        if self.buckets <= self.low:
            self.low, self.mask = self.low >> 1, self.low
        bucket = self.buckets - self.low - 1
        while slot >= 0:
            after = self.chain[slot]
            self.chain[slot] = self.heads[bucket]
            self.heads[bucket] = slot
            slot = after

    def _remeasure(self) -> bool:
        size = -(-4 * self.buckets // self._unit) * self._unit
        if size == self.size:
            return False
        if size < self.size:
            self._reserved.release_from(size >> 2)
        self.size = size
        return True
