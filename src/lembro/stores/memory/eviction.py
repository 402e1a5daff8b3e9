"""The eviction order: which record is evicted next when memory is short.

Every session has a tier. Tiers 0 to 3 are for anonymous visitors, by how long the visitor had been
known at the last use. Tier 4 is for logged-in users. Each tier has a queue, and the least recently
used record comes first in it.

The lowest tier that holds more bytes than its floor loses a record. So a flood of new visitors
cannot evict the sessions of known visitors and logged-in users. The floor guarantees some room to
each tier: a tier within its floor loses records only if all tiers are within theirs.

This module chooses. ``reclaim.py`` evicts, and in tier 4 asks ``user_share.py`` first.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import islice
from typing import Final

from .linked_lists import NONE, LinkedLists
from .slots import Slots

TIERS: Final = 5
LOGGED_IN: Final = 4
FREE_LIST: Final = TIERS  # the list of the free slots, among the same linked lists
ROTATED_BIT: Final = 8
FLOOR: Final = 0.05  # of max_size
NEWCOMERS_FLOOR: Final = 0.2
"""The floor of tier 0. A login needs the session of the request before it, which is some 3 to 20
seconds older. Against bots that return (100 a second, in a store for 10,000 sessions), one login in
a hundred succeeded at the first try with a floor of 5 %, and all with 20 % (`python -m bench
flood`, model B)."""
MOST_SKIPPED: Final = 2000  # rotated keys that ``least_recently_used`` skips, to stay fast


def tier_for(age: float) -> int:
    """Return the tier of an anonymous visitor who has been known for ``age`` seconds."""
    if age < 60.0:
        return 0 if age < 10.0 else 1
    return 2 if age < 600.0 else 3


class Queues:
    """The queues of the tiers, and what is in them.

    Attributes:
        linked_lists: The lists of the slot table. The first ``TIERS`` are the queues.
        tier: The tier of each slot, plus ROTATED_BIT for a rotated key; FREE_LIST for a slot that
            was freed.
        counts: Sessions in each tier, without rotated keys.
        rotated: Rotated keys in all tiers.
        sizes: Bytes of the records in each tier, rotated keys included.
    """

    __slots__ = ("_floors", "counts", "linked_lists", "rotated", "sizes", "tier")

    def __init__(self, max_size: int, slots: Slots) -> None:
        """Make empty queues over a slot table that has ``TIERS`` lists."""
        floors = [NEWCOMERS_FLOOR] + [FLOOR] * (TIERS - 1)
        self._floors = [int(max_size * floor) for floor in floors]
        self.linked_lists: LinkedLists = slots.linked_lists
        self.tier: memoryview[int] = slots.column("B")
        self.counts: list[int] = [0] * TIERS
        self.rotated: int = 0
        self.sizes: list[int] = [0] * TIERS

    def add(self, slot: int, tier: int, size: int, *, rotated: bool = False) -> None:
        """Append a slot, whose record takes ``size`` bytes, to the queue of a tier."""
        if rotated:
            self.rotated += 1
            self.tier[slot] = tier | ROTATED_BIT
        else:
            self.counts[tier] += 1
            self.tier[slot] = tier
        self.sizes[tier] += size
        self.linked_lists.push(tier, slot)

    def remove(self, slot: int, size: int) -> None:
        """Remove a slot, whose record takes ``size`` bytes, from its queue."""
        tier = self.tier[slot]
        if tier & ROTATED_BIT:
            self.rotated -= 1
            tier &= ~ROTATED_BIT
        else:
            self.counts[tier] -= 1
        self.sizes[tier] -= size
        self.linked_lists.remove(slot)

    def use(self, slot: int, tier: int, size: int) -> None:
        """Move a session that is used to the end of the queue of its present tier."""
        before = self.tier[slot]
        if before != tier:
            self.counts[before] -= 1
            self.counts[tier] += 1
            self.sizes[before] -= size
            self.sizes[tier] += size
            self.tier[slot] = tier
        self.linked_lists.move(tier, slot)

    def resize(self, slot: int, change: int) -> None:
        """Count that the record of a slot takes ``change`` bytes more."""
        self.sizes[self.tier[slot] & ~ROTATED_BIT] += change

    def rename(self, old: int, new: int) -> None:
        """Put slot ``new`` at the position of slot ``old``."""
        self.linked_lists.rename(old, new)
        self.tier[new] = self.tier[old]

    def victim(self, spare: int = NONE) -> int:
        """Return the slot to evict next, or NONE.

        Args:
            spare: A slot that must not be evicted. It must be the last of its queue.
        """
        lowest = NONE
        for tier in range(TIERS):
            slot = self.linked_lists.first(tier)
            if slot in (NONE, spare):
                continue
            if self.sizes[tier] > self._floors[tier]:
                return slot
            if lowest == NONE:
                lowest = slot
        return lowest

    def least_recently_used(self, tier: int) -> int:
        """Return the least recently used session of a tier, or NONE.

        Rotated keys are skipped. After ``MOST_SKIPPED`` of them, the last one is returned instead;
        the session was used later than that one.
        """
        slot = NONE
        if self.counts[tier]:
            for slot in islice(self.linked_lists.walk(tier), MOST_SKIPPED):
                if not self.tier[slot] & ROTATED_BIT:
                    break
        return slot

    def walk(self, tier: int) -> Iterator[int]:
        """Yield the slots of a queue in order. The queue must not change meanwhile."""
        return self.linked_lists.walk(tier)

    def reset(self) -> None:
        """Make all queues empty."""
        self.linked_lists.reset()
        self.counts[:] = [0] * TIERS
        self.sizes[:] = [0] * TIERS
        self.rotated = 0
