"""What each verb of the contract does, without locks, threads and clocks.

``MemoryStore`` holds the lock and passes the time in, as seconds by the store's clock.
"""

from __future__ import annotations

from math import isnan
from struct import error as StructError  # noqa: N812

from ...errors import ConfigError
from ..base import Found, PerUser, Record
from . import blob as b
from .blob import HEADER, KEY, REPLACED, allocated, fields, found
from .chains import NONE
from .eviction import REPLACED_BIT
from .index import word
from .records import GRAIN, Records, user_tag


class Core(Records):
    # --- the verbs

    def get(self, key: bytes, now: float) -> Found | None:
        # Runs in every request that looks at its session: what the other verbs call is written
        # out here (index.find, blob.found).
        index = self.index
        try:
            prefix: int = word(key)[0] >> 4
        except StructError:
            return None
        blob = index.shards[prefix >> index.shift].get(prefix)
        if blob is None or not blob.startswith(key) or len(key) != KEY:
            blob = index.find(key)
            if blob is None:
                return None
        slot, born, death, birth, _, flags = fields(blob, KEY)
        deadline = self.deadline[slot]
        if deadline <= now:
            self._expire(slot, blob)
            return None
        if now - self.used_at[slot] >= GRAIN and not flags & REPLACED:
            self._use(slot, blob, birth, flags, now)
        if flags:
            return found(blob, deadline, now)
        return Found(blob[HEADER:], None, None, None, now - born, deadline - now, death - now)

    def add(
        self,
        key: bytes,
        record: Record,
        *,
        idle: float,
        life: float,
        per_user: PerUser | None,
        now: float,
    ) -> bool:
        _check_key(key)
        death = now + life
        deadline = _deadline(now, idle, death)
        self.drain(now)
        if self.live(key, now) is not None:
            return False
        user = b.encode_user(record.user)
        size = self._weigh(user, record)
        if not self._admit(user, per_user, now):
            return False
        self._make_room(key, size, now)
        self._insert(key, user, record, now, death, deadline, now)
        self._settle(now)
        return True

    def set(
        self, key: bytes, record: Record, expected: bytes, idle: float, now: float
    ) -> Found | None:
        blob = self.live(key, now)
        if blob is None:
            return None
        slot, _, death, birth, user_length, flags = fields(blob, KEY)
        deadline = _deadline(now, idle, death)
        at = b.start(user_length, flags)
        if flags & REPLACED or not _holds(blob, at, expected):
            return found(blob, self.deadline[slot], now)
        before, after = allocated(len(blob)), allocated(at + len(record.payload))
        if after > self.max_session_size:
            self._refuse(after)
        self._use(slot, blob, birth, flags, now)
        if after > before:
            self._make_room(None, after - before, now, spare=slot)
        blob = b"".join((blob[:at], record.payload))
        self.index.swap(blob[:KEY], blob)
        self.queues.resize(slot, after - before)
        self.used += after - before
        self.wheel.defer(slot, deadline)
        self._settle(now)
        return found(blob, deadline, now)

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
        _check_key(new)
        blob = self.live(old, now)
        if blob is None:
            return None
        slot, born, death, birth, user_length, flags = fields(blob, KEY)
        left = self.deadline[slot]
        pointer_deadline = _deadline(now, grace, left)
        if life is not None:
            born, death = now, now + life
        deadline = _deadline(now, idle, death)
        if flags & REPLACED or not _holds(blob, b.start(user_length, flags), expected):
            return found(blob, left, now)
        if self.live(new, now) is not None:
            return None
        user = b.encode_user(record.user)
        size = self._weigh(user, record)
        if not self._admit(user, per_user, now, but=slot):
            return found(blob, left, now)
        self._use(slot, blob, birth, flags, now)
        old_user = b.user_of(blob)
        longer = allocated(b.length(old_user, None, new)) - allocated(len(blob))
        self._make_room(new, size + max(0, longer), now, spare=slot)
        self._point(slot, blob, old_user, new, pointer_deadline)
        made = self._insert(new, user, record, born, death, deadline, now)
        self._settle(now)
        return found(made, deadline, now)

    def touch(self, key: bytes, idle: float, now: float) -> bool:
        blob = self.live(key, now)
        if blob is None:
            return False
        slot, _, death, birth, _, flags = fields(blob, KEY)
        if flags & REPLACED:
            return False
        deadline = _deadline(now, idle, death)
        if now - self.used_at[slot] >= GRAIN:
            self._use(slot, blob, birth, flags, now)
        self.wheel.defer(slot, deadline)
        self._settle(now)
        return True

    def destroy(self, key: bytes, expected: bytes | None, now: float) -> Found | None:
        blob = self.live(key, now)
        if blob is None:
            return None
        slot, _, _, _, user_length, flags = fields(blob, KEY)
        if expected is not None and (
            flags & REPLACED or not _holds(blob, b.start(user_length, flags), expected)
        ):
            return None
        was = found(blob, self.deadline[slot], now)
        self._drop(slot, blob)
        return was

    # --- lists, and the sessions of a user

    def sessions_in(self, shard: int, now: float) -> list[tuple[bytes, Found]]:
        """The live sessions in a shard of the index."""
        deadline, level = self.deadline, self.queues.level
        sessions = []
        for blob in self.index.blobs(shard):
            slot = fields(blob, KEY)[0]
            if deadline[slot] > now and not level[slot] & REPLACED_BIT:
                sessions.append((blob[:KEY], found(blob, deadline[slot], now)))
        return sessions

    def of_user(self, user: str, now: float) -> list[tuple[bytes, Found]]:
        """The live sessions of a user, the oldest first."""
        deadline = self.deadline
        return [
            (blob[:KEY], found(blob, deadline[slot], now))
            for slot, blob in self._sessions_of(user.encode(*b.UTF8), now)
        ]

    def destroy_user(self, user: str, keep: bytes | None, now: float) -> list[bytes]:
        """Remove a user's sessions and replaced keys but for ``keep`` and what leads to it;
        the keys of the sessions."""
        records = self._records_of(user.encode(*b.UTF8))
        leads = {blob[:KEY]: b.successor_of(blob) for _, blob in records}
        gone = []
        for slot, blob in records:
            if keep is not None and _leads_to(keep, blob[:KEY], leads):
                continue
            if self.deadline[slot] <= now:
                self._expire(slot, blob)
                continue
            if leads[blob[:KEY]] is None:
                gone.append(blob[:KEY])
            self._drop(slot, blob)
        return gone

    # --- within

    def _weigh(self, user: bytes | None, record: Record) -> int:
        """The bytes that a record will take. Raises SessionTooLarge."""
        standing = record.standing
        if standing is not None and len(standing) != b.STANDING:
            raise ConfigError(f"a standing is {b.STANDING} bytes, not {len(standing)}")
        size = allocated(b.length(user, standing, record.payload))
        if size > self.max_session_size:
            self._refuse(size)
        return size

    def _admit(
        self, user: bytes | None, per_user: PerUser | None, now: float, but: int = NONE
    ) -> bool:
        """Whether a user may have one session more (``but`` does not count); for "oldest" the
        oldest end until it is so."""
        if user is None or per_user is None:
            return True
        limit, gives_way = per_user
        sessions = [entry for entry in self._sessions_of(user, now) if entry[0] != but]
        if len(sessions) < limit:
            return True
        if gives_way == "refuse":
            return False
        for slot, blob in sessions[: len(sessions) - limit + 1]:
            self.evicted += 1
            self._tell("evicted", blob, "max_sessions_per_user")
            self._drop(slot, blob)
        return True

    def _records_of(self, user: bytes) -> list[tuple[int, bytes]]:
        """The slots and blobs of a user's sessions and replaced keys, in the order added."""
        pairs = []
        for slot in reversed(self.tags.slots_of(user_tag(user))):
            blob = self.blob(slot)
            if b.user_of(blob) == user:
                pairs.append((slot, blob))
        return pairs

    def _sessions_of(self, user: bytes, now: float) -> list[tuple[int, bytes]]:
        """The live ones of a user, the oldest first."""
        sessions = [
            (slot, blob)
            for slot, blob in self._records_of(user)
            if self.deadline[slot] > now and not self.queues.level[slot] & REPLACED_BIT
        ]
        sessions.sort(key=lambda pair: fields(pair[1], KEY)[1])
        return sessions


def _holds(blob: bytes, at: int, payload: bytes) -> bool:
    return len(blob) - at == len(payload) and blob.endswith(payload)


def _leads_to(goal: bytes, key: bytes | None, leads: dict[bytes, bytes | None]) -> bool:
    """Whether ``key`` is ``goal`` or was replaced, at however many removes, by it."""
    for _ in range(len(leads) + 1):  # no chain is longer, and a circle ends
        if key is None or key == goal:
            break
        key = leads.get(key)
    return key == goal


def _check_key(key: bytes) -> None:
    if len(key) != KEY:
        raise ConfigError(f"a key is {KEY} bytes (lembro.ids.key_for makes one), not {len(key)}")


def _deadline(now: float, idle: float, limit: float) -> float:
    """When a record expires that is not used for ``idle`` seconds."""
    if isnan(idle) or isnan(limit):  # NaN would never expire
        raise ConfigError("a duration in seconds is needed, not NaN")
    deadline = now + idle
    return deadline if deadline < limit else limit
