"""What each verb of the contract does, without locks, threads and clocks.

``MemoryStore`` holds the lock and passes the time in, as seconds by the store's clock.
"""

from __future__ import annotations

from math import isnan
from typing import Final

from ...errors import ConfigError
from ..base import Found, PerUser, Record
from . import layout
from .layout import (
    BODY,
    DEADLINE,
    HEADER,
    KEY,
    LARGE,
    REPLACED,
    REPUTATION,
    fields,
    header,
    walked,
    write_state,
    write_times,
)
from .overflow import allocated
from .reclaim import MANY
from .records import GRAIN
from .users import Users

ROOMY: Final = 64
"""Bytes; a record that is shorter than its place by a quarter and so many moves to another."""


class Core(Users):
    def get(self, key: bytes, now: float) -> Found | None:
        # Runs in every request that looks at its session: what the other verbs call is written
        # out here (index.find, found).
        index, memory = self.index, self.memory
        bucket = hash(key) & index.mask
        if bucket >= index.buckets:
            bucket &= index.low
        slot = index.heads[bucket]
        while slot >= 0:
            at = self.place[slot] << 3
            its = header(memory, at)
            if its[0] == key:
                break
            slot = index.chain[slot]
        else:
            return None
        _, born, death, deadline, used, length, flags, _, _, _ = its
        if deadline <= now:
            self._expire(slot)
            return None
        if now - self.start - used >= GRAIN and not flags & REPLACED:
            self._use(slot, at, flags, born, now)
        if flags:
            return self.record(slot, at, its, now)
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
        if len(key) != KEY:
            raise _wrong_key(key)
        death = now + life
        deadline = now + idle
        if not deadline < death:
            deadline = _clipped(idle, death)
        if self.live(key, now) >= 0:
            return False
        user, size = None, HEADER + len(record.payload)
        outside = 0
        if record.user is None and record.reputation is None and size <= self._smallest_limit:
            size = (size + 7) & -8
        else:
            user = layout.encode_user(record.user)
            size, outside = self._weigh(user, record)
            if not self._admit(user, per_user, now):
                return False
            if user is not None and size + outside > self.share // MANY:
                self._note(user, size + outside)
        arena = self.arena
        if (
            arena.at + size > arena.end
            or arena.live_total + size > self.live_limit
            or outside
            or self.used > self.limit
        ):
            self._make_room(size, outside, now)
        self._insert(key, user, record, now, death, deadline, now)
        if now >= self.busy_at:
            self._settle(now)
        return True

    def set(
        self, key: bytes, record: Record, expected: bytes, idle: float, now: float
    ) -> Found | None:
        index, memory = self.index, self.memory
        bucket = hash(key) & index.mask
        if bucket >= index.buckets:
            bucket &= index.low
        slot = index.heads[bucket]
        while slot >= 0:
            at = self.place[slot] << 3
            its = header(memory, at)
            if its[0] == key:
                break
            slot = index.chain[slot]
        else:
            return None
        _, born, death, left, used, length, flags, _, extent, named = its
        if left <= now:
            self._expire(slot)
            return None
        deadline = now + idle
        if not deadline < death:
            deadline = _clipped(idle, death)
        start = at + BODY[flags] + named
        if flags & (LARGE | REPLACED):
            if flags & REPLACED or self.larges.get(slot) != expected:
                return self.record(slot, at, its, now)
        elif memory[start : start + length] != expected:
            return self.record(slot, at, its, now)
        payload, size = record.payload, extent << 3
        end = start + len(payload)
        if flags & LARGE or not at + size >= end > at + size - (size >> 2) - ROOMY:
            self._overwrite(slot, payload, deadline, now)
            at = self.place[slot] << 3
        elif end - at > self.max_session_size:
            self._refuse(end - at)
        else:  # it keeps its place
            memory[start:end] = payload
            write_state(memory, at + DEADLINE, deadline, used, len(payload))
            if deadline < left:
                self.wheel.earlier(at >> self.arena.shift, deadline)
        if now - self.start - used >= GRAIN:
            self._use(slot, at, flags, born, now)
        if now >= self.busy_at:
            self._settle(now)
        if flags:
            return self.found(slot, now)
        return Found(payload, None, None, None, now - born, deadline - now, death - now)

    def replace(
        self,
        old: bytes,
        new: bytes,
        record: Record,
        *,
        expected: bytes,
        idle: float,
        life: float | None,
        grace: float,
        per_user: PerUser | None,
        now: float,
    ) -> Found | None:
        if len(new) != KEY:
            raise _wrong_key(new)
        slot = self.live(old, now)
        if slot < 0:
            return None
        at = self.place[slot] << 3
        _, born, death, left, _, length, flags = fields(self.memory, at)
        pointer_deadline = _deadline(now, grace, left)
        was_born = born
        if life is not None:
            born, death = now, now + life
        deadline = _deadline(now, idle, death)
        if flags & REPLACED or self.payload(slot, at, flags, length) != expected:
            return self.found(slot, now)
        if self.live(new, now) >= 0:
            return None
        user = layout.encode_user(record.user)
        size, outside = self._weigh(user, record)
        if not self._admit(user, per_user, now, but=slot):
            return self.found(slot, now)
        if user is not None and size + outside > self.share // MANY:
            self._note(user, size + outside)
        at = self.place[slot] << 3
        self._use(slot, at, flags, was_born, now)
        old_user, pointer = self.user(at, flags), 0
        if grace:
            if old_user is not None:
                self._limit_replaced(old_user)
            pointer = HEADER + layout.LINKS + KEY + len(old_user or b"") + layout.GRAIN
        # Both may need another segment each, if the second does not fit into the first's.
        self._make_room(size + pointer, outside, now, spare=slot)
        if grace:
            self._point(slot, new, pointer_deadline)
        else:
            self._drop(slot)
        slot = self._insert(new, user, record, born, death, deadline, now)
        self._settle(now)
        return self.found(slot, now)

    def touch(self, key: bytes, idle: float, now: float) -> bool:
        index, memory = self.index, self.memory
        bucket = hash(key) & index.mask
        if bucket >= index.buckets:
            bucket &= index.low
        slot = index.heads[bucket]
        while slot >= 0:
            at = self.place[slot] << 3
            its, born, death, left, used, _, flags = fields(memory, at)
            if its == key:
                break
            slot = index.chain[slot]
        else:
            return False
        if left <= now:
            self._expire(slot)
            return False
        if flags & REPLACED:
            return False
        deadline = now + idle
        if not deadline < death:
            deadline = _clipped(idle, death)
        write_times(memory, at + DEADLINE, deadline, used)
        if deadline < left:
            self.wheel.earlier(at >> self.arena.shift, deadline)
        if now - self.start - used >= GRAIN:
            self._use(slot, at, flags, born, now)
        if now >= self.busy_at:
            self._settle(now)
        return True

    def destroy(self, key: bytes, expected: bytes | None, now: float) -> Found | None:
        slot = self.live(key, now)
        if slot < 0:
            return None
        at = self.place[slot] << 3
        *_, length, flags = fields(self.memory, at)
        if expected is not None and (
            flags & REPLACED or self.payload(slot, at, flags, length) != expected
        ):
            return None
        was = self.found(slot, now)
        self._drop(slot)
        return was

    def sessions_in(self, slots: range, now: float) -> list[tuple[bytes, Found]]:
        """The live sessions in some of the slots."""
        place, memory = self.place, self.memory
        sessions = []
        for slot in slots:
            if slot >= self.slots.capacity:
                break
            if at := place[slot] << 3:
                key, _, _, deadline, _, _, flags = fields(memory, at)
                if deadline > now and not flags & REPLACED:
                    sessions.append((key, self.found(slot, now)))
        return sessions

    # --- within

    def _weigh(self, user: bytes | None, record: Record) -> tuple[int, int]:
        """The bytes that a record will take in a segment, and outside. Raises SessionTooLarge."""
        reputation, head = record.reputation, HEADER
        if reputation is not None:
            if len(reputation) != REPUTATION:
                raise ConfigError(f"a standing is {REPUTATION} bytes, not {len(reputation)}")
            head += layout.LINKS + REPUTATION
        if user is not None:
            head += len(user) if reputation is not None else layout.LINKS + len(user)
            if len(user) > self.longest_user:
                self._refuse(max(head, self.max_session_size + 1))
        length = len(record.payload)
        total = head + length
        if total > self.max_session_size:
            self._refuse(total)
        if total > self._small:
            return (head + 7) & -8, allocated(length)
        return (total + 7) & -8, 0

    def _overwrite(self, slot: int, payload: bytes, deadline: float, now: float) -> None:
        """Another payload for a session, in another place. Raises SessionTooLarge."""
        at = self.place[slot] << 3
        _, _, _, flags, _, _, named = walked(self.memory, at + DEADLINE)
        start = BODY[flags] + named
        total = start + len(payload)
        if total > self.max_session_size:
            self._refuse(total)
        outside = 0
        if total > self._small:
            total, outside = start, allocated(len(payload))
        if named and total + outside > self.share // MANY:
            holder = self.user(at, flags)
            assert holder is not None
            self._note(holder, total + outside)
        arena, total = self.arena, total + 7
        if outside or arena.at + total > arena.end or arena.live_total + total > self.live_limit:
            # Whoever makes room for itself must not be evicted: the last of its queue is spared.
            born: float = fields(self.memory, at)[1]
            self._use(slot, at, flags, born, now)
            self._make_room(total, outside, now, spare=slot)
        self._write(slot, payload, deadline)


def _wrong_key(key: bytes) -> ConfigError:
    return ConfigError(f"a key is {KEY} bytes (lembro.ids.key_for makes one), not {len(key)}")


def _deadline(now: float, idle: float, limit: float) -> float:
    """When a record expires that is not used for ``idle`` seconds."""
    deadline = now + idle
    return deadline if deadline < limit else _clipped(idle, limit)


def _clipped(idle: float, limit: float) -> float:
    """The limit, since ``idle`` seconds would reach past it, or are none: NaN would never end."""
    if isnan(idle) or isnan(limit):
        raise ConfigError("a duration in seconds is needed, not NaN")
    return limit
