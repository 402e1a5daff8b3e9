"""The ledger: how many bytes the store uses, and the limits that follow from max_size.

It counts the objects that the store consists of, the tables (slots, index, user index), the
overflow, and whole segments of the arena, whatever they contain. It does not count single records
inside a segment: writing one changes the sum only if it opens a segment or makes a table grow.
After each such change, the part that made it calls ``Ledger.update``.
"""

from __future__ import annotations

from typing import Final

from .arena import Arena
from .expiry_wheel import ExpiryWheel
from .index import Index
from .overflow import Overflow
from .reserved_memory import PAGE
from .slots import Slots
from .user_index import UserIndex

FIXED: Final = 9 * 1024  # bytes of the objects that a store consists of, rounded up
LIVE: Final = 15 / 16  # of the segments at most; dead bytes in the rest make compaction cheap
PAGED_FROM: Final = 2**20  # bytes; a smaller store counts its tables in units of less than a page
MAPPINGS: Final = 8  # mappings of the tables; on average, the last page of each is half empty


def unit_for(max_size: int) -> int:
    """Return the unit in bytes, in which the sizes of the hash tables are counted."""
    return PAGE if max_size >= PAGED_FROM else 256


class Ledger:
    """The sum of all bytes, and the limits.

    Attributes:
        max_size: The maximum size of the store, in bytes.
        target: The bytes that ``reduce`` evicts down to.
        fixed: Bytes that do not depend on the content.
        used: All bytes that the store uses now.
        limit: The maximum of ``used`` after a write. Below max_size, it leaves room for one more
            step of each table.
        live_limit: The maximum that living records may take in the segments.
    """

    __slots__ = (
        "_arena",
        "_index",
        "_overflow",
        "_slots",
        "_user_index",
        "fixed",
        "limit",
        "live_limit",
        "max_size",
        "target",
        "used",
    )

    used: int
    limit: int
    live_limit: int

    def __init__(  # noqa: PLR0917 - the parts that are counted
        self,
        max_size: int,
        reduce_to: float,
        arena: Arena,
        slots: Slots,
        index: Index,
        user_index: UserIndex,
        overflow: Overflow,
        wheel: ExpiryWheel,
    ) -> None:
        self.max_size: int = max_size
        self.target: int = int(max_size * reduce_to)
        self._arena = arena
        self._slots = slots
        self._index = index
        self._user_index = user_index
        self._overflow = overflow
        self.fixed: int = FIXED + arena.tables + wheel.size
        if max_size >= PAGED_FROM:
            self.fixed += MAPPINGS * PAGE
        self.update()

    def reserve(self, size: int) -> None:
        """Count ``size`` bytes more that do not depend on the content."""
        self.fixed += size
        self.target += size - size * self.target // self.max_size  # a share of the rest
        self.update()

    def update(self) -> None:
        """Add up all bytes, after a segment, a table or the overflow has changed its size."""
        slots, index, user_index, arena = self._slots, self._index, self._user_index, self._arena
        outside = self.fixed + slots.size + index.size + user_index.size + self._overflow.size
        self.used = outside + arena.held
        growth = slots.growth() + index.growth() + user_index.growth()
        self.limit = self.max_size - growth
        # Two segments are not for living records: the open one may be almost empty, and compaction
        # needs another one to move records to.
        self.live_limit = int((self.limit - outside - 2 * arena.segment) * LIVE)
