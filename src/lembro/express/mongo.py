"""ConnectMongo and ConnectMongoDBSession: the sessions of two npm packages, in MongoDB."""

from __future__ import annotations

import math
from collections.abc import Callable
from datetime import datetime
from typing import Any, Final

from .. import bytesize
from .._hints import explain_keywords
from ..stores.external.backend import PreparedVerbs, Steps
from ..stores.external.clock import ServerClock
from ..stores.external.settings import check_timeout
from ..stores.external.store import MAX_SESSION_SIZE
from ..stores.mongo.documents import Document, millis
from ..stores.mongo.store import (
    TIMEOUT,
    MongoBackend,
    check_connections,
    check_name,
)
from ..stores.mongo.verbs import HELLO, PAGE, SETUP, Command
from .bson import check_keys, plain, restore
from .record import COOKIE, Body, encode_json
from .store import DAY, ExpressStore, users_of
from .users import ReadUser, Users, WriteUser
from .verbs import ExpressVerbs, Row

COLLECTION: Final = "sessions"


class MongoSteps(ExpressVerbs):
    """The steps in MongoDB: one document per session.

    Args:
        users: Reads the user.
        collection: The collection.
        date: A function that makes a date of milliseconds, from the client library.
        stringify: Whether a new session is stored as text, and not as a document.
    """

    def __init__(
        self, users: Users, collection: str, date: Callable[[int], Any], *, stringify: bool
    ) -> None:
        super().__init__(users)
        self._collection = collection
        self._date = date
        self._stringify = stringify
        self._clock = ServerClock(None)

    def parse(self, raw: Any) -> Any:
        return super().parse(raw) if isinstance(raw, str) else plain(raw)

    def form(self, body: Body, before: Any) -> Any:
        text = self._stringify if before is None else isinstance(before, str)
        if text:
            return encode_json(body).decode()
        check_keys(body)
        old = before if isinstance(before, dict) else {}
        cookie = dict(body[COOKIE])
        expires = cookie["expires"]
        if expires is not None:
            time = datetime.fromisoformat(expires).timestamp()
            cookie["expires"] = self._date(round(time * 1000))
        rest = {key: restore(value, old.get(key)) for key, value in body.items()}
        return {**rest, COOKIE: cookie}

    def server_time(self) -> Steps[int]:
        now = self._clock.now()
        if now is None:
            hello = yield HELLO
            now = int(hello["localTime"])
            self._clock.note(now)
        return now

    def read(self, session_id: str) -> Steps[Row | None]:
        now = yield from self.server_time()
        reply = yield Command(
            {
                "find": self._collection,
                "filter": self._live(session_id, now),
                "limit": 1,
                "singleBatch": True,
            }
        )
        documents = reply["cursor"]["firstBatch"]
        return _row(documents[0], now) if documents else None

    def insert(self, session_id: str, raw: Any, idle: float) -> Steps[bool]:
        values = {"session": raw, "expires": (yield from self._until(idle))}
        reply = yield self._modify(
            {"_id": session_id}, {"update": {"$setOnInsert": values}, "upsert": True}
        )
        # Only the one upsert that inserted the document has "upserted".
        return reply["value"] is None and reply["lastErrorObject"].get("upserted") is not None

    def swap(self, session_id: str, before: Any, raw: Any, idle: float) -> Steps[Row | bool | None]:
        now = yield from self.server_time()
        values = {"session": raw, "expires": (yield from self._until(idle))}
        query = {**self._live(session_id, now), "session": before}
        reply = yield self._modify(query, {"update": {"$set": values}})
        return True if reply["value"] is not None else (yield from self.read(session_id))

    def move(
        self, old: str, new: str, before: Any, raw: Any, idle: float
    ) -> Steps[Row | bool | None]:
        # Without a transaction, because Express needs no replica set. If this is interrupted, a
        # session remains whose ID nobody has.
        now = yield from self.server_time()
        if not (yield from self.insert(new, raw, idle)):
            return None
        query = {**self._live(old, now), "session": before}
        reply = yield self._modify(query, {"remove": True})
        if reply["value"] is not None:
            return True
        yield self._modify({"_id": new, "session": raw}, {"remove": True})
        return (yield from self.read(old))

    def extend(self, session_id: str, idle: float) -> Steps[bool]:
        now = yield from self.server_time()
        values = {"expires": (yield from self._until(idle))}
        reply = yield self._modify(self._live(session_id, now), {"update": {"$set": values}})
        return reply["value"] is not None

    def remove(self, session_id: str, before: Any) -> Steps[Row | None]:
        now = yield from self.server_time()
        query = self._live(session_id, now)
        if before is not None:
            query["session"] = before
        reply = yield Command({"findAndModify": self._collection, "query": query, "remove": True})
        return None if reply["value"] is None else _row(reply["value"], now)

    def rows(self, after: Any) -> Steps[tuple[list[tuple[str, Row]], Any]]:
        now = yield from self.server_time()
        query = {**self._live(None, now), "_id": {"$gt": "" if after is None else after}}
        body = {"find": self._collection, "filter": query, "sort": {"_id": 1}, "limit": PAGE}
        documents = yield Command(body, cursor=True)
        pairs = [(document["_id"], _row(document, now)) for document in documents]
        return pairs, pairs[-1][0] if len(pairs) == PAGE else None

    def length(self) -> Steps[int]:
        query = self._live(None, (yield from self.server_time()))
        reply = yield Command({"count": self._collection, "query": query})
        count: int = reply["n"]
        return count

    def clear(self) -> Steps[None]:
        yield Command({"delete": self._collection, "deletes": [{"q": {}, "limit": 0}]})

    def purge(self, limit: int | None) -> Steps[int]:
        """Return 0, because MongoDB itself removes expired records."""
        yield from ()
        return 0

    def stats(self) -> Steps[dict[str, Any]]:
        return {"sessions": (yield from self.length())}

    def ping(self) -> Steps[Any]:
        return (yield Command({"ping": 1}))

    def prepare(self, place: str) -> Steps[None]:
        """Create the index by which MongoDB removes expired sessions, unless Express has one."""
        yield from self.server_time()
        if not (yield from self._has_index()):
            index: Document = {"key": {"expires": 1}, "name": "expires_1", "expireAfterSeconds": 0}
            yield Command({"createIndexes": self._collection, "indexes": [index]}, timeout=SETUP)

    def _has_index(self) -> Steps[bool]:
        """Return whether Express has made an index, which may have other options."""
        body = {"listCollections": 1, "filter": {"name": self._collection}, "nameOnly": True}
        if not (yield Command(body, cursor=True)):
            return False
        indexes = yield Command({"listIndexes": self._collection}, cursor=True)
        return any(dict(index["key"]) == {"expires": 1} for index in indexes)

    # -- within ------------------------------------------------------------------------------------

    def _live(self, session_id: str | None, now: int) -> Document:
        """Return the condition for a session that has not expired, or for all of them."""
        live = {"$or": [{"expires": None}, {"expires": {"$gt": self._date(now)}}]}
        return live if session_id is None else {"_id": session_id, **live}

    def _until(self, idle: float) -> Steps[Any]:
        now = yield from self.server_time()
        return self._date(now + millis(idle))

    def _modify(self, query: Document, change: Document) -> Command:
        return Command(
            {"findAndModify": self._collection, "query": query, **change, "fields": {"_id": 1}}
        )


def _row(document: Document, now: int) -> Row:
    expires = document.get("expires")
    left = math.inf if expires is None else (int(expires) - now) / 1000
    return Row(document.get("session"), left)


class _Backend(MongoBackend):
    def __init__(self, users: Users, *args: Any, stringify: bool) -> None:
        self._users = users
        self._stringify = stringify
        super().__init__(*args)

    def make_verbs(self, collection: str, date: Any, clock: object) -> PreparedVerbs:
        return MongoSteps(self._users, collection, date, stringify=self._stringify)


class _MongoStore(ExpressStore):
    lifetime: float = 14 * DAY

    def __init__(
        self,
        server: Any,
        database: str | None,
        collection: str,
        users: Users,
        *,
        stringify: bool,
        max_session_size: int | str,
        max_connections: int | None,
        timeout: float,
    ) -> None:
        if database is not None:
            check_name("database", database)
        check_name("collection", collection)
        backend = _Backend(
            users,
            server,
            database,
            collection,
            check_connections(server, max_connections),
            check_timeout(timeout),
            None,
            stringify=stringify,
        )
        super().__init__(backend, users, max_session_size=bytesize.parse(max_session_size))


@explain_keywords
class ConnectMongo(_MongoStore):
    """The sessions of connect-mongo, in MongoDB 5.0 or later.

    It needs pymongo: ``pip install 'lembro[mongo]'``. Sessions that connect-mongo encrypts
    (``crypto``) cannot be read.

    Args:
        server: A URL, or a client of pymongo, as for :class:`~lembro.stores.MongoStore`. It need
            not be a replica set.
        database: The ``dbName`` of connect-mongo. None: the one that the URL names.
        collection: The ``collectionName`` of connect-mongo.
        stringify: The ``stringify`` of connect-mongo: whether a session is stored as text. lembro
            reads both, and keeps the form of each session.
        user: The path of the user ID in the session's data, or a function that takes the data and
            returns the ID. Default: ``passport.user``.
        set_user: A function that takes the data and a user ID, and notes the login in the data.
            Only if ``user`` is a function.
        user_type: The type of the ID at the path: str or int.
        max_session_size: The maximum size of a session in bytes.
        max_connections: The maximum number of connections of each process, and of each event loop.
            Only with a URL. The default is 20.
        timeout: The maximum number of seconds that one command may take.

    Raises:
        ConfigError: An argument is invalid, or pymongo is not installed.
    """

    def __init__(
        self,
        server: Any,
        *,
        database: str | None = None,
        collection: str = COLLECTION,
        stringify: bool = True,
        user: ReadUser | None = None,
        set_user: WriteUser | None = None,
        user_type: type[str] | type[int] | None = None,
        max_session_size: int | str = MAX_SESSION_SIZE,
        max_connections: int | None = None,
        timeout: float = TIMEOUT,
    ) -> None:
        super().__init__(
            server,
            database,
            collection,
            users_of(user, set_user, user_type),
            stringify=stringify,
            max_session_size=max_session_size,
            max_connections=max_connections,
            timeout=timeout,
        )


@explain_keywords
class ConnectMongoDBSession(_MongoStore):
    """The sessions of connect-mongodb-session, in MongoDB 5.0 or later.

    It needs pymongo: ``pip install 'lembro[mongo]'``. A session is a document. A Date, an ObjectId
    and NaN in it appear in their JSON form, and keep their types in the database.
    connect-mongodb-session itself never extends a session that a request only reads.

    Args:
        server: A URL, or a client of pymongo, as for :class:`~lembro.stores.MongoStore`. It need
            not be a replica set.
        database: The ``databaseName`` of connect-mongodb-session. None: the one that the URL names.
        collection: The ``collection`` of connect-mongodb-session.
        user: The path of the user ID in the session's data, or a function that takes the data and
            returns the ID. Default: ``passport.user``.
        set_user: A function that takes the data and a user ID, and notes the login in the data.
            Only if ``user`` is a function.
        user_type: The type of the ID at the path: str or int.
        max_session_size: The maximum size of a session in bytes.
        max_connections: The maximum number of connections of each process, and of each event loop.
            Only with a URL. The default is 20.
        timeout: The maximum number of seconds that one command may take.

    Raises:
        ConfigError: An argument is invalid, or pymongo is not installed.
    """

    def __init__(
        self,
        server: Any,
        *,
        database: str | None = None,
        collection: str = COLLECTION,
        user: ReadUser | None = None,
        set_user: WriteUser | None = None,
        user_type: type[str] | type[int] | None = None,
        max_session_size: int | str = MAX_SESSION_SIZE,
        max_connections: int | None = None,
        timeout: float = TIMEOUT,
    ) -> None:
        super().__init__(
            server,
            database,
            collection,
            users_of(user, set_user, user_type),
            stringify=False,
            max_session_size=max_session_size,
            max_connections=max_connections,
            timeout=timeout,
        )
