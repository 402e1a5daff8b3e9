"""Reclaim: it makes room for writes.

A write that needs room gets it in this order: memory that ``clear`` has left behind; expired
records (a limited search); dead bytes in the segments; evicted records. Evicting also keeps a
sixteenth of the segments dead. Otherwise compaction would move much and free little.

Every write also does a small part of the regular work: it sweeps, and it shrinks the slot table.
After memory was short, it also evicts and compacts towards ``Ledger.target``. So no single write
takes long.
"""

from __future__ import annotations

from math import inf
from typing import Final

from .arena import Arena
from .compaction import Compaction
from .counters import Counters
from .eviction import LOGGED_IN, ROTATED_BIT, Queues
from .expiry_wheel import ExpiryWheel
from .ledger import Ledger
from .limits import SizeLimits
from .linked_lists import NONE
from .reader import RecordReader
from .records import Records
from .sweep import Sweep
from .user_share import UserShare

DRAIN: Final = 8  # records that a write checks or evicts in addition to its own
SWEEP_STEPS: Final = 64  # records that a write checks before it evicts
IDLE_VISITOR: Final = 900.0
"""Seconds without use after which a visitor of tier 0 is evicted before the room is needed. With a
minute instead, one in a hundred visitors who opened one page and returned after a break found no
session, in a store that was a little too small."""


class Reclaim:
    """Makes room for writes.

    Attributes:
        busy_at: A write need not call ``after_write`` before this time.
        under_pressure: A write had to make room, and ``used`` is still above the target.
    """

    __slots__ = (
        "_arena",
        "_compaction",
        "_counters",
        "_ledger",
        "_limits",
        "_queues",
        "_reader",
        "_records",
        "_share",
        "_sweep",
        "_wheel",
        "busy_at",
        "under_pressure",
    )

    def __init__(
        self,
        *,
        arena: Arena,
        compaction: Compaction,
        counters: Counters,
        ledger: Ledger,
        limits: SizeLimits,
        queues: Queues,
        reader: RecordReader,
        records: Records,
        share: UserShare,
        sweep: Sweep,
        wheel: ExpiryWheel,
    ) -> None:
        self._arena = arena
        self._compaction = compaction
        self._counters = counters
        self._ledger = ledger
        self._limits = limits
        self._queues = queues
        self._reader = reader
        self._records = records
        self._share = share
        self._sweep = sweep
        self._wheel = wheel
        self.busy_at: float = -inf
        self.under_pressure: bool = False

    def make_room(self, size: int, outside: int, now: float, spare: int = NONE) -> None:
        """Remove records until a new one fits.

        Args:
            size: Bytes that the record needs in a segment.
            outside: Bytes that it needs in the overflow.
            now: The current time.
            spare: A slot that must not be evicted. It must be the last of its queue.

        Raises:
            SessionTooLarge: Nothing is left to evict.
        """
        arena, ledger = self._arena, self._ledger
        steps, removed = SWEEP_STEPS, 0
        while True:
            need = outside if arena.at + size <= arena.end else outside + arena.segment
            fits = ledger.used + need <= ledger.limit
            if fits and (
                # Over several writes, a sixteenth of the segments becomes dead again.
                removed >= DRAIN or arena.live_total + size + outside <= ledger.live_limit
            ):
                return
            if not fits and arena.give_back():
                ledger.update()
                continue
            self.under_pressure = True
            self.busy_at = -inf
            if steps:
                swept = self._sweep.step(now)
                steps = 0 if swept == NONE else steps - 1
                removed += swept == 1
            elif not fits and (segment := arena.sparsest()) != NONE:
                self._compaction.compact(segment)
            elif self.evict(now, spare):
                removed += 1
            elif fits:
                return
            else:
                self._limits.reject(size + outside)

    def after_write(self, now: float) -> None:
        """Do a small part of the regular work. Call it from ``busy_at`` on."""
        more = False
        for _ in range(DRAIN):
            if self._sweep.step(now) == NONE:
                break
        else:
            more = True
        more = self._compaction.shrink(DRAIN) or more
        if self.under_pressure:
            self.ease_pressure(now)
        self.busy_at = -inf if more or self.under_pressure else self._wheel.next

    def ease_pressure(self, now: float) -> None:
        """Free memory towards the target, by compacting and by evicting idle visitors only."""
        for _ in range(DRAIN):
            if self._ledger.used <= self._ledger.target:
                break
            if not self.is_too_full():
                segment = self._arena.sparsest()
                if segment == NONE:
                    break
                self._compaction.compact(segment)
                return
            slot = self._queues.victim_of(0)
            if slot == NONE or now - self._reader.last_used(slot) < IDLE_VISITOR:
                break
            self._records.evict(slot, now, "memory")
        else:
            return
        self.under_pressure = False

    def is_too_full(self) -> bool:
        """Return whether compaction alone cannot reach the target."""
        arena, ledger = self._arena, self._ledger
        outside = ledger.used - arena.held
        return arena.live_total > (ledger.target - outside - 2 * arena.segment) * 31 // 32

    def evict(self, now: float, spare: int = NONE) -> bool:
        """Evict the next record in the eviction order. Return False if nothing can be evicted.

        If that is a logged-in session and a user is above the share, a session of this user is
        evicted instead.
        """
        slot = self._queues.victim(spare)
        if slot == NONE:
            return False
        if self._share.heavy and self._queues.tier[slot] & ~ROTATED_BIT == LOGGED_IN:
            instead = self._share.victim(spare)
            if instead != NONE:
                slot = instead
        self._records.evict(slot, now, "memory")
        return True

    def reduce_step(self, now: float) -> int:
        """Free memory towards the target, in one step.

        Returns:
            1 if a session was evicted, 0 if not, NONE if the target is reached.
        """
        if self._ledger.used <= self._ledger.target:
            return NONE
        if self._compaction.give_back_step(now) != NONE:
            return 0
        if not self.is_too_full() and (segment := self._arena.sparsest()) != NONE:
            self._compaction.compact(segment)
            return 0
        before = self._counters.evicted
        if self.evict(now):
            return self._counters.evicted - before
        return NONE

    def reset(self) -> None:
        """Note that memory is not short any more, after all records were removed."""
        self.under_pressure = False
