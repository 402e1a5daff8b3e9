"""Who belongs together: the sessions of a user, and the session that bears a standing's token.

A hash table from a 64-bit tag to any number of slots. It grows and shrinks a bucket at a time
(linear hashing), so there is no moment at which it is rebuilt. Tag and links lie in the records
that are in the table, so the others pay nothing. A tag may be shared by chance: callers compare
what it stands for.
"""

from __future__ import annotations

from array import array
from mmap import mmap
from struct import Struct
from typing import Final

from .layout import HEADER
from .reserved_memory import Stretch

OUT: Final = -2  # as the next: the slot is not in the table
END: Final = -1
_FEWEST: Final = 8  # buckets

_NEXT: Final = HEADER + 8
_PREV: Final = HEADER + 12
_links = Struct("<Qii")
_read = _links.unpack_from
_write = _links.pack_into
_write_one = Struct("<i").pack_into

LOOSE: Final = _links.pack(0, OUT, END)  # the links of a record that is not in the table yet


class Tags:
    __slots__ = (
        "_heads",
        "_low",
        "_memory",
        "_place",
        "_stretch",
        "_unit",
        "buckets",
        "count",
        "size",
    )

    buckets: int
    count: int
    size: int

    def __init__(self, place: memoryview[int], memory: mmap, most: int, unit: int) -> None:
        """``place`` says where in ``memory`` the record of a slot begins, in eights of bytes.
        There will be at most ``most`` entries. The size is told in steps of ``unit`` bytes."""
        self._place = place
        self._memory = memory
        self._unit = unit
        self._stretch = Stretch("i", most + _FEWEST)
        self._heads = self._stretch.view  # only the first ``_buckets`` are in use
        self.reset()

    def reset(self) -> None:
        self.buckets = _FEWEST
        self._heads[:_FEWEST] = memoryview(array("i", [END]) * _FEWEST)
        self._low = _FEWEST  # the power of two that is at most the number of buckets
        self.count = 0
        self.size = 0  # bytes
        self._remeasure()

    def links(self, slot: int) -> tuple[int, int, int]:
        """Tag, next, and previous (``~bucket`` for the first of a bucket). Only for slots whose
        records have links."""
        links: tuple[int, int, int] = _read(self._memory, (self._place[slot] << 3) + HEADER)
        return links

    def has(self, slot: int) -> bool:
        return self.links(slot)[1] != OUT

    def is_in(self, at: int) -> bool:
        """Whether the record at this place is in the table. Only for one that has links."""
        after: int = _read(self._memory, at + HEADER)[1]
        return after != OUT

    def slots_of(self, tag: int, most: int | None = None) -> list[int]:
        """The slots with this tag (at most so many of them), the last added first."""
        slots: list[int] = []
        slot = self._heads[self._bucket(tag)]
        while slot >= 0 and len(slots) != most:
            its, after, _ = self.links(slot)
            if its == tag:
                slots.append(slot)
            slot = after
        return slots

    def add(self, slot: int, tag: int) -> bool:
        """Enter a slot, whose record is in place; whether the size changed."""
        self._link(slot, tag)
        self.count += 1
        if self.count > self.buckets:
            self._split()
            return self._remeasure()
        return False

    def remove(self, slot: int) -> bool:
        """Take a slot out, if it is in; whether the size changed."""
        _, after, before = self.links(slot)
        if after == OUT:
            return False
        if before < 0:
            self._heads[~before] = after
        else:
            self._set(before, _NEXT, after)
        if after >= 0:
            self._set(after, _PREV, before)
        self._set(slot, _NEXT, OUT)
        self.count -= 1
        changed = False
        while self.buckets > max(_FEWEST, 4 * self.count):  # four times at most
            self._merge()
            changed = self._remeasure() or changed
        return changed

    def rename(self, old: int, new: int) -> None:
        """A record has got another slot."""
        _, after, before = self.links(old)
        if after == OUT:
            return
        if before < 0:
            self._heads[~before] = new
        else:
            self._set(before, _NEXT, new)
        if after >= 0:
            self._set(after, _PREV, new)

    def growth(self) -> int:
        """At most so many bytes are needed while a slot is added."""
        return self._unit

    def _set(self, slot: int, which: int, value: int) -> None:
        _write_one(self._memory, (self._place[slot] << 3) + which, value)

    def _bucket(self, tag: int) -> int:
        bucket = tag & (2 * self._low - 1)
        return bucket if bucket < self.buckets else bucket & (self._low - 1)

    def _link(self, slot: int, tag: int) -> None:
        bucket = self._bucket(tag)
        first = self._heads[bucket]
        _write(self._memory, (self._place[slot] << 3) + HEADER, tag, first, ~bucket)
        if first >= 0:
            self._set(first, _PREV, slot)
        self._heads[bucket] = slot

    def _split(self) -> None:
        """One bucket more; the next in turn is shared out between itself and the new one."""
        old = self.buckets - self._low
        slot, self._heads[old] = self._heads[old], END
        self._heads[self.buckets] = END
        self.buckets += 1
        self._share(slot)
        if self.buckets == 2 * self._low:
            self._low *= 2

    def _merge(self) -> None:
        """One bucket less; what it held goes to the bucket it once came from."""
        self.buckets -= 1
        slot = self._heads[self.buckets]
        if self.buckets < self._low:
            self._low //= 2
        self._share(slot)

    def _share(self, slot: int) -> None:
        kept = []
        while slot >= 0:
            tag, after, _ = self.links(slot)
            kept.append((slot, tag))
            slot = after
        for entry in reversed(kept):  # linking puts in front, and the order is to stay
            self._link(*entry)

    def _remeasure(self) -> bool:
        size = -(-4 * self.buckets // self._unit) * self._unit
        if size == self.size:
            return False
        if size < self.size:
            self._stretch.release_from(size >> 2)
        self.size = size
        return True
