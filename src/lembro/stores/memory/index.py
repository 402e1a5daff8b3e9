"""From the key to the slot: a hash table that grows a bucket at a time.

Linear hashing over chains: the table never is rebuilt, so that no insertion takes long, and a
record takes ten bytes in it. The keys themselves are in the records.
"""

from __future__ import annotations

from array import array
from mmap import mmap
from typing import Final

from .layout import KEY
from .reserved_memory import Stretch
from .slots import Slots

END: Final = -1
_FEWEST: Final = 8  # buckets
BATCH: Final = 32  # of them are added at a time


class Index:
    __slots__ = (
        "_memory",
        "_place",
        "_stretch",
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
        """``place`` says where in ``memory`` the record of a slot begins, in eights of bytes.
        There will be at most ``most`` keys. The size is told in steps of ``unit`` bytes."""
        self._place = place
        self._memory = memory
        self._unit = unit
        self.chain = slots.column("i")
        self._stretch = Stretch("i", 2 * most + _FEWEST)
        self.heads = self._stretch.view  # of the chains; only the first ``buckets`` are in use
        self.reset()

    def reset(self) -> None:
        self.buckets = _FEWEST
        self.heads[:_FEWEST] = memoryview(array("i", [END]) * _FEWEST)
        self.mask = 2 * _FEWEST - 1  # twice the power of two that is at most ``buckets``, less one
        self.low = _FEWEST - 1
        self.count = 0
        self.size = 0  # bytes
        self._remeasure()

    def find(self, key: bytes) -> int:
        """The slot of a key, or END."""
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
        """Enter a key that is not there, whose record is in place; whether the size changed."""
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
        """Take a key out; whether the size changed."""
        self._relink(key, slot, self.chain[slot])
        self.count = count = self.count - 1
        if self.buckets > 3 * count + _FEWEST:
            self._merge()
            self._merge()
            self._merge()
            return self._remeasure()
        return False

    def rename(self, key: bytes, old: int, new: int) -> None:
        """Let slot ``new`` take the place of ``old``."""
        self.chain[new] = self.chain[old]
        self._relink(key, old, new)

    def growth(self) -> int:
        """At most so many bytes are needed while a key is added."""
        return self._unit

    def slots(self) -> list[int]:
        """All of them."""
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
        """Let what leads to ``slot`` lead to ``to``."""
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
        """A few buckets more; for each the next in turn is shared out between itself and the
        new one."""
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
        """One bucket less; what it held goes to the bucket it once came from."""
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
            self._stretch.release_from(size >> 2)
        self.size = size
        return True
