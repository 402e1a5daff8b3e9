"""The verbs of a store of Express, as generators, over a few steps that each backend has.

Every write compares what the store holds with what lembro has read, and does nothing if that has
changed. Then the core merges, and writes again. So lembro never undoes a write of Express. Express
itself compares nothing: a request of Express in flight can undo a write or a logout of lembro.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, Final, NamedTuple, cast

from msgspec import structs

from ..errors import StoreError, UsageError
from ..stores.base import Found, PerUser, Record
from ..stores.external.backend import Page, Steps
from . import record as records
from .ids import ExpressKey, key_of
from .record import Body, Stored, Times
from .users import Users

NO_INDEX: Final = (
    "express-session keeps no index of the sessions of a user, so lembro can neither list nor end "
    "them. End a single session by session.logout(), manager.destroy(session_id) or "
    "manager.revoke(handle). To end all sessions of a user, move to a store of lembro"
)
ATTEMPTS: Final = 1000


class Row(NamedTuple):
    """A session as a backend holds it."""

    raw: Any
    """The object of Express, as it is stored."""
    left: float
    """Seconds until the session expires; infinite if it has no such time."""


class ExpressVerbs:
    """The verbs, written with the steps of a backend. A subclass implements these.

    Args:
        users: Reads the user.
    """

    def __init__(self, users: Users) -> None:
        self.users: Users = users

    # -- a subclass implements these ---------------------------------------------------------------

    def parse(self, raw: Any) -> Any:
        """Return the decoded session. The result is not a dict if ``raw`` cannot be read."""
        try:
            return records.decode_json(raw)
        except (ValueError, TypeError, RecursionError):  # TypeError: NULL in a column
            return None

    def form(self, body: Body, before: Any) -> Any:
        """Return an object of Express as it is stored. ``before`` is what it replaces, or None."""
        raise NotImplementedError

    def server_time(self) -> Steps[int]:
        """Return the server's time, in milliseconds since 1970."""
        raise NotImplementedError

    def read(self, session_id: str) -> Steps[Row | None]:
        """Return what the store holds for a session that has not expired."""
        raise NotImplementedError

    def insert(self, session_id: str, raw: Any, idle: float) -> Steps[bool]:
        """Store a session. Return False if the ID exists."""
        raise NotImplementedError

    def swap(self, session_id: str, before: Any, raw: Any, idle: float) -> Steps[Row | bool | None]:
        """Replace what is stored, if it is ``before``.

        Returns:
            True if it was replaced. Otherwise what the store holds, or None.
        """
        raise NotImplementedError

    def move(
        self, old: str, new: str, before: Any, raw: Any, idle: float
    ) -> Steps[Row | bool | None]:
        """Store ``raw`` under a new ID and remove the old one, if ``before`` is stored there."""
        raise NotImplementedError

    def extend(self, session_id: str, idle: float) -> Steps[bool]:
        """Set the time after which a session expires. Return False if it does not exist."""
        raise NotImplementedError

    def remove(self, session_id: str, before: Any) -> Steps[Row | None]:
        """Remove a session, and return it. If ``before`` is given, remove it only if that is
        stored."""
        raise NotImplementedError

    def rows(self, after: Any) -> Steps[tuple[list[tuple[str, Row]], Any]]:
        """Return some sessions, and the position of the next ones."""
        raise NotImplementedError

    # -- the contract ------------------------------------------------------------------------------

    def get(self, key: bytes) -> Steps[Found | None]:
        row = yield from self.read(_id(key))
        return None if row is None else self._found(row, (yield from self.server_time()))

    def add(
        self,
        key: bytes,
        record: Record,
        *,
        idle: float,
        life: float,
        per_user: PerUser | None = None,
    ) -> Steps[bool]:
        now = yield from self.server_time()
        times = _times_of_new(record, now, idle, life)
        raw = self.form(records.write(record, times), None)
        return (yield from self.insert(_id(key), raw, times.idle))

    def set(
        self, key: bytes, record: Record, *, expected: bytes, idle: float
    ) -> Steps[Found | None]:
        session_id = _id(key)
        return (
            yield from self._change(
                session_id,
                record,
                expected,
                lambda now, held: Times(now, idle, held.born, held.death),
                lambda held, raw, times: self.swap(session_id, held.raw, raw, times.idle),
            )
        )

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
        assert expected is not None  # marks are only for migrate_from, which the manager refuses
        old_id, new_id = _id(old), _id(new)

        def times_of(now: int, held: Stored) -> Times:
            if life is None:
                return Times(now, idle, held.born, held.death)
            return _times_of_new(record, now, idle, life)

        return (
            yield from self._change(
                old_id,
                record,
                expected,
                times_of,
                lambda held, raw, times: self.move(old_id, new_id, held.raw, raw, times.idle),
            )
        )

    def touch(self, key: bytes, *, idle: float) -> Steps[bool]:
        return (yield from self.extend(_id(key), idle))

    def destroy(self, key: bytes, *, expected: bytes | None) -> Steps[Found | None]:
        session_id = _id(key)
        now = yield from self.server_time()
        if expected is None:
            row = yield from self.remove(session_id, None)
            return None if row is None else self._found(row, now)
        held = yield from self.get(key)
        if held is None or not records.is_same(held.payload, expected):
            return None
        row = yield from self.remove(session_id, cast("Stored", held.payload).raw)
        return None if row is None else self._found(row, now)

    def page(self, after: Any) -> Steps[Page]:
        rows, following = yield from self.rows(after)
        now = yield from self.server_time()
        found = [(key_of(session_id), self._found(row, now)) for session_id, row in rows]
        return [(key, each) for key, each in found if each is not None], following

    def of_user(self, user: str) -> Steps[list[tuple[bytes, Found]]]:
        raise UsageError(NO_INDEX)

    def destroy_user(self, user: str, keep: bytes | None) -> Steps[list[bytes]]:
        raise UsageError(NO_INDEX)

    # -- within ------------------------------------------------------------------------------------

    def _found(self, row: Row, now: int) -> Found | None:
        return records.read(self.parse(row.raw), row.raw, self.users, now=now, left=row.left)

    def _change(
        self,
        session_id: str,
        record: Record,
        expected: bytes,
        times_of: Callable[[int, Stored], Times],
        attempt: Callable[[Any, Any, Times], Steps[Row | bool | None]],
    ) -> Steps[Found | None]:
        """Write a record over the expected one. Otherwise return what the store holds."""
        now = yield from self.server_time()
        found: Found | None = Found(expected)
        if not isinstance(expected, Stored):  # this request has added it
            found = yield from self._current(session_id, now)
        for _ in range(ATTEMPTS):
            if found is None:
                return None
            held = found.payload
            assert isinstance(held, Stored)
            if not held:  # lembro cannot read it any more, but Express may
                return None
            if _is_written(record, held):  # by a first attempt whose reply was lost
                return _as_written(record, found)
            # Express may have changed only the cookie, which is no conflict.
            if not records.is_same(held, expected):
                return found
            times = times_of(now, held)
            body = records.write(record, times)
            raw = self.form(body, held.raw)
            done = yield from attempt(held, raw, times)
            if done is True:
                user = self.users.read(records.data_of(body))
                payload = records.stored(record.payload, raw, times.born, times.death)
                return Found(payload, user, None, None, times.age, times.idle, times.life)
            found = self._found(done, now) if isinstance(done, Row) else None
        raise StoreError(f"Express changed a session {ATTEMPTS} times while lembro wrote it")

    def _current(self, session_id: str, now: int) -> Steps[Found | None]:
        row = yield from self.read(session_id)
        return None if row is None else self._found(row, now)


def _is_written(record: Record, held: Stored) -> bool:
    mark = records.mark_of(record.payload)
    return any(mark) and records.mark_of(held) == mark


def _as_written(record: Record, found: Found) -> Found:
    """Return the result of a write that was done, even if Express has written since."""
    same = records.is_same(found.payload, record.payload)
    return found if same else structs.replace(found, payload=record.payload)


def _times_of_new(record: Record, now: int, idle: float, life: float) -> Times:
    born = now - int(record.age * 1000)
    death = None if math.isinf(life) else now + int(life * 1000)
    return Times(now, idle, born, death)


def _id(key: bytes) -> str:
    """Return the session ID of a key.

    Raises:
        UsageError: the key has none, because no ExpressManager made it.
    """
    if not isinstance(key, ExpressKey):
        raise UsageError("a store of Express needs an ExpressManager: ExpressManager(store, ...)")
    return key.session_id
