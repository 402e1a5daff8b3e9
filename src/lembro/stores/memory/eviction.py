"""The eviction order: which record is evicted next when memory is short.

Every session has a tier. Tiers 0 to 3 are for anonymous visitors, by how long the visitor had been
known at the last use. A record without user and reputation, such as a cache entry, is in tier 0.
Tier 4 is for logged-in users. Each tier has a queue, and the least recently used record comes first
in it.

The lowest tier that holds more bytes than its floor loses a record. So a flood of new visitors
cannot evict the sessions of known visitors and logged-in users. The floor guarantees some room to
each tier: a tier within its floor loses records only if all tiers are within theirs.

Tiers 0 to 3 have a second queue, for large sessions. If the large sessions of a tier hold more than
a share together, the least recently used of them is evicted first, and the floor does not protect
it. So a few large sessions cannot evict many small ones.

This module chooses the record. ``reclaim.py`` evicts it; in tier 4 it asks ``user_share.py`` first.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from itertools import islice
from typing import Final

from .linked_lists import NONE, LinkedLists
from .slots import Slots

TIERS: Final = 5
LOGGED_IN: Final = 4
QUEUES: Final = TIERS + LOGGED_IN  # large sessions of tier n are in queue TIERS + n
FREE_LIST: Final = QUEUES  # the list of the free slots, among the same linked lists
ROTATED_BIT: Final = 16
FLOOR: Final = 0.05  # of max_size
NEWCOMERS_FLOOR: Final = 0.2
"""The floor of tier 0. A login needs the session of the request before it, which is 3 to 20 seconds
older. In a flood of bots that return, one login in a hundred succeeded at the first try with a
floor of 5 %. With 20 %, all did (100 bots a second, in a store for 10,000 sessions: model B of
`python -m bench flood`)."""
LARGE_FROM: Final = 4096
"""Bytes of a record. A larger record of an anonymous visitor is in the queue for large sessions. A
session in a signed cookie cannot be larger, so the sessions of most visitors are smaller."""
LARGE_SHARE: Final = 16  # shares in max_size; all large sessions of one tier have one share
MOST_SKIPPED: Final = 2000  # rotated keys that ``least_recently_used`` skips, to stay fast


def tier_for(age: float) -> int:
    """Return the tier of an anonymous visitor who has been known for ``age`` seconds."""
    if age < 60.0:
        return 0 if age < 10.0 else 1
    return 2 if age < 600.0 else 3


class Queues:
    """The queues of the tiers, with the numbers and the sizes of their records.

    Attributes:
        linked_lists: The lists of the slot table. The first ``QUEUES`` are the queues.
        tier: The queue of each slot, plus ROTATED_BIT for a rotated key; FREE_LIST for a slot that
            was freed.
        counts: Sessions in each tier, without rotated keys.
        rotated: Rotated keys in all tiers.
        sizes: Bytes of the records in each tier, rotated keys included.
        large: Bytes of the records in each tier that are in its queue for large ones.
    """

    __slots__ = (
        "_floors",
        "_last_used",
        "_share",
        "counts",
        "large",
        "linked_lists",
        "rotated",
        "sizes",
        "tier",
    )

    def __init__(self, max_size: int, slots: Slots, last_used: Callable[[int], float]) -> None:
        """Make empty queues.

        Args:
            max_size: The maximum number of bytes that the store may use.
            slots: A slot table that has ``QUEUES`` lists.
            last_used: Returns when the record of a slot was last used.
        """
        floors = [NEWCOMERS_FLOOR] + [FLOOR] * (TIERS - 1)
        self._floors = [int(max_size * floor) for floor in floors]
        self._share = max_size // LARGE_SHARE
        self._last_used = last_used
        self.linked_lists: LinkedLists = slots.linked_lists
        self.tier: memoryview[int] = slots.column("B")
        self.counts: list[int] = [0] * TIERS
        self.rotated: int = 0
        self.sizes: list[int] = [0] * TIERS
        self.large: list[int] = [0] * TIERS

    def add(self, slot: int, tier: int, size: int, *, rotated: bool = False) -> None:
        """Append a slot, whose record takes ``size`` bytes, to the queue of a tier."""
        queue = tier
        if rotated:
            self.rotated += 1
            self.tier[slot] = tier | ROTATED_BIT
        else:
            self.counts[tier] += 1
            if size > LARGE_FROM and tier != LOGGED_IN:
                queue += TIERS
                self.large[tier] += size
            self.tier[slot] = queue
        self.sizes[tier] += size
        self.linked_lists.push(queue, slot)

    def remove(self, slot: int, size: int) -> None:
        """Remove a slot, whose record takes ``size`` bytes, from its queue."""
        queue = self.tier[slot]
        if queue & ROTATED_BIT:
            self.rotated -= 1
            tier = queue & ~ROTATED_BIT
        else:
            tier = queue % TIERS
            self.counts[tier] -= 1
            if queue >= TIERS:
                self.large[tier] -= size
        self.sizes[tier] -= size
        self.linked_lists.remove(slot)

    def use(self, slot: int, tier: int, size: int) -> None:
        """Move a session that is used to the end of the queue of its current tier."""
        queue = tier + TIERS if size > LARGE_FROM and tier != LOGGED_IN else tier
        if self.tier[slot] != queue:
            self.remove(slot, size)
            self.add(slot, tier, size)
        else:
            self.linked_lists.move(queue, slot)

    def resize(self, slot: int, before: int, size: int) -> None:
        """Note that the record of a session now takes ``size`` bytes instead of ``before``."""
        queue = self.tier[slot]
        tier = queue % TIERS
        if (before > LARGE_FROM) != (size > LARGE_FROM) and tier != LOGGED_IN:
            self.remove(slot, before)
            self.add(slot, tier, size)
            return
        self.sizes[tier] += size - before
        if queue >= TIERS:
            self.large[tier] += size - before

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
            slot = self.victim_of(tier, spare)
            if slot == NONE:
                continue
            if self.sizes[tier] > self._floors[tier] or self.large[tier] > self._share:
                return slot
            if lowest == NONE:
                lowest = slot
        return lowest

    def victim_of(self, tier: int, spare: int = NONE) -> int:
        """Return the slot of a tier to evict next, or NONE. ``spare`` is as for ``victim``."""
        slot = self.linked_lists.first(tier)
        if slot == spare:
            slot = NONE
        if not self.large[tier]:
            return slot
        large = self.linked_lists.first(TIERS + tier)
        if large == spare:
            return slot
        if slot == NONE or self.large[tier] > self._share:
            return large
        return large if self._last_used(large) < self._last_used(slot) else slot

    def least_recently_used(self, tier: int) -> int:
        """Return the least recently used session of an anonymous tier, or NONE.

        Rotated keys are skipped. After ``MOST_SKIPPED`` of them, the last one is returned instead;
        the session was used later than that one.
        """
        if not self.counts[tier]:
            return NONE
        slot, large = NONE, self.linked_lists.first(TIERS + tier)
        for slot in islice(self.linked_lists.walk(tier), MOST_SKIPPED):
            if not self.tier[slot] & ROTATED_BIT:
                break
        if large == NONE:
            return slot
        if slot == NONE or self.tier[slot] & ROTATED_BIT:
            return large
        return large if self._last_used(large) < self._last_used(slot) else slot

    def walk(self, queue: int) -> Iterator[int]:
        """Yield the slots of a queue in order. The queue must not change meanwhile."""
        return self.linked_lists.walk(queue)

    def reset(self) -> None:
        """Make all queues empty."""
        self.linked_lists.reset()
        for numbers in (self.counts, self.sizes, self.large):
            numbers[:] = [0] * TIERS
        self.rotated = 0
