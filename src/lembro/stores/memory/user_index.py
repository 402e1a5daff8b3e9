"""The user index: a hash table that finds the sessions of a user, and the session of a token.

It maps a tag, a number of 64 bits, to any number of slots. The tag of a logged-in session is the
hash of its user. The tag of an anonymous session is the token of its reputation. Two users or
tokens may have the same tag by chance, so callers compare the users themselves.

Like the index, the table grows and shrinks by single buckets (linear hashing) and is never rebuilt.
The slots of a bucket form a doubly linked list, whose tags and links are in the records. A record
without user and reputation has no links and takes nothing.
"""

from __future__ import annotations

from array import array
from mmap import mmap
from struct import Struct
from typing import Final

from .layout import HEADER
from .reserved_memory import ReservedMemory

OUT: Final = -2  # in place of the next slot: the record is not in the table
END: Final = -1
_FEWEST: Final = 8  # buckets

_NEXT: Final = HEADER + 8
_PREV: Final = HEADER + 12
_links = Struct("<Qii")
_read = _links.unpack_from
_write = _links.pack_into
_write_one = Struct("<i").pack_into

UNLINKED: Final = _links.pack(0, OUT, END)
"""The links of a record that is not in the table."""


def user_tag(user: bytes) -> int:
    """Return the tag of a user, encoded as in a record."""
    return hash(user) & (2**64 - 1)


class UserIndex:
    """The hash table.

    Attributes:
        buckets: How many buckets there are.
        count: How many slots are in the table.
        size: Bytes of the table, rounded up to whole units.
    """

    __slots__ = (
        "_heads",
        "_low",
        "_memory",
        "_place",
        "_reserved",
        "_unit",
        "buckets",
        "count",
        "size",
    )

    buckets: int
    count: int
    size: int

    def __init__(self, place: memoryview[int], memory: mmap, most: int, unit: int) -> None:
        """Make an empty table.

        Args:
            place: Where the record of each slot begins in ``memory``, in units of 8 bytes.
            memory: The memory of the records.
            most: How many slots there may be.
            unit: The size is counted in units of this number of bytes.
        """
        self._place = place
        self._memory = memory
        self._unit = unit
        self._reserved = ReservedMemory("i", most + _FEWEST)
        self._heads = self._reserved.view  # only the first ``buckets`` are in use
        self.reset()

    def reset(self) -> None:
        """Remove all slots."""
        self.buckets = _FEWEST
        self._heads[:_FEWEST] = memoryview(array("i", [END]) * _FEWEST)
        self._low = _FEWEST  # the largest power of two that is at most ``buckets``
        self.count = 0
        self.size = 0
        self._remeasure()

    def links(self, slot: int) -> tuple[int, int, int]:
        """Return the tag, the next slot, and the previous slot of a record that has links.

        For the first slot of a bucket, the previous slot is ``~bucket``.
        """
        links: tuple[int, int, int] = _read(self._memory, (self._place[slot] << 3) + HEADER)
        return links

    def has(self, slot: int) -> bool:
        """Return whether a slot, whose record has links, is in the table."""
        return self.links(slot)[1] != OUT

    def is_in(self, at: int) -> bool:
        """Return whether the record at an offset, which has links, is in the table."""
        after: int = _read(self._memory, at + HEADER)[1]
        return after != OUT

    def slots_of(self, tag: int, most: int | None = None) -> list[int]:
        """Return the slots with a tag, at most ``most`` of them, the newest first."""
        slots: list[int] = []
        slot = self._heads[self._bucket(tag)]
        while slot >= 0 and len(slots) != most:
            its, after, _ = self.links(slot)
            if its == tag:
                slots.append(slot)
            slot = after
        return slots

    def add(self, slot: int, tag: int) -> bool:
        """Add a slot, whose record is already written. Return whether the size changed."""
        self._link(slot, tag)
        self.count += 1
        if self.count > self.buckets:
            self._split()
            return self._remeasure()
        return False

    def remove(self, slot: int) -> bool:
        """Remove a slot, if it is in the table. Return whether the size changed."""
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
        """Put slot ``new`` at the position of slot ``old``, if that is in the table."""
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
        """Return by how many bytes adding a slot can increase the size."""
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
        """Add a bucket. The slots of an existing bucket are divided between the two."""
        old = self.buckets - self._low
        slot, self._heads[old] = self._heads[old], END
        self._heads[self.buckets] = END
        self.buckets += 1
        self._relink(slot)
        if self.buckets == 2 * self._low:
            self._low *= 2

    def _merge(self) -> None:
        """Remove the last bucket. Its slots go to the bucket that it was split from."""
        self.buckets -= 1
        slot = self._heads[self.buckets]
        if self.buckets < self._low:
            self._low //= 2
        self._relink(slot)

    def _relink(self, slot: int) -> None:
        """Put a slot, and all that follow it, into the buckets of their tags."""
        kept = []
        while slot >= 0:
            tag, after, _ = self.links(slot)
            kept.append((slot, tag))
            slot = after
        for entry in reversed(kept):  # _link puts a slot first, and the order must stay
            self._link(*entry)

    def _remeasure(self) -> bool:
        size = -(-4 * self.buckets // self._unit) * self._unit
        if size == self.size:
            return False
        if size < self.size:
            self._reserved.release_from(size >> 2)
        self.size = size
        return True
