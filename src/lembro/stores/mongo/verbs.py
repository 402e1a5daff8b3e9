"""The verbs of the MongoDB store, as generators that yield commands.

A verb that changes one document is one ``findAndModify``, which is atomic. A verb that changes
several is a transaction. Two transactions that change the same document conflict: one of them is
aborted, and the connector performs its verb again. Transactions that count the sessions of a user
also change the user's document in a second collection. So two of them conflict even if they add
different sessions.

The times in the commands are those of the server's clock, which ``ServerClock`` estimates. Each
verb asks for the time before its first command, but only once a minute. A transaction cannot ask.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final, NamedTuple

from ...errors import ConfigError
from .._rotation import is_rotated_to
from ..base import MARK, Found, PerUser, Record
from ..external.backend import Page, Steps
from ..external.clock import ServerClock
from .documents import FIELDS, Document, decode, millis, pairs, times_of

PAGE: Final = 256
"""Sessions in a page of an iteration."""
BATCH: Final = 1000
"""Documents in a step of ``length`` and ``clear``."""
OLDEST: Final = 13
"""The wire version of MongoDB 5.0, in which the default write concern is the majority."""
SETUP: Final = 10.0
"""Seconds to create the indexes. A replica set takes longer for that than for a verb."""
UNUSED: Final = 3600
"""Seconds after which MongoDB removes the document that transactions of a user change."""


class Command(NamedTuple):
    """A command of MongoDB."""

    body: Document
    cursor: bool = False
    """Whether the result is the list of all documents that a cursor returns."""
    timeout: float = 0.0
    """Seconds to wait for the reply, if that is longer than the timeout of the store."""


BEGIN: Final = "begin"
"""Begins a transaction. If the verb ends without ``COMMIT``, the connector aborts it."""
COMMIT: Final = "commit"

HELLO: Final = Command({"hello": 1})
"""Returns the server's time and state. In a transaction it is refused."""


class MongoVerbs:
    """The verbs of the MongoDB store.

    Args:
        collection: The collection of the sessions.
        date: A function that makes a date of milliseconds, from the client library.
        clock: A function that returns seconds, for tests. None: the server's clock.
    """

    def __init__(
        self,
        collection: str,
        date: Callable[[int], Any],
        clock: Callable[[], float] | None = None,
    ) -> None:
        self._sessions = collection
        self._users = f"{collection}_users"
        self._date = date
        self._clock = ServerClock(clock)
        self._expires = clock is None  # with a test's clock, nothing expires in MongoDB

    def get(self, key: bytes) -> Steps[Found | None]:
        reply = yield Command(
            {
                "find": self._sessions,
                "filter": {"_id": key},
                "projection": FIELDS,
                "limit": 1,
                "singleBatch": True,
            }
        )
        now = yield from self._now()
        documents = reply["cursor"]["firstBatch"]
        return decode(documents[0], now) if documents else None

    def add(
        self,
        key: bytes,
        record: Record,
        *,
        idle: float,
        life: float,
        per_user: PerUser | None = None,
    ) -> Steps[bool]:
        now = yield from self._now()
        times = times_of(record, now, idle, life)
        if record.user is None or per_user is None:
            return (yield from self._insert(key, record, times, now))
        yield BEGIN
        yield from self._lock(record.user)
        if not (yield from self._insert(key, record, times, now)):
            return False
        if not (yield from self._admit(record.user, per_user, now, but=(key,))):
            return False
        yield COMMIT
        return True

    def set(
        self, key: bytes, record: Record, *, expected: bytes, idle: float
    ) -> Steps[Found | None]:
        now = yield from self._now()
        reply = yield self._modify(
            {**self._session(key, now), "payload": expected},
            [{"$set": {"payload": record.payload, "expires": self._sooner(now, idle, "$death")}}],
            new=True,
        )
        if reply["value"] is None:
            return (yield from self.get(key))
        return decode(reply["value"], now)

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
        now = yield from self._now()
        yield BEGIN
        if record.user is not None and per_user is not None:
            yield from self._lock(record.user)
        document: Document | None = None
        if expected is None:
            mark = Record(b"", None, new)
            if not (yield from self._insert(old, mark, times_of(mark, now, grace, grace), now)):
                return (yield from self.get(old))
        else:
            document = yield from self._rotate(old, new, expected, now, grace)
            if document is None:
                return (yield from self.get(old))
            if new == old:  # without a grace it is deleted, so that the insert would succeed
                return None
        if life is None:
            assert document is not None  # the contract
            born, death = int(document["born"]), int(document["death"])
            times = {"born": born, "death": death, "expires": min(now + millis(idle), death)}
        else:
            times = times_of(record, now, idle, life)
        if not (yield from self._insert(new, record, times, now)):
            return None
        if not (yield from self._admit(record.user, per_user, now, but=(old, new))):
            return decode(document, now)
        yield COMMIT
        values = {"payload": record.payload, "user": record.user, "reputation": record.reputation}
        return decode({**values, **times}, now)

    def touch(self, key: bytes, *, idle: float) -> Steps[bool]:
        now = yield from self._now()
        update = [{"$set": {"expires": self._sooner(now, idle, "$death")}}]
        reply = yield self._modify(self._session(key, now), update, {"_id": 1})
        return reply["value"] is not None

    def destroy(self, key: bytes, *, expected: bytes | None) -> Steps[Found | None]:
        now = yield from self._now()
        query = {"_id": key, **self._live(now)}
        if expected is not None:
            query = {**self._session(key, now), "payload": expected}
        reply = yield self._modify(query, None)
        return decode(reply["value"], now)

    def page(self, after: Any) -> Steps[Page]:
        now = yield from self._now()
        query = {**_ids_after(after), "successor": None, **self._live(now)}
        documents = yield self._find(query, FIELDS, {"_id": 1}, PAGE)
        return pairs(documents, now), documents[-1]["_id"] if len(documents) == PAGE else None

    def length(self) -> Steps[int]:
        query = {"successor": None, **self._live((yield from self._now()))}
        count, after = 0, None
        while True:
            keys = yield from self._keys(query, after)
            count += len(keys)
            if len(keys) < BATCH:
                return count
            after = keys[-1]

    def clear(self) -> Steps[None]:
        # MongoDB compares binary values by their length first, and all keys have 32 bytes.
        first, end = (each.ljust(32, b"\0") for each in (MARK, MARK[:-1] + b";"))
        query = {"$or": [{"_id": {"$lt": first}}, {"_id": {"$gte": end}}]}
        while True:
            keys = yield from self._keys(query)
            yield self._delete(keys)
            if len(keys) < BATCH:
                return

    def purge(self, limit: int | None) -> Steps[int]:
        """Return 0, because MongoDB itself removes expired records."""
        yield from ()
        return 0

    def of_user(self, user: str) -> Steps[list[tuple[bytes, Found]]]:
        now = yield from self._now()
        query = {"user": user, "successor": None, **self._live(now)}
        documents = yield self._find(query, FIELDS, {"born": 1, "_id": 1})
        return pairs(documents, now)

    def destroy_user(self, user: str, keep: bytes | None) -> Steps[list[bytes]]:
        now = yield from self._now()
        yield BEGIN
        documents = yield self._find({"user": user}, {"successor": 1, "expires": 1})
        successors = {document["_id"]: document.get("successor") for document in documents}
        ended = [
            key for key in successors if keep is None or not is_rotated_to(keep, key, successors)
        ]
        yield self._delete(ended)
        yield COMMIT
        live = {document["_id"] for document in documents if int(document["expires"]) > now}
        return [key for key in ended if successors[key] is None and key in live]

    def stats(self) -> Steps[dict[str, Any]]:
        reply = yield Command({"count": self._sessions})
        return {"sessions": reply["n"]}

    def ping(self) -> Steps[Any]:
        return (yield Command({"ping": 1}))

    def prepare(self, place: str) -> Steps[None]:
        """Check the server and create the indexes when a connector is opened.

        Args:
            place: The name of the server, for errors.

        Raises:
            ConfigError: The server is older than MongoDB 5.0, or has no transactions.
        """
        hello = yield HELLO
        self._clock.note(int(hello["localTime"]))
        if hello["maxWireVersion"] < OLDEST:
            raise ConfigError(f"MongoStore needs MongoDB 5.0 or later. Update {place}")
        if "setName" not in hello and hello.get("msg") != "isdbgrid":
            raise ConfigError(
                f"MongoStore needs a replica set, because only it has transactions. Start the "
                f"server of {place} with --replSet, and call rs.initiate() once"
            )
        by_user: Document = {"key": {"user": 1, "born": 1}, "name": "lembro_user"}
        by_user["partialFilterExpression"] = {"user": {"$exists": True}}
        yield _index(self._sessions, by_user)
        if self._expires:
            yield _index(self._sessions, _expiry("expires", 0))
            yield _index(self._users, _expiry("used", UNUSED))

    # -- within ------------------------------------------------------------------------------------

    def _now(self) -> Steps[int]:
        """Return the server's time in milliseconds."""
        now = self._clock.now()
        if now is None:
            hello = yield HELLO
            now = int(hello["localTime"])
            self._clock.note(now)
        return now

    def _live(self, now: int) -> Document:
        """Return the condition that a document has not expired."""
        return {"expires": {"$gt": self._date(now)}}

    def _session(self, key: bytes, now: int) -> Document:
        """Return the condition for a live session, which is not a rotated key."""
        return {"_id": key, "successor": None, **self._live(now)}

    def _sooner(self, now: int, seconds: float, limit: str) -> Document:
        """Return the expression for a deadline that is not later than a field."""
        return {"$min": [self._date(now + millis(seconds)), limit]}

    def _modify(
        self,
        query: Document,
        update: Any,
        projection: Document = FIELDS,
        *,
        new: bool = False,
        upsert: bool = False,
    ) -> Command:
        """Return a findAndModify of a session. Without an update, it removes the document."""
        change: Document = {"remove": True} if update is None else {"update": update, "new": new}
        if upsert:
            change["upsert"] = True
        return Command(
            {"findAndModify": self._sessions, "query": query, **change, "fields": projection}
        )

    def _insert(self, key: bytes, record: Record, times: dict[str, int], now: int) -> Steps[bool]:
        """Insert a record, or replace an expired one. Return False if a live one exists."""
        values: Document = {
            "_id": key,
            "payload": record.payload,
            "user": record.user,
            "successor": record.successor,
            "reputation": record.reputation,
            **{name: self._date(time) for name, time in times.items()},
        }
        document = {name: value for name, value in values.items() if value is not None}
        live = {"$gt": ["$expires", self._date(now)]}
        reply = yield self._modify(
            {"_id": key},
            # A literal, because a user may begin with "$".
            [{"$replaceWith": {"$cond": [live, "$$ROOT", {"$literal": document}]}}],
            {"expires": 1},
            upsert=True,
        )
        before = reply["value"]
        if before is None:
            # Only the one upsert that inserted the document has "upserted".
            return reply["lastErrorObject"].get("upserted") is not None
        return int(before["expires"]) <= now

    def _rotate(
        self, old: bytes, new: bytes, expected: bytes, now: int, grace: float
    ) -> Steps[Document | None]:
        """Make a key a rotated key, if its payload is ``expected``. Return what it was before."""
        until = self._sooner(now, grace, "$expires")
        rotated = {"payload": b"", "successor": new, "expires": until, "death": until}
        update = [{"$set": rotated}, {"$unset": "reputation"}] if grace > 0 else None
        reply = yield self._modify({**self._session(old, now), "payload": expected}, update)
        before: Document | None = reply["value"]
        return before

    def _lock(self, user: str) -> Steps[None]:
        """Conflict with other transactions that count the sessions of a user."""
        yield Command(
            {
                "findAndModify": self._users,
                "query": {"_id": user},
                "update": {"$inc": {"count": 1}, "$currentDate": {"used": True}},
                "upsert": True,
                "fields": {"_id": 1},
            }
        )

    def _admit(
        self, user: str | None, per_user: PerUser | None, now: int, but: tuple[bytes, ...]
    ) -> Steps[bool]:
        """Return whether a user may have one more session. Remove the oldest ones if necessary."""
        if user is None or per_user is None:
            return True
        limit, at_limit = per_user
        query = {"user": user, "successor": None, **self._live(now)}
        documents = yield self._find(query, {"_id": 1}, {"born": 1, "_id": 1})
        keys = [document["_id"] for document in documents if document["_id"] not in but]
        if len(keys) < limit:
            return True
        if at_limit == "refuse":
            return False
        yield self._delete(keys[: len(keys) - limit + 1])
        return True

    def _find(
        self,
        query: Document,
        projection: Document,
        sort: Document | None = None,
        limit: int = 0,
    ) -> Command:
        body = {"find": self._sessions, "filter": query, "projection": projection, "limit": limit}
        body["batchSize"] = BATCH
        return Command(body if sort is None else {**body, "sort": sort}, cursor=True)

    def _keys(self, query: Document, after: bytes | None = None) -> Steps[list[bytes]]:
        """Return the first keys of a query, at most ``BATCH``."""
        query = {"$and": [_ids_after(after), query]}
        documents = yield self._find(query, {"_id": 1}, {"_id": 1}, BATCH)
        return [document["_id"] for document in documents]

    def _delete(self, keys: list[bytes]) -> Command:
        deletes = [{"q": {"_id": {"$in": keys}}, "limit": 0}]
        return Command({"delete": self._sessions, "deletes": deletes})


def _ids_after(after: bytes | None) -> Document:
    return {} if after is None else {"_id": {"$gt": after}}


def _index(collection: str, index: Document) -> Command:
    return Command({"createIndexes": collection, "indexes": [index]}, timeout=SETUP)


def _expiry(field: str, seconds: int) -> Document:
    """Return the index by which MongoDB removes expired documents."""
    return {"key": {field: 1}, "name": "lembro_expiry", "expireAfterSeconds": seconds}
