"""The verbs of the SQL stores, as generators that yield a statement with its parameters.

The result of a statement is a list of rows, or the number of rows that it changed. Connections are
in autocommit mode. A verb of several steps begins and commits its own transaction. If the verb
raises, or ends without a commit, the connector rolls back.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from hashlib import sha256
from typing import Any, Final

from msgspec import structs

from .._rotation import is_rotated_to
from ..base import MARK, Found, PerUser, Record
from ..external.backend import Page, Steps
from .dialect import NEVER, PAGE, Dialect, Statement, Statements

Row = tuple[Any, ...]
Clock = Callable[[], float]

FOREVER: Final = 1e12  # seconds; a longer time counts as no limit
MARKS_END: Final = MARK[:-1] + bytes([MARK[-1] + 1])
"""The first key after those of all marks."""


class SQLVerbs:
    """The verbs, written with the statements of one dialect.

    Args:
        dialect: The kind of database.
        clock: A function that returns seconds since 1970, for the parameter ``:now``. None: the
            clock of the database.
    """

    def __init__(self, dialect: Dialect, clock: Clock | None = None) -> None:
        self.statements: Statements = Statements(dialect)
        self._clock = clock

    def get(self, key: bytes) -> Steps[Found | None]:
        rows = yield self._call(self.statements.get, key=key)
        return _found(rows[0]) if rows else None

    def add(
        self,
        key: bytes,
        record: Record,
        *,
        idle: float,
        life: float,
        per_user: PerUser | None = None,
    ) -> Steps[bool]:
        owner = _encoded(record.user)
        if owner is None or per_user is None:
            return (yield from self._insert(key, record, idle, life))
        yield from self._begin(owner)
        if (yield from self._locked(key)) is not None:
            return False
        if not (yield from self._admit(owner, per_user)):
            return False
        added = yield from self._insert(key, record, idle, life)
        yield from self._commit()
        return added

    def set(
        self, key: bytes, record: Record, *, expected: bytes, idle: float
    ) -> Steps[Found | None]:
        s, values = self.statements, {"key": key, "expected": expected, "idle": _micros(idle)}
        write = self._call(s.set, payload=record.payload, **values)
        if s.set.rows:
            rows = yield write
            return _found(rows[0]) if rows else (yield from self.get(key))
        # Without RETURNING, the record is read first. No two payloads are equal, so a write that
        # finds the payload knows the record. A read after the write could show a later write.
        found = yield from self.get(key)
        if found is None or found.payload != expected or found.successor is not None:
            return found
        if not (yield write):
            return (yield from self.get(key))
        left = min(idle, found.life_left)
        return structs.replace(found, payload=record.payload, idle_left=left)

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
    ) -> Steps[Found | None]:
        s, owner = self.statements, _encoded(record.user)
        yield from self._begin(owner)
        if expected is None:
            assert life is not None  # the contract
            return (yield from self._adopt(old, new, record, idle, life, grace, per_user))
        row = yield from self._locked(old)
        if row is None or row[2] is not None or row[0] != expected:
            return None if row is None else _found(row)
        if (yield from self._locked(new)) is not None:
            return None
        if not (yield from self._admit(owner, per_user, but=old)):
            return _found(row)
        born, expires, death, now = row[4:]
        if life is None:
            yield from self._insert(new, record, idle, None, born=born, death=death)
        else:
            yield from self._insert(new, record, idle, life)
        if grace > 0:
            until = min(now + _micros(grace), expires)
            yield self._call(s.rotate, key=old, new=new, until=until, empty=b"")
        else:
            yield self._call(s.delete, key=old)
        found = yield from self.get(new)
        yield from self._commit()
        return found

    def touch(self, key: bytes, *, idle: float) -> Steps[bool]:
        count: int = yield self._call(self.statements.touch, key=key, idle=_micros(idle))
        return count > 0

    def destroy(self, key: bytes, *, expected: bytes | None) -> Steps[Found | None]:
        s = self.statements
        if s.destroy.rows:
            if expected is None:
                rows = yield self._call(s.destroy, key=key)
            else:
                rows = yield self._call(s.destroy_expected, key=key, expected=expected)
            return _found(rows[0]) if rows else None
        while True:  # until nobody else writes between the two statements
            found = yield from self.get(key)
            if found is None:
                return None
            rotated = found.successor is not None
            if expected is not None and (rotated or found.payload != expected):
                return None
            if rotated:  # a rotated key never changes
                delete = self._call(s.destroy, key=key)
            else:
                delete = self._call(s.destroy_expected, key=key, expected=found.payload)
            if (yield delete):
                return found

    def page(self, after: Any) -> Steps[Page]:
        start = b"" if after is None else after
        rows = yield from self._slow(self.statements.page, after=start)
        pairs = [(bytes(row[0]), _found(row[1:])) for row in rows]
        return pairs, pairs[-1][0] if len(rows) == PAGE else None

    def length(self) -> Steps[int]:
        rows = yield from self._slow(self.statements.length)
        count: int = rows[0][0]
        return count

    def clear(self) -> Steps[None]:
        yield from self._slow(self.statements.clear, first=MARK, end=MARKS_END)

    def purge(self, limit: int | None) -> Steps[int]:
        total = 0
        while limit is None or total < limit:
            most = 1000 if limit is None else min(1000, limit - total)
            count: int = yield from self._slow(self.statements.purge, count=most)
            total += count
            if count < most:
                break
        return total

    def of_user(self, user: str) -> Steps[list[tuple[bytes, Found]]]:
        rows = yield self._call(self.statements.of_user, owner=_encoded(user))
        return [(bytes(row[0]), _found(row[1:])) for row in rows]

    def destroy_user(self, user: str, keep: bytes | None) -> Steps[list[bytes]]:
        owner = _encoded(user)
        yield from self._begin(owner)
        rows = yield self._call(self.statements.heads, owner=owner)
        successors = {bytes(row[0]): _bytes(row[1]) for row in rows}
        removed = []
        for key, successor, expires, now in rows:
            if keep is not None and is_rotated_to(keep, bytes(key), successors):
                continue
            yield self._call(self.statements.delete, key=key)
            if successor is None and expires > now:
                removed.append(bytes(key))
        yield from self._commit()
        return removed

    def stats(self) -> Steps[dict[str, Any]]:
        return {"sessions": (yield from self.length()), "evicted": 0}

    def ping(self) -> Steps[Any]:
        return (yield self._call(self.statements.ping))

    # -- within ------------------------------------------------------------------------------------

    def _call(self, statement: Statement, **values: Any) -> tuple[Statement, dict[str, Any]]:
        if self._clock is not None:
            values["now"] = int(self._clock() * 1e6)
        return statement, values

    def _slow(self, statement: Statement, **values: Any) -> Steps[Any]:
        """Perform a statement that may take longer than a request."""
        s = self.statements
        if s.patience is None:
            return (yield self._call(statement, **values))
        yield self._call(s.begin)
        yield self._call(s.patience)
        result = yield self._call(statement, **values)
        yield from self._commit()
        return result

    def _added(self, record: Record) -> dict[str, Any]:
        """Return the parameters for the columns that the dialect adds."""
        return {}

    def _begin(self, owner: bytes | None) -> Steps[None]:
        """Begin a transaction that locks the sessions of a user against other transactions.

        The limit of sessions for each user needs the lock. Without it, ``destroy_user`` could also
        miss the new record of a rotation that is not committed yet.
        """
        yield self._call(self.statements.begin)
        if self.statements.lock is not None and owner is not None:
            digest = sha256(owner).digest()
            lock = int.from_bytes(digest[:8], signed=True)
            yield self._call(self.statements.lock, lock=lock)

    def _commit(self) -> Steps[None]:
        yield self._call(self.statements.commit)

    def _locked(self, key: bytes) -> Steps[Row | None]:
        rows = yield self._call(self.statements.get_locked, key=key)
        return rows[0] if rows else None

    def _insert(
        self,
        key: bytes,
        record: Record,
        idle: float,
        life: float | None,
        *,
        born: int = 0,
        death: int = 0,
    ) -> Steps[bool]:
        """Insert a record, or replace an expired one. Return False if a live one exists."""
        s, values = (
            self.statements,
            {
                "key": key,
                "payload": record.payload,
                "owner": _encoded(record.user),
                "reputation": record.reputation,
                "idle": _micros(idle),
                **self._added(record),
            },
        )
        if life is None:
            insert = self._call(s.insert_until, born=born, death=death, **values)
        else:
            values |= {"age": _micros(record.age), "life": -1 if life > FOREVER else _micros(life)}
            insert = self._call(s.insert, **values)
        count = yield insert
        if not count and (yield self._call(s.drop_expired, key=key)):
            count = yield insert
        return bool(count)

    def _adopt(  # noqa: PLR0917 - the arguments of ``replace``
        self,
        mark: bytes,
        new: bytes,
        record: Record,
        idle: float,
        life: float,
        grace: float,
        per_user: PerUser | None,
    ) -> Steps[Found | None]:
        """Add a session and its mark, in the current transaction."""
        held = yield from self._mark(mark, new, grace)
        if held is not None:
            return held
        if (yield from self._locked(new)) is not None:
            return None
        if not (yield from self._admit(_encoded(record.user), per_user)):
            return None
        yield from self._insert(new, record, idle, life)
        found = yield from self.get(new)
        yield from self._commit()
        return found

    def _mark(self, key: bytes, new: bytes, grace: float) -> Steps[Found | None]:
        """Insert a mark. If the key exists, return its record instead."""
        # Insert first: a SELECT that finds no row would lock nothing.
        if not (yield from self._insert(key, Record(b""), grace, grace)):
            return (yield from self.get(key))
        yield self._call(self.statements.link, key=key, new=new)
        return None

    def _admit(
        self, owner: bytes | None, per_user: PerUser | None, but: bytes | None = None
    ) -> Steps[bool]:
        """Return whether a user may have one more session. Remove the oldest ones if necessary."""
        if owner is None or per_user is None:
            return True
        limit, at_limit = per_user
        rows = yield self._call(self.statements.heads, owner=owner)
        keys = [
            key
            for key, successor, expires, now in rows
            if successor is None and expires > now and bytes(key) != but
        ]
        if len(keys) < limit:
            return True
        if at_limit == "refuse":
            return False
        for key in keys[: len(keys) - limit + 1]:
            yield self._call(self.statements.delete, key=key)
        return True


def _found(row: Row) -> Found:
    payload, owner, successor, reputation, born, expires, death, now = row
    return Found(
        bytes(payload),
        None if owner is None else bytes(owner).decode(),
        _bytes(successor),
        _bytes(reputation),
        (now - born) / 1e6,
        (expires - now) / 1e6,
        math.inf if death == NEVER else (death - now) / 1e6,
    )


def _bytes(value: Any) -> bytes | None:
    return None if value is None else bytes(value)


def _encoded(user: str | None) -> bytes | None:
    return None if user is None else user.encode()


def _micros(seconds: float) -> int:
    return int(min(seconds, FOREVER) * 1e6)
