"""Places with sessions of Express: each lets a test write and read them as Express does."""

from __future__ import annotations

import atexit
import json
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from functools import cache
from typing import Any, Final

import psycopg
import pytest

from lembro.events import Event
from lembro.express import (
    ConnectMongo,
    ConnectMongoDBSession,
    ConnectPgSimple,
    ConnectRedis,
    ExpressManager,
    ExpressMySQLSession,
)
from tests.support.exchanges import PlainExchange
from tests.support.servers import mariadb, mongo, postgres
from tests.support.servers.databases import new_table
from tests.support.servers.mongo import new_collection
from tests.support.servers.redis import new_prefix
from tests.support.servers.redis import shared as shared_redis

SECRET: Final = "keyboard cat"
COOKIE: Final[dict[str, Any]] = {
    "originalMaxAge": None,
    "expires": None,
    "httpOnly": True,
    "path": "/",
}
PATIENT: Final[dict[str, Any]] = {"timeout": 10.0}  # on a busy machine


class Place:
    """The sessions of one format. A subclass has the access of its npm package."""

    def __init__(self) -> None:
        self.store: Any = self.make()

    def make(self) -> Any:
        """Return a store."""
        raise NotImplementedError

    def takes(self, text: str) -> bool:
        """Return whether the backend stores this text."""
        return True

    def put_text(self, session_id: str, text: str, left: float) -> None:
        """Store a text, as Express would store the JSON of a session."""
        raise NotImplementedError

    def text(self, session_id: str) -> str | None:
        """Return what is stored."""
        raise NotImplementedError

    def left(self, session_id: str) -> float:
        """Return the seconds until the session expires."""
        raise NotImplementedError

    def remove(self, session_id: str) -> None:
        """Remove a session, as Express does at a logout."""
        raise NotImplementedError

    def put(self, session_id: str, data: Any, left: float = 1000.0, **cookie: Any) -> None:
        """Store a session as Express does."""
        body = {"cookie": {**COOKIE, **cookie}, **data}
        self.put_text(session_id, json.dumps(body, separators=(",", ":")), left)

    def body(self, session_id: str) -> Any:
        """Return the stored session."""
        text = self.text(session_id)
        return None if text is None else json.loads(text)

    def change(self, session_id: str, **data: Any) -> None:
        """Change a session as a request of Express does: read it, and write it over."""
        body = {**self.body(session_id), **data}
        self.put_text(session_id, json.dumps(body, separators=(",", ":")), 1000.0)

    def manager(self, **options: Any) -> ExpressManager:
        """Return a manager of the sessions."""
        return ExpressManager(self.store, secret=SECRET, **options)


class RedisPlace(Place):
    def make(self) -> ConnectRedis:
        self.prefix = new_prefix()
        return ConnectRedis(shared_redis().url, prefix=self.prefix, **PATIENT)

    def put_text(self, session_id: str, text: str, left: float) -> None:
        shared_redis().do("SET", self.prefix + session_id, text, "EX", int(left))

    def text(self, session_id: str) -> str | None:
        raw = shared_redis().do("GET", self.prefix + session_id)
        return None if raw is None else raw.decode()

    def left(self, session_id: str) -> float:
        return float(shared_redis().do("PTTL", self.prefix + session_id)) / 1000

    def remove(self, session_id: str) -> None:
        shared_redis().do("DEL", self.prefix + session_id)


class PostgresPlace(Place):
    def make(self) -> ConnectPgSimple:
        self.table = new_table()
        store = ConnectPgSimple(postgres.shared().url(), table=self.table, **PATIENT)
        store.length()  # makes the table
        return store

    def takes(self, text: str) -> bool:
        return "NaN" not in text and text not in ("no JSON", "[" * 9000)

    def put_text(self, session_id: str, text: str, left: float) -> None:
        self._do(
            "insert into {table} (sid, sess, expire) values (%s, %s, to_timestamp(%s)) "
            "on conflict (sid) do update set sess = excluded.sess, expire = excluded.expire",
            session_id,
            text,
            time.time() + left,
        )

    def text(self, session_id: str) -> str | None:
        rows = self._do("select sess::text from {table} where sid = %s", session_id)
        return rows[0][0] if rows else None

    def left(self, session_id: str) -> float:
        rows = self._do("select expire - localtimestamp from {table} where sid = %s", session_id)
        return float(rows[0][0].total_seconds())

    def remove(self, session_id: str) -> None:
        self._do("delete from {table} where sid = %s", session_id)

    def _do(self, text: str, *values: Any) -> list[Any]:
        cursor = _psycopg().execute(text.format(table=self.table).encode(), values)
        return cursor.fetchall() if cursor.description else []


class MySQLPlace(Place):
    def make(self) -> ExpressMySQLSession:
        self.table = new_table()
        store = ExpressMySQLSession(mariadb.shared().url(), table=self.table, **PATIENT)
        store.length()  # makes the table
        return store

    def put_text(self, session_id: str, text: str, left: float) -> None:
        self._do(
            "insert into {table} (session_id, expires, data) values (%s, %s, %s) "
            "on duplicate key update expires = values(expires), data = values(data)",
            session_id,
            round(time.time() + left),
            text,
        )

    def text(self, session_id: str) -> str | None:
        rows = self._do("select data from {table} where session_id = %s", session_id)
        return rows[0][0] if rows else None

    def left(self, session_id: str) -> float:
        rows = self._do("select expires from {table} where session_id = %s", session_id)
        return float(rows[0][0]) - time.time()

    def remove(self, session_id: str) -> None:
        self._do("delete from {table} where session_id = %s", session_id)

    def _do(self, text: str, *values: Any) -> list[Any]:
        with _pymysql().cursor() as cursor:
            cursor.execute(text.format(table=self.table), values)
            return list(cursor.fetchall())


class MongoPlace(Place):
    """Sessions as text, as connect-mongo stores them."""

    def make(self) -> Any:
        self.collection = new_collection()
        return ConnectMongo(mongo.shared().url, collection=self.collection, **PATIENT)

    def put_text(self, session_id: str, text: str, left: float) -> None:
        self.put_value(session_id, text, left)

    def put_value(self, session_id: str, value: Any, left: float) -> None:
        expires = datetime.now(UTC) + timedelta(seconds=left)
        values = {"session": value, "expires": expires}
        self._sessions().update_one({"_id": session_id}, {"$set": values}, upsert=True)

    def text(self, session_id: str) -> str | None:
        document = self._sessions().find_one({"_id": session_id})
        return None if document is None else str(document["session"])

    def left(self, session_id: str) -> float:
        document = self._sessions().find_one({"_id": session_id})
        assert document is not None
        left: timedelta = document["expires"].replace(tzinfo=UTC) - datetime.now(UTC)
        return left.total_seconds()

    def remove(self, session_id: str) -> None:
        self._sessions().delete_one({"_id": session_id})

    def _sessions(self) -> Any:
        return mongo_client().get_default_database("lembro")[self.collection]


class MongoDBPlace(MongoPlace):
    """Sessions as documents, as connect-mongodb-session stores them."""

    def make(self) -> Any:
        self.collection = new_collection()
        return ConnectMongoDBSession(mongo.shared().url, collection=self.collection, **PATIENT)

    def put_text(self, session_id: str, text: str, left: float) -> None:
        try:
            self.put_value(session_id, json.loads(text), left)
        except (ValueError, RecursionError):
            self.put_value(session_id, text, left)

    def takes(self, text: str) -> bool:
        return "\\ud800" not in text and "NaN" not in text

    def text(self, session_id: str) -> str | None:
        document = self._sessions().find_one({"_id": session_id})
        if document is None:
            return None
        session = document["session"]
        return session if isinstance(session, str) else json.dumps(session, default=_iso)


def _iso(value: Any) -> str:
    return str(value.isoformat()) if isinstance(value, datetime) else str(value)


@cache
def _psycopg() -> psycopg.Connection[Any]:
    connection = psycopg.connect(postgres.shared().url(), autocommit=True)
    atexit.register(connection.close)
    return connection


@cache
def _pymysql() -> Any:
    return mariadb.shared().connect()


@cache
def mongo_client() -> Any:
    client = mongo.shared().client()
    atexit.register(client.close)
    return client


PLACES: Final[dict[str, type[Place]]] = {
    "connect-redis": RedisPlace,
    "connect-pg-simple": PostgresPlace,
    "express-mysql-session": MySQLPlace,
    "connect-mongo": MongoPlace,
    "connect-mongodb-session": MongoDBPlace,
}


@pytest.fixture(params=PLACES, scope="module")
def shared_place(request: pytest.FixtureRequest) -> Iterator[Place]:
    """One place of each format for all tests of a module, because tables take time to make."""
    made = PLACES[request.param]()
    yield made
    made.store.close()


@pytest.fixture
def place(shared_place: Place) -> Iterator[Place]:
    """The sessions of each format."""
    yield shared_place
    shared_place.store.clear()


@pytest.fixture
def redis_place() -> Iterator[Place]:
    """The sessions of connect-redis, for tests that do not depend on the format."""
    made = RedisPlace()
    yield made
    made.store.close()


class Visitor:
    """A browser, with the cookie that it has."""

    def __init__(self, manager: ExpressManager, session_id: str | None = None) -> None:
        self.manager = manager
        self.cookie = ""
        self.session_id: str = session_id or ""
        self.sent: list[str] = []
        """The Set-Cookie headers of the last response."""
        self.events: list[Event] = []
        for name in ("rejected", "dropped", "conflict", "created", "regenerated", "destroyed"):
            manager.on(name, self.events.append)
        if session_id is not None:
            self.cookie = "connect.sid=" + _value(manager, session_id)

    def visit(
        self, handler: Callable[[Any], Any], *, status: int = 200, https: bool = False
    ) -> Any:
        """Handle a request, and return what the handler returned."""
        exchange = PlainExchange(self.manager, self.cookie or None, https=https)
        result = handler(exchange.session)
        error = exchange.commit(status)
        assert error is None, error
        self.sent = [each.decode() for each in exchange.set_cookies()]
        for each in self.sent:
            self.cookie = each.partition(";")[0]
        self.session_id = exchange.session._issued_id or self.session_id
        exchange.close()
        return result

    def saw(self, name: str) -> list[Event]:
        """Return the events of this name."""
        return [event for event in self.events if event.name == name]


def _value(manager: ExpressManager, session_id: str) -> str:
    cookie: Any = manager._runner.cookie
    return str(cookie.value(session_id, None).decode())
