"""What a store consists of, the ledger, and reading a record. Times are seconds by the store's
clock; ``at`` is where a record begins in memory, which holds until the next record is written.
"""

from __future__ import annotations

from collections.abc import Callable
from math import inf
from mmap import mmap
from typing import Any, Final

from ...events import Event
from ..base import Found
from .arena import Arena
from .eviction import LOGGED_IN, TIERS, Queues, tier_for
from .expiry import Wheel
from .index import Index
from .layout import (
    BODY,
    DEADLINE,
    FLAGS,
    HAS_REPUTATION,
    HAS_USER,
    KEY,
    LARGE,
    LONGEST_USER,
    REPLACED,
    REPUTATION,
    SLOT,
    TOKEN,
    UTF8,
    fields,
    header,
    tail,
    walked,
)
from .linked_lists import NONE
from .overflow import Larges, allocated
from .reputation import Reputations
from .reserved_memory import PAGE
from .slots import Slots
from .user_index import Tags

FIXED: Final = 9 * 1024  # bytes of the objects that a store consists of, generously
LIVE: Final = 15 / 16  # of the segments, at most; the rest is dead, and makes evacuation cheap
LEAST: Final = 96  # bytes; no record takes less, with its place in the tables
MOST: Final = 2**31 - 16  # slots
MOST_INSIDE: Final = 2**18  # bytes; an extent is told in 16 bits, in eights
PAGED_FROM: Final = 2**20  # bytes; a smaller store tells the size of its tables in bytes, not pages
STRETCHES: Final = 8  # of memory that the tables lie in; the last page of each is half empty
SHARES: Final = 16  # one of so many is what one user may hold when memory is short
WIDEST: Final = 1 << 35  # bytes that a column of 32 bits can tell apart, in eights


class Parts:
    arena: Arena
    busy_at: float
    evicted: int
    expired: int
    fixed: int
    heavy: set[int]
    index: Index
    larges: Larges
    limit: int
    live_limit: int
    longest_user: int
    place: memoryview[int]
    queues: Queues
    records: int
    share: int
    slots: Slots
    reputations: Reputations
    start: float
    tags: Tags
    target: int
    too_large: int
    used: int
    wheel: Wheel

    def __init__(
        self,
        *,
        max_size: int,
        max_session_size: int,
        reduce_to: float,
        interval: float,
        now: float,
        epoch: float,
        heard: Callable[[str], bool],
    ) -> None:
        self.max_size = max_size
        self.max_session_size = max_session_size
        self.target = int(max_size * reduce_to)
        self.news: list[Event] = []  # to be told once the lock is released
        self.expired = self.evicted = self.too_large = 0  # sessions so far
        self.records = 0  # sessions and replaced keys
        self.heavy = set()  # tags of users who hold more than their share; fewer than SHARES
        self.share = max_size // SHARES
        self.readers: set[object] = set()  # iterations; slots keep their numbers meanwhile
        self.start = now
        self._heard = heard
        self._pressed = False  # a write has had to make room, and used is still above the target

        self.arena = Arena(max_size)
        self.memory: Final[mmap] = self.arena.memory
        # Bytes; of a longer record the payload lies outside.
        self._small: Final = min(MOST_INSIDE, self.arena.segment >> 2)
        self._smallest_limit: Final = min(self._small, max_session_size)
        self.longest_user = min(LONGEST_USER, (self.arena.segment >> 2) - 128)
        most = min(MOST, max_size // LEAST)
        unit = PAGE if max_size >= PAGED_FROM else 256
        self.slots = Slots(most, TIERS)
        self.queues = Queues(max_size, self.slots)
        self.place = self.slots.column("I" if max_size <= WIDEST else "Q")  # 0: none
        self.index = Index(self.slots, self.place, self.memory, most, unit)
        self.tags = Tags(self.place, self.memory, most, unit)
        self.larges = Larges()
        buckets = min(1024, max(64, max_size >> 12))
        self.wheel = Wheel(self.arena.segments, buckets, interval / 2, now)
        self.reputations = Reputations(epoch)
        self._sweeping = NONE  # the segment that is being looked through for what has expired,
        self._sweep_at = 0  # from here on,
        self._soonest = inf  # and the soonest deadline found in it so far
        self.busy_at = -inf  # no write need look for other things to do before this time
        self.fixed = FIXED + self.arena.tables + self.wheel.size
        if max_size >= PAGED_FROM:
            self.fixed += STRETCHES * PAGE
        self.account()

    def account(self) -> None:
        """Sum up THE LEDGER, after anything but a record in a segment has come or gone."""
        outside = self.fixed + self.slots.size + self.index.size + self.tags.size + self.larges.size
        self.used = outside + self.arena.held  # every byte, after every step
        growth = self.slots.growth() + self.index.growth() + self.tags.growth()
        self.limit = self.max_size - growth  # room for tables to grow by a step is always kept
        self.live_limit = int((self.limit - outside - 2 * self.arena.segment) * LIVE)

    # --- looking

    def found(self, slot: int, now: float) -> Found:
        """The record of a slot, as the contract returns it."""
        at = self.place[slot] << 3
        return self.record(slot, at, header(self.memory, at), now)

    def record(self, slot: int, at: int, its: tuple[Any, ...], now: float) -> Found:
        """As ``found``, of whose header is read. It makes up most of a get, so what ``user`` and
        the others below do is written out: three times as fast."""
        _, born, death, deadline, _, length, flags, _, _, named = its
        memory = self.memory
        start = at + BODY[flags]
        user = reputation = successor = None
        if flags & HAS_REPUTATION:
            reputation = memory[at + TOKEN : at + TOKEN + REPUTATION]
        if flags & REPLACED:
            successor = memory[start - KEY : start]
        if flags & HAS_USER:
            user = str(memory[start : start + named], *UTF8)
            start += named
        payload = self.larges.get(slot) if flags & LARGE else memory[start : start + length]
        return Found(payload, user, successor, reputation, now - born, deadline - now, death - now)

    def key(self, slot: int) -> bytes:
        at = self.place[slot] << 3
        return self.memory[at : at + KEY]

    def flags(self, slot: int) -> int:
        return self.memory[(self.place[slot] << 3) + FLAGS]

    def deadline(self, slot: int) -> float:
        deadline: float = fields(self.memory, self.place[slot] << 3)[3]
        return deadline

    def user(self, at: int, flags: int) -> bytes | None:
        """The user of a record, encoded."""
        if not flags & HAS_USER:
            return None
        length = tail(self.memory, at + SLOT)[2]
        at += BODY[flags]
        return self.memory[at : at + length]

    def user_name(self, at: int, flags: int) -> str | None:
        user = self.user(at, flags)
        return None if user is None else str(user, *UTF8)

    def successor(self, at: int, flags: int) -> bytes | None:
        if not flags & REPLACED:
            return None
        at += BODY[flags]
        return self.memory[at - KEY : at]

    def payload(self, slot: int, at: int, flags: int, length: int) -> bytes:
        if flags & LARGE:
            return self.larges.get(slot)
        at += BODY[flags]
        if flags & HAS_USER:
            at += tail(self.memory, at - BODY[flags] + SLOT)[2]
        return self.memory[at : at + length]

    def size(self, slot: int) -> int:
        """The bytes that the record of a slot takes, in its segment and outside."""
        _, _, length, flags, _, extent, _ = walked(self.memory, (self.place[slot] << 3) + DEADLINE)
        size: int = extent << 3
        return size + allocated(length) if flags & LARGE else size

    def used_at(self, slot: int) -> float:
        """When it was last used, to the second."""
        used: int = walked(self.memory, (self.place[slot] << 3) + DEADLINE)[1]
        return self.start + used

    def tier_of(self, at: int, flags: int, born: float, now: float) -> int:
        """The level that a session which is used now belongs to."""
        if flags & HAS_USER:
            return LOGGED_IN
        if flags & HAS_REPUTATION:
            if not self.tags.is_in(at):
                return 0  # its token is borne by another
            reputation = self.memory[at + TOKEN : at + TOKEN + REPUTATION]
            born = min(born, self.reputations.birth(reputation, now))
        return tier_for(now - born)
