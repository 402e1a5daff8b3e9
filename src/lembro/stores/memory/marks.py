"""The marks of used legacy cookies: a table of fixed size, apart from the records.

A mark is never evicted, because its legacy cookie would then be accepted again. If the table is
full when the mark of a user is added, the table closes: no legacy cookies are accepted for as long
as that mark would have lived. Sessions without a user get only half of the rows, so that many
anonymous legacy cookies cannot close the table for users. The memory, an eighth of max_size, is
reserved at once, so a mark evicts no session.

The rows form a ring: marks are added at its end and expire at its beginning. With several
lifetimes, a mark may stay in its row after it has expired, until those before it have expired too.
"""

from __future__ import annotations

from math import inf
from mmap import mmap
from struct import Struct
from typing import Final

from ..base import NO_ROOM, Found
from .layout import KEY
from .linked_lists import NONE
from .reserved_memory import anonymous

SHARE: Final = 8  # an eighth of max_size; with sessions of 600 bytes, it has room for as many marks
ANONYMOUS_SHARE: Final = 2  # half of the rows
STEPS: Final = 8  # expired marks that a new one removes

_ROW: Final = Struct(f"={KEY}s{KEY}sddI")  # key, successor, born, deadline, next row of the chain
_LINK: Final = Struct("=I")  # a row plus 1, so that the zeros of new memory are no rows
_DEADLINE: Final = Struct("=d")
_DEADLINE_AT: Final = 2 * KEY + 8
_NEXT_AT: Final = 2 * KEY + 16
BYTES: Final = _ROW.size + _LINK.size
"""Bytes of one mark: its row, and its share of the hash table."""


class Marks:
    """The table of marks. It takes no memory before ``reserve``.

    Attributes:
        capacity: How many marks there is room for.
        size: Bytes of the table; 0 before ``reserve``.
        count: How many marks there are, those included that have expired and still have a row.
    """

    __slots__ = ("_closed_until", "_heads", "_memory", "_oldest", "budget", "capacity", "count")

    def __init__(self, max_size: int) -> None:
        self.capacity: Final = max_size // SHARE // BYTES
        self.budget: Final = self.capacity * BYTES
        self.count: int = 0
        self._memory: mmap | None = None
        self._heads = self.capacity * _ROW.size  # where the table of the chains begins
        self._oldest = 0
        self._closed_until = -inf

    @property
    def size(self) -> int:
        """Bytes that the table takes."""
        return 0 if self._memory is None else self.budget

    def reserve(self) -> None:
        """Take the memory."""
        self._memory = anonymous(self.budget)

    def get(self, key: bytes, now: float) -> Found | None:
        """Return the mark, or None. While the table is closed, return a mark with the payload
        NO_ROOM."""
        memory = self._memory
        if memory is None:
            return None
        (link,) = _LINK.unpack_from(memory, self._head(key))
        while link:
            row, successor, born, deadline, link = _ROW.unpack_from(memory, self._at(link - 1))
            if row == key and deadline > now:
                left = deadline - now
                return Found(b"", None, successor, None, now - born, left, left)
        left = self._closed_until - now
        return Found(NO_ROOM, None, None, None, inf, left, left) if left > 0 else None

    def has_room(self, now: float, *, anonymous: bool) -> bool:
        """Return whether one more mark can be kept. Expired ones make room."""
        for _ in range(STEPS):
            if self.expire_step(now) == NONE:
                break
        return self.count < (self.capacity // ANONYMOUS_SHARE if anonymous else self.capacity)

    def close(self, until: float) -> None:
        """Accept no more legacy cookies until this time."""
        self._closed_until = max(self._closed_until, until)

    def put(self, key: bytes, successor: bytes, now: float, deadline: float) -> None:
        """Add a mark, for which there is room."""
        memory, head = self._memory, self._head(key)
        assert memory is not None
        row = (self._oldest + self.count) % self.capacity
        (first,) = _LINK.unpack_from(memory, head)
        _ROW.pack_into(memory, self._at(row), key, successor, now, deadline, first)
        _LINK.pack_into(memory, head, row + 1)
        self.count += 1

    def expire_step(self, now: float) -> int:
        """Remove the oldest mark if it has expired. Return 1, or NONE if there is nothing to do."""
        memory, at = self._memory, self._at(self._oldest)
        if memory is None or not self.count:
            return NONE
        if _DEADLINE.unpack_from(memory, at + _DEADLINE_AT)[0] > now:
            return NONE
        link_at, link = self._head(memory[at : at + KEY]), self._oldest + 1
        while (found := _LINK.unpack_from(memory, link_at)[0]) != link:
            link_at = self._at(found - 1) + _NEXT_AT
        memory[link_at : link_at + _LINK.size] = memory[at + _NEXT_AT : at + _ROW.size]
        self._oldest = (self._oldest + 1) % self.capacity
        self.count -= 1
        return 1

    @property
    def closed_until(self) -> float:
        """When legacy cookies are accepted again; ``-inf`` if they always were."""
        return self._closed_until

    def rows(self) -> range:
        """Return the numbers of the rows in use, the oldest mark first."""
        return range(self._oldest, self._oldest + self.count)

    def row(self, number: int) -> tuple[bytes, bytes, float, float]:
        """Return key, successor, birth and deadline of the mark in a row, which may have expired.

        Args:
            number: The number of the row. After the last one, the numbers continue from the first.
        """
        assert self._memory is not None
        key, successor, born, deadline, _ = _ROW.unpack_from(
            self._memory, self._at(number % self.capacity)
        )
        return key, successor, born, deadline

    def keys(self) -> list[bytes]:
        """Return the keys of all chains, for tests."""
        memory, found = self._memory, []
        for bucket in range(self.capacity if memory is not None else 0):
            assert memory is not None
            (link,) = _LINK.unpack_from(memory, self._heads + bucket * _LINK.size)
            while link:
                key, _, _, _, link = _ROW.unpack_from(memory, self._at(link - 1))
                assert self._head(key) == self._heads + bucket * _LINK.size
                found.append(key)
        return found

    def _head(self, key: bytes) -> int:
        return self._heads + hash(key) % self.capacity * _LINK.size

    @staticmethod
    def _at(row: int) -> int:
        return row * _ROW.size
