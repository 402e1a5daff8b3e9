"""The store contract over a dict: the model that other stores are compared with."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

from lembro.stores.base import Found, PerUser, Record


@dataclass(frozen=True)
class Entry:
    record: Record
    born: float
    idle_until: float
    life_until: float


class NaiveStore:
    """An unbounded store in a dict. Its time is ``now``, which tests set."""

    blocking = False

    def __init__(self) -> None:
        self.now = 0.0
        self.entries: dict[bytes, Entry] = {}

    def get(self, key: bytes) -> Found | None:
        entry = self._live(key)
        return None if entry is None else self._found(entry)

    def add(
        self,
        key: bytes,
        record: Record,
        *,
        idle: float,
        life: float,
        per_user: PerUser | None = None,
    ) -> bool:
        if self._live(key) is not None or not self._admit(record.user, per_user, but=None):
            return False
        self._put(key, record, self.now - record.age, idle, self.now + life)
        return True

    def set(self, key: bytes, record: Record, *, expected: bytes, idle: float) -> Found | None:
        entry = self._live(key)
        if entry is None:
            return None
        if entry.record.successor is None and entry.record.payload == expected:
            old = entry.record
            kept = Record(record.payload, old.user, None, old.reputation)
            self._put(key, kept, entry.born, idle, entry.life_until)
        return self.get(key)

    def replace(
        self,
        old: bytes,
        new: bytes,
        record: Record,
        *,
        expected: bytes | None,
        idle: float,
        life: float | None,
        grace: float,
        per_user: PerUser | None = None,
    ) -> Found | None:
        entry = self._live(old)
        if expected is None:
            return self._add_with_mark(old, new, record, idle, life, grace, per_user)
        if entry is None:
            return None
        if entry.record.successor is not None or entry.record.payload != expected:
            return self._found(entry)
        if self._live(new) is not None:
            return None
        if not self._admit(record.user, per_user, but=old):
            return self._found(entry)
        if life is None:
            self._put(new, record, entry.born, idle, entry.life_until)
        else:
            self._put(new, record, self.now - record.age, idle, self.now + life)
        if grace:
            end = min(self.now + grace, entry.idle_until, entry.life_until)
            self.entries[old] = Entry(Record(b"", entry.record.user, new), entry.born, end, end)
        else:
            del self.entries[old]
        return self.get(new)

    def _add_with_mark(  # noqa: PLR0917 - the arguments of replace
        self,
        mark: bytes,
        new: bytes,
        record: Record,
        idle: float,
        life: float | None,
        grace: float,
        per_user: PerUser | None,
    ) -> Found | None:
        """Add a session, and a mark that points to it, unless the mark exists."""
        entry = self._live(mark)
        if entry is not None:
            return self._found(entry)
        assert life is not None
        if not self.add(new, record, idle=idle, life=life, per_user=per_user):
            return None
        end = self.now + grace
        self.entries[mark] = Entry(Record(b"", None, new), self.now, end, end)
        return self.get(new)

    def touch(self, key: bytes, *, idle: float) -> bool:
        entry = self._live(key)
        if entry is None or entry.record.successor is not None:
            return False
        self.entries[key] = replace(entry, idle_until=min(self.now + idle, entry.life_until))
        return True

    def destroy(self, key: bytes, *, expected: bytes | None = None) -> Found | None:
        entry = self._live(key)
        if entry is None:
            return None
        if expected is not None and (
            entry.record.successor is not None or entry.record.payload != expected
        ):
            return None
        del self.entries[key]
        return self._found(entry)

    def all(self) -> list[tuple[bytes, Found]]:
        keys = [key for key in list(self.entries) if self._live(key) is not None]
        found = [(key, self._found(self.entries[key])) for key in keys]
        return [pair for pair in found if pair[1].successor is None]

    def of_user(self, user: str) -> list[tuple[bytes, Found]]:
        mine = [pair for pair in self.all() if pair[1].user == user]
        return sorted(mine, key=lambda pair: -pair[1].age)

    def destroy_user(self, user: str, keep: bytes | None = None) -> list[bytes]:
        ended = []
        for key in [key for key in list(self.entries) if self._live(key) is not None]:
            record = self.entries[key].record
            if record.user != user or self._rotated_to(keep, key):
                continue
            if record.successor is None:
                ended.append(key)
        for key, entry in list(self.entries.items()):
            if entry.record.user == user and not self._rotated_to(keep, key):
                del self.entries[key]
        return ended

    def _rotated_to(self, goal: bytes | None, key: bytes | None) -> bool:
        while key is not None and key != goal:  # no cycle: a key is rotated to a newer one
            entry = self.entries.get(key)
            key = None if entry is None else entry.record.successor
        return key is not None

    def _admit(self, user: str | None, per_user: PerUser | None, but: bytes | None) -> bool:
        if user is None or per_user is None:
            return True
        limit, at_limit = per_user
        others = [key for key, _ in self.of_user(user) if key != but]
        if len(others) < limit:
            return True
        if at_limit == "refuse":
            return False
        for key in others[: len(others) - limit + 1]:
            del self.entries[key]
        return True

    def _put(self, key: bytes, record: Record, born: float, idle: float, life_until: float) -> None:
        self.entries[key] = Entry(record, born, min(self.now + idle, life_until), life_until)

    def _live(self, key: bytes) -> Entry | None:
        entry = self.entries.get(key)
        if entry is not None and entry.idle_until <= self.now:
            del self.entries[key]
            return None
        return entry

    def _found(self, entry: Entry) -> Found:
        record = entry.record
        return Found(
            record.payload,
            record.user,
            record.successor,
            record.reputation,
            self.now - entry.born,
            entry.idle_until - self.now,
            entry.life_until - self.now if math.isfinite(entry.life_until) else math.inf,
        )
