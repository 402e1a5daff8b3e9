"""The verbs of the SQLite store, which evict sessions when its file is full.

The order of eviction is that of a MemoryStore (``stores/memory/eviction.py``): tiers by reputation
and login, each with a floor, and the least recently used session first. Here a floor is a share of
the sessions instead of the bytes, because SQLite can count the rows of an index fast.

The marks of used legacy cookies have their own tier, which is never evicted. They take at most an
eighth of the file. If there is no room for another mark, the file closes to legacy cookies. The key
``CLOSED`` then has a record, which expires when the refused mark would have expired.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import partial
from typing import Any, Final, TypeVar

from ..base import MARK, NO_ROOM, Found, PerUser, Record
from ..external.backend import Steps
from ..memory.eviction import FLOOR, NEWCOMERS_FLOOR, TIERS
from ..memory.reputation import Reputations
from .dialect import Dialect, Statement
from .verbs import Clock, SQLVerbs

T = TypeVar("T")

BATCH: Final = 16  # sessions that one eviction removes
ROUNDS: Final = 400  # evictions for one write: more than a session of the largest size needs
EXPIRED: Final = 64  # expired records that are removed before a session is evicted
SLACK: Final = 8  # pages above the limit that an eviction may use until it commits
RECOUNT: Final = 16  # the tiers are counted again after a sixteenth of the sessions was evicted
MARKS_SHARE: Final = 8  # marks take at most an eighth of the file
MARKS_IN_PAGE: Final = 12  # with their index entries; measured: 17
MARKS: Final = TIERS  # the tier of marks; their column ``used`` is a serial number
CLOSED: Final = MARK.ljust(32, b"-")  # not a key of a mark, because those end with a hash
CLOSED_TIER: Final = TIERS + 1


class NoRoom(Exception):  # noqa: N818 - named after the state
    """The file is full. The connector throws this into the verb, which evicts and tries again."""


_TIER: Final = (
    "case when {owner} is not null then 4 when {{now}} - {known} < 10000000 then 0 "
    "when {{now}} - {known} < 60000000 then 1 when {{now}} - {known} < 600000000 then 2 else 3 end"
)

SCHEMA: Final = """
create table if not exists lembro_sessions (
    id integer primary key, skey blob not null unique, payload blob not null, owner blob,
    successor blob, reputation blob, born integer not null, expires integer not null,
    death integer not null, sweep integer not null, known integer not null, tier integer not null,
    used integer not null
);
create index if not exists lembro_sessions_owner on lembro_sessions (owner, born)
    where owner is not null;
create index if not exists lembro_sessions_sweep on lembro_sessions (sweep);
create index if not exists lembro_sessions_used on lembro_sessions (tier, used)
"""
_PLACE: Final = Statement("update lembro_sessions set tier = :tier, used = :used where skey = :key")
BEGIN: Final = "begin immediate"
VERSION: Final = 1
"""The version of the tables, in ``pragma user_version``."""


def dialect(*, returning: bool) -> Dialect:
    """Return SQLite's dialect. ``returning``: whether SQLite has RETURNING (from 3.35)."""
    return Dialect(
        now=":now",
        least="min",
        ignore="insert or ignore into",
        on_conflict="",
        returning=returning,
        begin=BEGIN,
        for_update="",
        added=(
            ("known", ":known"),
            ("tier", _TIER.format(owner=":owner", known=":known").replace("{{", "{")),
            ("used", "{now} / 1000000"),
        ),
        used=(f", tier = {_TIER.format(owner='owner', known='known')}, used = {{now}} / 1000000"),
    )


class SQLiteVerbs(SQLVerbs):
    """The verbs of SQLite.

    Args:
        clock: A function that returns seconds since 1970.
        returning: Whether SQLite has RETURNING.
        pages: The maximum number of pages that the file may have. None: no limit.
    """

    def __init__(
        self, clock: Clock, *, returning: bool, pages: int | None, max_size: int | None = None
    ) -> None:
        super().__init__(dialect(returning=returning), clock)
        self._now = clock
        self._pages = pages
        self._max_size = max_size
        self._counts = [0] * TIERS  # sessions in each tier, when they were counted last
        self._changed = 0  # evictions since then
        self._marks = (pages or 0) // MARKS_SHARE * MARKS_IN_PAGE
        self.evicted: int = 0
        self.expired: int = 0

    def add(
        self,
        key: bytes,
        record: Record,
        *,
        idle: float,
        life: float,
        per_user: PerUser | None = None,
    ) -> Steps[bool]:
        add = partial(super().add, key, record, idle=idle, life=life, per_user=per_user)
        return (yield from self._in_room(add, key))

    def set(
        self, key: bytes, record: Record, *, expected: bytes, idle: float
    ) -> Steps[Found | None]:
        set_ = partial(super().set, key, record, expected=expected, idle=idle)
        return (yield from self._in_room(set_, key))

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
        replace = partial(
            super().replace,
            old,
            new,
            record,
            expected=expected,
            idle=idle,
            life=life,
            grace=grace,
            per_user=per_user,
        )
        return (yield from self._in_room(replace, old))

    def touch(self, key: bytes, *, idle: float) -> Steps[bool]:
        # The entry of an index moves, and may need a page.
        return (yield from self._in_room(partial(super().touch, key, idle=idle), key))

    def destroy(self, key: bytes, *, expected: bytes | None) -> Steps[Found | None]:
        return (yield from self._in_room(partial(super().destroy, key, expected=expected), key))

    def destroy_user(self, user: str, keep: bytes | None) -> Steps[list[bytes]]:
        return (yield from self._in_room(partial(super().destroy_user, user, keep), b""))

    def get(self, key: bytes) -> Steps[Found | None]:
        """Return the record. While the file is closed to legacy cookies, every mark exists."""
        found = yield from super().get(key)
        if found is None and key.startswith(MARK):
            closed = yield from super().get(CLOSED)
            if closed is not None:
                left = closed.life_left
                return Found(NO_ROOM, None, None, None, math.inf, left, left)
        return found

    def purge(self, limit: int | None) -> Steps[int]:
        """Remove expired records, and return free pages to the file system."""
        count = yield from super().purge(limit)
        self.expired += count
        [(free,)] = yield Statement("pragma freelist_count", rows=True), {}
        [(pages,)] = yield Statement("pragma page_count", rows=True), {}
        if free * 8 > pages:
            yield Statement(f"pragma incremental_vacuum({min(free, 1000)})", rows=True), {}
        return count

    def stats(self) -> Steps[dict[str, Any]]:
        fields = yield from super().stats()
        [(size,)] = yield Statement("pragma page_size", rows=True), {}
        [(pages,)] = yield Statement("pragma page_count", rows=True), {}
        [(free,)] = yield Statement("pragma freelist_count", rows=True), {}
        used = (pages - free) * size
        counts = {"evicted": self.evicted, "expired": self.expired}
        return {**fields, **counts, "used": used, "max_size": self._max_size}

    # -- within ------------------------------------------------------------------------------------

    def _added(self, record: Record) -> dict[str, Any]:
        return {"known": int(Reputations(0.0).birth(record.reputation, self._now()) * 1e6)}

    def _mark(self, key: bytes, new: bytes, grace: float) -> Steps[Found | None]:
        """Insert a mark and number it, or close the file to legacy cookies."""
        held = yield from self.get(key)
        if held is not None and held.payload == NO_ROOM:
            return held
        # Not count(*), which would take time in proportion to the number of marks.
        [(first, last)] = yield (
            Statement(
                "select (select min(used) from lembro_sessions where tier = :tier),"
                " (select max(used) from lembro_sessions where tier = :tier)",
                rows=True,
            ),
            {"tier": MARKS},
        )
        number = 0 if last is None else last + 1
        room = self._pages is None or number - (first or 0) < self._marks
        if held is None and not room:
            yield from super()._mark(CLOSED, CLOSED, grace)
            yield self._call(_PLACE, key=CLOSED, tier=CLOSED_TIER, used=0)
            held = yield from self.get(key)
            yield from self._commit()
            return held
        held = yield from super()._mark(key, new, grace)
        if held is None:
            yield self._call(_PLACE, key=key, tier=MARKS, used=number)
        return held

    def _in_room(self, make: Callable[[], Steps[T]], spare: bytes) -> Steps[T]:
        """Perform a write, and evict other sessions while the file is full.

        Args:
            make: A function that returns the write.
            spare: The key of a session that is not evicted.
        """
        for _ in range(ROUNDS if self._pages is not None else 1):
            try:
                return (yield from make())
            except NoRoom:
                if self._pages is None or not (yield from self._evict(spare)):
                    raise
        raise NoRoom

    def _evict(self, spare: bytes) -> Steps[int]:
        """Remove expired records, or evict sessions if none has expired. Return how many."""
        yield Statement("rollback"), {}
        # Raise the limit only after ``begin``, because ``begin`` may raise.
        yield self._call(self.statements.begin)
        yield Statement(f"pragma max_page_count = {(self._pages or 0) + SLACK}", rows=True), {}
        count: int = yield self._call(self.statements.purge, count=EXPIRED)
        self.expired += count
        if not count:
            tier = yield from self._tier_to_evict()
            count = yield (
                Statement(
                    "delete from lembro_sessions where id in (select id from lembro_sessions "
                    "where tier = :tier and skey != :spare order by used limit :count)"
                ),
                {"tier": tier, "spare": spare, "count": BATCH},
            )
            self.evicted += count
            self._changed += count
            if not count:
                self._counts[tier] = 0
                count = sum(self._counts)  # another tier may have sessions
        yield from self._commit()
        yield Statement(f"pragma max_page_count = {self._pages}", rows=True), {}
        return count

    def _tier_to_evict(self) -> Steps[int]:
        """Return the lowest tier that holds more than its floor."""
        total = sum(self._counts)
        if self._changed * RECOUNT >= total:
            self._changed, self._counts = 0, [0] * TIERS
            for tier, count in (
                yield (
                    Statement(
                        "select tier, count(*) from lembro_sessions "
                        f"where tier < {TIERS} group by tier",
                        rows=True,
                    ),
                    {},
                )
            ):
                self._counts[tier] = count
            total = sum(self._counts)
        floors = [NEWCOMERS_FLOOR, *[FLOOR] * (TIERS - 1)]
        held = [tier for tier in range(TIERS) if self._counts[tier]]
        above = [tier for tier in held if self._counts[tier] > floors[tier] * total]
        return (above or held or [0])[0]
