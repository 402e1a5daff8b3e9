"""Adoption: a session for a legacy cookie, together with the mark that the cookie was used."""

from __future__ import annotations

from math import inf
from typing import Final

from ..base import NO_ROOM, Found, PerUser, Record
from . import layout
from .arena import Arena
from .compaction import Compaction
from .ledger import Ledger
from .limits import SizeLimits
from .linked_lists import NONE
from .marks import Marks
from .reader import RecordReader
from .reclaim import Reclaim
from .records import Records
from .user_sessions import UserSessions
from .user_share import MANY, UserShare


class Adoption:
    """Adds sessions together with their marks."""

    __slots__ = (
        "_arena",
        "_compaction",
        "_ledger",
        "_limits",
        "_reader",
        "_reclaim",
        "_records",
        "_share",
        "_user_sessions",
        "marks",
    )

    def __init__(
        self,
        *,
        arena: Arena,
        compaction: Compaction,
        ledger: Ledger,
        limits: SizeLimits,
        marks: Marks,
        reader: RecordReader,
        reclaim: Reclaim,
        records: Records,
        share: UserShare,
        user_sessions: UserSessions,
    ) -> None:
        self._arena = arena
        self._compaction = compaction
        self._ledger = ledger
        self._limits = limits
        self.marks: Final = marks
        self._reader = reader
        self._reclaim = reclaim
        self._records = records
        self._share = share
        self._user_sessions = user_sessions

    def adopt(  # noqa: PLR0917 - the arguments of ``replace``
        self,
        mark: bytes,
        new: bytes,
        record: Record,
        idle: float,
        life: float,
        keep: float,
        per_user: PerUser | None,
        now: float,
    ) -> Found | None:
        """Add a session and its mark. Return what the store holds afterwards, as ``replace``
        does."""
        records, marks = self._records, self.marks
        held = marks.get(mark, now)
        if held is not None:
            return held
        if (slot := records.live(mark, now)) >= 0:
            return self._reader.found(slot, now)
        anonymous = record.user is None
        if not marks.has_room(now, anonymous=anonymous):
            if not anonymous:
                marks.close(now + keep)
            return Found(NO_ROOM, age=inf)
        user = layout.encode_user(record.user)
        size, outside = self._limits.measure(user, record)
        if records.live(new, now) >= 0 or not self._user_sessions.admit(user, per_user, now):
            return None
        if user is not None and size + outside > self._share.share // MANY:
            self._share.note(user, size + outside)
        self._reclaim.make_room(size, outside, now)
        marks.put(mark, new, now, now + keep)  # first: a crash may lose the session, not the mark
        death = now + life
        born, deadline = now - record.age, min(now + idle, death)
        slot = records.insert(new, user, record, born, death, deadline, now)
        self._reclaim.after_write(now)
        return self._reader.found(slot, now)

    def reserve_step(self, now: float) -> int:
        """Reserve memory for the marks, or take one step towards having that much free.

        Returns:
            0 if a step was made, NONE if the memory is reserved.
        """
        marks, ledger, arena = self.marks, self._ledger, self._arena
        if marks.size:
            return NONE
        excess = arena.live_total - (ledger.live_limit - marks.budget)
        if excess > 0 or ledger.used + marks.budget > ledger.limit:
            if arena.give_back():
                ledger.update()
                return 0
            if excess <= 0 and (segment := arena.sparsest()) != NONE:
                self._compaction.compact(segment)
                return 0
            if self._reclaim.evict(now):
                return 0
        marks.reserve()
        ledger.reserve(marks.budget)
        return NONE
