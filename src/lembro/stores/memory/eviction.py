"""Who goes first when memory is short: five queues, in each the least recently used first.

Level 0 to 3 is how long a visitor had been known at the last use; level 4 is who is logged in.
The lowest level that holds more than its floor gives way, so that a flood of newcomers can never
take everything from the newcomers who are real.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import islice
from typing import Final

from .linked_lists import NONE, Chains
from .slots import Slots

TIERS: Final = 5
LOGGED_IN: Final = 4
FREE_LIST: Final = TIERS  # of the same chains: the slots not in use
REPLACED_BIT: Final = 8
FLOOR: Final = 0.05  # of max_size
NEWCOMERS_FLOOR: Final = 0.2
"""That of level 0. A login needs the session of the request before it, some 3 to 20 seconds older:
against bots that come back (100 a second, in room for 10,000) with 5 % one login in a hundred
succeeded at the first try, with 20 % all (`python -m bench flood`, model B)."""
PASSED_OVER: Final = 2000  # replaced keys, so that nobody waits long for a number


def tier_for(age: float) -> int:
    """The level of an anonymous visitor known for ``age`` seconds."""
    if age < 60.0:
        return 0 if age < 10.0 else 1
    return 2 if age < 600.0 else 3


class Queues:
    __slots__ = ("_floors", "chains", "counts", "replaced", "sizes", "tier")

    def __init__(self, max_size: int, slots: Slots) -> None:
        """``slots`` has as many lists as there are levels."""
        floors = [NEWCOMERS_FLOOR] + [FLOOR] * (TIERS - 1)
        self._floors = [int(max_size * floor) for floor in floors]
        self.chains: Chains = slots.chains
        self.tier: memoryview[int] = slots.column("B")
        self.counts: list[int] = [0] * TIERS  # sessions
        self.replaced: int = 0  # replaced keys, in all levels
        self.sizes: list[int] = [0] * TIERS  # bytes of the records of both

    def enter(self, slot: int, tier: int, size: int, *, replaced: bool = False) -> None:
        """Put a slot whose record takes ``size`` bytes at the end of its level's queue."""
        if replaced:
            self.replaced += 1
            self.tier[slot] = tier | REPLACED_BIT
        else:
            self.counts[tier] += 1
            self.tier[slot] = tier
        self.sizes[tier] += size
        self.chains.push(tier, slot)

    def leave(self, slot: int, size: int) -> None:
        """Take a slot out of its queue."""
        tier = self.tier[slot]
        if tier & REPLACED_BIT:
            self.replaced -= 1
            tier &= ~REPLACED_BIT
        else:
            self.counts[tier] -= 1
        self.sizes[tier] -= size
        self.chains.remove(slot)

    def use(self, slot: int, tier: int, size: int) -> None:
        """A session was used: to the end of the queue of the level it has now."""
        before = self.tier[slot]
        if before != tier:
            self.counts[before] -= 1
            self.counts[tier] += 1
            self.sizes[before] -= size
            self.sizes[tier] += size
            self.tier[slot] = tier
        self.chains.move(tier, slot)

    def resize(self, slot: int, change: int) -> None:
        """The record of a slot takes ``change`` bytes more."""
        self.sizes[self.tier[slot] & ~REPLACED_BIT] += change

    def rename(self, old: int, new: int) -> None:
        self.chains.rename(old, new)
        self.tier[new] = self.tier[old]

    def victim(self, spare: int = NONE) -> int:
        """The slot that goes next, or NONE. ``spare`` never goes; it must be the last of its
        queue."""
        lowest = NONE
        for tier in range(TIERS):
            slot = self.chains.first(tier)
            if slot in (NONE, spare):
                continue
            if self.sizes[tier] > self._floors[tier]:
                return slot
            if lowest == NONE:
                lowest = slot
        return lowest

    def oldest(self, tier: int) -> int:
        """The session of a level that has not been used for longest, or NONE. Replaced keys are
        passed over; of very many the last that was looked at, which has not been used for longer.
        """
        slot = NONE
        if self.counts[tier]:
            for slot in islice(self.chains.walk(tier), PASSED_OVER):
                if not self.tier[slot] & REPLACED_BIT:
                    break
        return slot

    def walk(self, tier: int) -> Iterator[int]:
        return self.chains.walk(tier)

    def reset(self) -> None:
        self.chains.reset()
        self.counts[:] = [0] * TIERS
        self.sizes[:] = [0] * TIERS
        self.replaced = 0
