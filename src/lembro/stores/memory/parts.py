"""The parts of a store, made in their order and connected.

A part gets the parts that it uses in its constructor, and only uses those that are made before it.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from .adoption import Adoption
from .arena import Arena
from .compaction import Compaction
from .counters import Counters
from .eviction import QUEUES, Queues
from .expiry_wheel import ExpiryWheel
from .index import Index
from .ledger import Ledger, unit_for
from .limits import SizeLimits
from .marks import Marks
from .overflow import Overflow
from .reader import RecordReader
from .reclaim import Reclaim
from .records import Records
from .reputation import Reputations
from .slots import Slots
from .sweep import Sweep
from .user_index import UserIndex
from .user_sessions import UserSessions
from .user_share import UserShare
from .verbs import Verbs

LEAST: Final = 96  # bytes; no record takes less, its place in the tables included
MOST_SLOTS: Final = 2**31 - 32
WIDEST: Final = 1 << 35  # bytes that 32 bits can address in units of 8


class Parts:
    """All parts of one store. The sizes of the tables follow from max_size."""

    __slots__ = (
        "adoption",
        "arena",
        "compaction",
        "counters",
        "index",
        "ledger",
        "limits",
        "overflow",
        "queues",
        "reader",
        "reclaim",
        "records",
        "reputations",
        "slots",
        "sweep",
        "user_index",
        "user_sessions",
        "user_share",
        "verbs",
        "wheel",
    )

    def __init__(
        self,
        *,
        max_size: int,
        max_session_size: int,
        reduce_to: float,
        interval: float,
        now: float,
        epoch: float,
        has_listener: Callable[[str], bool],
        history: float = 0.0,
    ) -> None:
        """Make all parts.

        Args:
            max_size: The maximum number of bytes that the store may use.
            max_session_size: The maximum size of a session in bytes.
            reduce_to: The share of max_size that ``reduce`` evicts down to.
            interval: How often the thread purges, in seconds.
            now: The current time by the store's clock.
            epoch: Seconds to add to the store's clock for a clock that survives a restart.
            has_listener: Returns whether an event of this name has a listener.
            history: How many seconds before ``now`` a record may have been last used.
        """
        most = min(MOST_SLOTS, max_size // LEAST)
        unit = unit_for(max_size)
        # Storing, finding and reading records.
        self.arena: Final = Arena(max_size)
        self.overflow: Final = Overflow()
        self.slots: Final = Slots(most, QUEUES)
        place = self.slots.column("I" if max_size <= WIDEST else "Q")
        self.reader: Final = RecordReader(self.arena.memory, place, self.overflow, now - history)
        self.queues: Final = Queues(max_size, self.slots, self.reader.last_used)
        self.index: Final = Index(self.slots, place, self.arena.memory, most, unit)
        self.user_index: Final = UserIndex(place, self.arena.memory, most, unit)
        buckets = min(1024, max(64, max_size >> 12))
        self.wheel: Final = ExpiryWheel(self.arena.segments, buckets, interval / 2, now)
        # Counting and limits.
        self.ledger: Final = Ledger(
            max_size,
            reduce_to,
            self.arena,
            self.slots,
            self.index,
            self.user_index,
            self.overflow,
            self.wheel,
        )
        self.counters: Final = Counters(has_listener)
        self.limits: Final = SizeLimits(max_session_size, self.arena.segment, self.counters)
        self.reputations: Final = Reputations(epoch)
        # Writing, removing and moving records.
        self.records: Final = Records(
            arena=self.arena,
            counters=self.counters,
            index=self.index,
            ledger=self.ledger,
            limits=self.limits,
            overflow=self.overflow,
            queues=self.queues,
            reader=self.reader,
            reputations=self.reputations,
            slots=self.slots,
            user_index=self.user_index,
            wheel=self.wheel,
        )
        self.sweep: Final = Sweep(self.arena, self.slots, place, self.wheel, self.records)
        self.compaction: Final = Compaction(
            arena=self.arena,
            ledger=self.ledger,
            overflow=self.overflow,
            place=place,
            queues=self.queues,
            records=self.records,
            slots=self.slots,
            wheel=self.wheel,
        )
        self.user_share: Final = UserShare(max_size, self.user_index, self.reader)
        self.reclaim: Final = Reclaim(
            arena=self.arena,
            compaction=self.compaction,
            counters=self.counters,
            ledger=self.ledger,
            limits=self.limits,
            queues=self.queues,
            reader=self.reader,
            records=self.records,
            share=self.user_share,
            sweep=self.sweep,
            wheel=self.wheel,
        )
        self.user_sessions: Final = UserSessions(
            self.user_index, self.reader, self.records, self.user_share
        )
        self.adoption: Final = Adoption(
            arena=self.arena,
            compaction=self.compaction,
            ledger=self.ledger,
            limits=self.limits,
            marks=Marks(max_size),
            reader=self.reader,
            reclaim=self.reclaim,
            records=self.records,
            share=self.user_share,
            user_sessions=self.user_sessions,
        )
        # The verbs, which the store calls.
        self.verbs: Final = Verbs(
            adoption=self.adoption,
            arena=self.arena,
            index=self.index,
            ledger=self.ledger,
            limits=self.limits,
            overflow=self.overflow,
            reader=self.reader,
            reclaim=self.reclaim,
            records=self.records,
            share=self.user_share,
            slots=self.slots,
            user_sessions=self.user_sessions,
            wheel=self.wheel,
        )

    def clear(self) -> None:
        """Remove everything but the marks. ``Compaction.give_back_step`` gives back the memory."""
        self.slots.reset()
        self.queues.reset()
        self.wheel.reset()
        self.user_index.reset()
        self.index.reset()
        self.overflow.reset()
        self.arena.reset()
        self.records.count = 0
        self.user_share.reset()
        self.reclaim.reset()
        self.ledger.update()
