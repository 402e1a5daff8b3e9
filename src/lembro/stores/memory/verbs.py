"""The six verbs of the store contract, without lock, thread and clock.

``MemoryStore`` holds the lock and passes the current time, in seconds by its clock.

``get``, ``set`` and ``touch`` run in almost every request. They repeat the code of ``Index.find``,
so that the same step reads the header that they need next. ``get`` also makes the result of a plain
session without a call. With calls of ``Index.find`` and ``RecordReader.found_at`` instead, a get
takes 1.29 times as long, and a touch 1.22 times.
"""

from __future__ import annotations

from math import inf, isnan
from typing import Final

from ...errors import ConfigError
from ..base import MARK, Found, PerUser, Record
from . import layout
from .adoption import Adoption
from .arena import Arena
from .expiry_wheel import ExpiryWheel
from .index import Index
from .layout import (
    BODY,
    DEADLINE,
    HEADER,
    KEY,
    LARGE,
    ROTATED,
    read_fields,
    read_header,
    read_state,
    write_state,
    write_times,
)
from .ledger import Ledger
from .limits import SizeLimits
from .overflow import Overflow, allocated
from .reader import RecordReader
from .reclaim import Reclaim
from .records import GRAIN, Records
from .slots import Slots
from .user_sessions import UserSessions
from .user_share import MANY, UserShare

ROOMY: Final = 64
"""Bytes. A record moves to another place if it becomes shorter than its place by a quarter of the
place and this number of bytes."""


class Verbs:
    """The six verbs, over the parts of a store."""

    __slots__ = (
        "_adoption",
        "_arena",
        "_index",
        "_ledger",
        "_limits",
        "_memory",
        "_overflow",
        "_place",
        "_reader",
        "_reclaim",
        "_records",
        "_share",
        "_slots",
        "_smallest_limit",
        "_start",
        "_user_sessions",
        "_wheel",
    )

    def __init__(
        self,
        *,
        adoption: Adoption,
        arena: Arena,
        index: Index,
        ledger: Ledger,
        limits: SizeLimits,
        overflow: Overflow,
        reader: RecordReader,
        reclaim: Reclaim,
        records: Records,
        share: UserShare,
        slots: Slots,
        user_sessions: UserSessions,
        wheel: ExpiryWheel,
    ) -> None:
        self._adoption = adoption
        self._arena = arena
        self._index = index
        self._ledger = ledger
        self._limits = limits
        self._memory = reader.memory
        self._overflow = overflow
        self._place = reader.place
        self._reader = reader
        self._reclaim = reclaim
        self._records = records
        self._share = share
        self._slots = slots
        self._start = reader.start
        self._user_sessions = user_sessions
        self._wheel = wheel
        # A record of at most this size is neither too large nor in the overflow.
        self._smallest_limit = min(limits.small, limits.max_session_size)

    def get(self, key: bytes, now: float) -> Found | None:
        """Return the record of a key, or None. A use is noted at most once a second."""
        index, memory = self._index, self._memory
        bucket = hash(key) & index.mask
        if bucket >= index.buckets:
            bucket &= index.low
        slot = index.heads[bucket]
        while slot >= 0:
            at = self._place[slot] << 3
            header = read_header(memory, at)
            if header[0] == key:
                break
            slot = index.chain[slot]
        else:
            return self._adoption.marks.get(key, now) if key.startswith(MARK) else None
        _, born, death, deadline, used, length, flags, _, _, _ = header
        if deadline <= now:
            self._records.expire(slot)
            return None
        if now - self._start - used >= GRAIN and not flags & ROTATED:
            self._records.mark_used(slot, at, flags, born, now)
        if flags:
            return self._reader.found_at(slot, at, header, now)
        at += HEADER
        payload = memory[at : at + length]
        return Found(payload, None, None, None, now - born, deadline - now, death - now)

    def add(  # noqa: PLR0917 - the hot path
        self,
        key: bytes,
        record: Record,
        idle: float,
        life: float,
        per_user: PerUser | None,
        now: float,
    ) -> bool:
        """Add a record. Return False if the key exists or ``per_user`` refuses it."""
        if len(key) != KEY:
            raise _wrong_key(key)
        death = now + life
        deadline = now + idle
        if not deadline < death:
            deadline = _clipped(idle, death)
        records, arena, ledger = self._records, self._arena, self._ledger
        if records.live(key, now) >= 0:
            return False
        user, size = None, HEADER + len(record.payload)
        outside = 0
        if record.user is None and record.reputation is None and size <= self._smallest_limit:
            size = (size + 7) & -8
        else:
            user = layout.encode_user(record.user)
            size, outside = self._limits.measure(user, record)
            if not self._user_sessions.admit(user, per_user, now):
                return False
            if user is not None and size + outside > self._share.share // MANY:
                self._share.note(user, size + outside)
        if (
            arena.at + size > arena.end
            or arena.live_total + size > ledger.live_limit
            or outside
            or ledger.used > ledger.limit
        ):
            self._reclaim.make_room(size, outside, now)
        records.insert(key, user, record, now - record.age, death, deadline, now)
        if now >= self._reclaim.busy_at:
            self._reclaim.after_write(now)
        return True

    def set(
        self, key: bytes, record: Record, expected: bytes, idle: float, now: float
    ) -> Found | None:
        """Replace the payload if it is ``expected``. Return what the store holds afterwards."""
        index, memory = self._index, self._memory
        bucket = hash(key) & index.mask
        if bucket >= index.buckets:
            bucket &= index.low
        slot = index.heads[bucket]
        while slot >= 0:
            at = self._place[slot] << 3
            header = read_header(memory, at)
            if header[0] == key:
                break
            slot = index.chain[slot]
        else:
            return None
        _, born, death, before, used, length, flags, _, extent, user_length = header
        if before <= now:
            self._records.expire(slot)
            return None
        deadline = now + idle
        if not deadline < death:
            deadline = _clipped(idle, death)
        start = at + BODY[flags] + user_length
        if flags & (LARGE | ROTATED):
            if flags & ROTATED or self._overflow.get(slot) != expected:
                return self._reader.found_at(slot, at, header, now)
        elif memory[start : start + length] != expected:
            return self._reader.found_at(slot, at, header, now)
        payload, size = record.payload, extent << 3
        end = start + len(payload)
        if flags & LARGE or not at + size >= end > at + size - (size >> 2) - ROOMY:
            self._write_elsewhere(slot, payload, deadline, now)
            at = self._place[slot] << 3
        elif end - at > self._limits.max_session_size:
            self._limits.reject(end - at)
        else:  # the record keeps its place
            memory[start:end] = payload
            write_state(memory, at + DEADLINE, deadline, used, len(payload))
            if deadline < before:
                self._wheel.lower_bound(at >> self._arena.shift, deadline)
        if now - self._start - used >= GRAIN:
            self._records.mark_used(slot, at, flags, born, now)
        if now >= self._reclaim.busy_at:
            self._reclaim.after_write(now)
        if flags:
            return self._reader.found(slot, now)
        return Found(payload, None, None, None, now - born, deadline - now, death - now)

    def replace(  # noqa: PLR0917 - the arguments of the contract
        self,
        old: bytes,
        new: bytes,
        record: Record,
        expected: bytes | None,
        idle: float,
        life: float | None,
        grace: float,
        per_user: PerUser | None,
        now: float,
    ) -> Found | None:
        """Rotate a key, if its payload is ``expected``. Return what the store holds afterwards."""
        if len(new) != KEY:
            raise _wrong_key(new)
        if expected is None:
            life = inf if life is None else life
            return self._adoption.adopt(old, new, record, idle, life, grace, per_user, now)
        records, reader = self._records, self._reader
        slot = records.live(old, now)
        if slot < 0:
            return None
        at = self._place[slot] << 3
        _, born, death, before, _, length, flags = read_fields(self._memory, at)
        rotated_deadline = _deadline(now, grace, before)
        old_born = born
        if life is not None:
            born, death = now - record.age, now + life
        deadline = _deadline(now, idle, death)
        if flags & ROTATED or reader.payload(slot, at, flags, length) != expected:
            return reader.found(slot, now)
        if records.live(new, now) >= 0:
            return None
        user = layout.encode_user(record.user)
        size, outside = self._limits.measure(user, record)
        if not self._user_sessions.admit(user, per_user, now, but=slot):
            return reader.found(slot, now)
        if user is not None and size + outside > self._share.share // MANY:
            self._share.note(user, size + outside)
        at = self._place[slot] << 3
        # The last of its queue is spared by make_room.
        records.mark_used(slot, at, flags, old_born, now)
        old_user, rotated = reader.user(at, flags), 0
        if grace:
            if old_user is not None:
                self._user_sessions.limit_rotated(old_user)
            rotated = HEADER + layout.LINKS + KEY + len(old_user or b"") + layout.GRAIN
        # Make room for both at once. The second may need another segment than the first.
        self._reclaim.make_room(size + rotated, outside, now, spare=slot)
        if grace:
            records.make_rotated(slot, new, rotated_deadline)
        else:
            records.remove(slot)
        slot = records.insert(new, user, record, born, death, deadline, now)
        self._reclaim.after_write(now)
        return reader.found(slot, now)

    def touch(self, key: bytes, idle: float, now: float) -> bool:
        """Extend the idle deadline. Return False for a key that is absent or rotated."""
        index, memory = self._index, self._memory
        bucket = hash(key) & index.mask
        if bucket >= index.buckets:
            bucket &= index.low
        slot = index.heads[bucket]
        while slot >= 0:
            at = self._place[slot] << 3
            its_key, born, death, before, used, _, flags = read_fields(memory, at)
            if its_key == key:
                break
            slot = index.chain[slot]
        else:
            return False
        if before <= now:
            self._records.expire(slot)
            return False
        if flags & ROTATED:
            return False
        deadline = now + idle
        if not deadline < death:
            deadline = _clipped(idle, death)
        write_times(memory, at + DEADLINE, deadline, used)
        if deadline < before:
            self._wheel.lower_bound(at >> self._arena.shift, deadline)
        if now - self._start - used >= GRAIN:
            self._records.mark_used(slot, at, flags, born, now)
        if now >= self._reclaim.busy_at:
            self._reclaim.after_write(now)
        return True

    def destroy(self, key: bytes, expected: bytes | None, now: float) -> Found | None:
        """Remove a record and return it. With ``expected``, only if it has that payload."""
        slot = self._records.live(key, now)
        if slot < 0:
            return None
        at = self._place[slot] << 3
        *_, length, flags = read_fields(self._memory, at)
        if expected is not None and (
            flags & ROTATED or self._reader.payload(slot, at, flags, length) != expected
        ):
            return None
        found = self._reader.found(slot, now)
        self._records.remove(slot)
        return found

    def sessions_in(self, slots: range, now: float) -> list[tuple[bytes, Found]]:
        """Return the live sessions of some slots, for an iteration in pieces."""
        place, memory = self._place, self._memory
        sessions = []
        for slot in slots:
            if slot >= self._slots.capacity:
                break
            if at := place[slot] << 3:
                key, _, _, deadline, _, _, flags = read_fields(memory, at)
                if deadline > now and not flags & ROTATED:
                    sessions.append((key, self._reader.found(slot, now)))
        return sessions

    def _write_elsewhere(self, slot: int, payload: bytes, deadline: float, now: float) -> None:
        """Write another payload of a session to another place.

        Raises:
            SessionTooLarge: The session would be too large.
        """
        at = self._place[slot] << 3
        _, _, _, flags, _, _, user_length = read_state(self._memory, at + DEADLINE)
        start = BODY[flags] + user_length
        total = start + len(payload)
        if total > self._limits.max_session_size:
            self._limits.reject(total)
        outside = 0
        if total > self._limits.small:
            total, outside = start, allocated(len(payload))
        if user_length and total + outside > self._share.share // MANY:
            user = self._reader.user(at, flags)
            assert user is not None
            self._share.note(user, total + outside)
        arena, ledger, total = self._arena, self._ledger, total + 7
        if outside or arena.at + total > arena.end or arena.live_total + total > ledger.live_limit:
            # The session itself must not be evicted. The last of its queue is spared.
            born: float = read_fields(self._memory, at)[1]
            self._records.mark_used(slot, at, flags, born, now)
            self._reclaim.make_room(total, outside, now, spare=slot)
        self._records.write_payload(slot, payload, deadline)


def _wrong_key(key: bytes) -> ConfigError:
    return ConfigError(
        f"key must be {KEY} bytes, got {len(key)}. Make one with lembro.ids.key_for(session_id)."
    )


def _deadline(now: float, idle: float, limit: float) -> float:
    """Return when a record expires if it is not used for ``idle`` seconds."""
    deadline = now + idle
    return deadline if deadline < limit else _clipped(idle, limit)


def _clipped(idle: float, limit: float) -> float:
    """Return the limit, because ``idle`` seconds would exceed it. Raise ConfigError for NaN.

    A NaN compares as neither sooner nor later, so such a record would never expire.
    """
    if isnan(idle) or isnan(limit):
        raise ConfigError("idle, life and grace must be numbers of seconds, got NaN.")
    return limit
