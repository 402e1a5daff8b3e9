"""One login for Express and Python: both sites over each store, and a visitor of both."""

from __future__ import annotations

import asyncio
import json
import time
from abc import abstractmethod
from collections.abc import Mapping
from contextlib import AbstractContextManager
from datetime import UTC, datetime, timedelta
from typing import Any, Final, Protocol

import lembro.express
from lembro.express import ExpressCookie, ExpressManager
from tests.support.express import Answer, Express, ExpressSite
from tests.support.express.python import ASGISite, WSGISite
from tests.support.servers import mariadb, mongo, postgres, redis
from tests.support.servers.databases import new_table

SECRET: Final = "keyboard cat"
MINUTE: Final = 60


class Site(Protocol):
    """An application with the routes of ``server.js``."""

    def ask(self, path: str, body: object = None, cookie: str = "") -> Answer: ...
    def held(
        self, path: str, body: object = None, cookie: str = ""
    ) -> AbstractContextManager[list[Answer]]: ...


def sid_of(cookie: str) -> str:
    """Return the session ID in a cookie."""
    return cookie.partition("%3A")[2].partition(".")[0]


def quoted(text: str) -> str:
    """Return a text for a string literal of SQL."""
    return text.replace("\\", "\\\\").replace("'", "''")


class Visitor:
    """A browser, which has the session cookie for both sites."""

    def __init__(self) -> None:
        self.cookie = ""

    def ask(self, site: Site, path: str, **body: Any) -> Answer:
        """Send a GET to ``/read``, and a POST to the other routes."""
        answer = site.ask(path, None if path == "/read" else body, self.cookie)
        assert answer.status == 200, answer.text
        self.take(answer)
        return answer

    def take(self, answer: Answer) -> None:
        """Keep the cookie of an answer. Forget it if the answer clears it."""
        for cookie in answer.set_cookies:
            pair, _, attributes = cookie.partition(";")
            self.cookie = "" if "Expires=Thu, 01 Jan 1970" in attributes else pair


class Store:
    """A store of express-session, which both sites use; tests read and change its records."""

    name: str
    lifetime: int = 86_400
    """The lifetime in seconds of a session whose cookie has none."""
    touches: bool = True
    """Whether Express can extend a session without writing it."""

    @abstractmethod
    def node(self) -> Mapping[str, Any]:
        """Return the description of the store for ``server.js``."""

    @abstractmethod
    def python(self, **options: Any) -> Any:
        """Return the store of lembro."""

    def read(self, sid: str) -> Any:
        """Return the stored data with ``cookie``, or None."""
        text = self.raw(sid)
        return None if text is None else json.loads(text)

    @abstractmethod
    def raw(self, sid: str) -> Any:
        """Return the stored data as the store holds it, or None."""

    @abstractmethod
    def write(self, sid: str, text: str, seconds: int | None = MINUTE) -> None:
        """Store a text, which may be no JSON. With None as ``seconds``, it never expires."""

    @abstractmethod
    def expires_in(self, sid: str) -> float:
        """Return the seconds until the record expires."""

    @abstractmethod
    def expire_in(self, sid: str, seconds: int) -> None:
        """Let the record expire, without a change of the stored data."""

    def close(self) -> None:
        """Close the connections of the test."""


class RedisWorld(Store):
    name = "connect-redis"

    def __init__(self) -> None:
        self._server = redis.shared()
        self._prefix = redis.new_prefix()

    def node(self) -> Mapping[str, Any]:
        return {"kind": "redis", "url": self._server.url, "prefix": self._prefix}

    def python(self, **options: Any) -> Any:
        return lembro.express.ConnectRedis(
            self._server.url, prefix=self._prefix, timeout=10, **options
        )

    def raw(self, sid: str) -> Any:
        text = self._server.do("GET", self._prefix + sid)
        return None if text is None else text.decode()

    def write(self, sid: str, text: str, seconds: int | None = MINUTE) -> None:
        expiry = () if seconds is None else ("EX", seconds)
        self._server.do("SET", self._prefix + sid, text, *expiry)

    def expires_in(self, sid: str) -> float:
        return float(self._server.do("PTTL", self._prefix + sid)) / 1000

    def expire_in(self, sid: str, seconds: int) -> None:
        self._server.do("EXPIRE", self._prefix + sid, seconds)


class PostgresWorld(Store):
    name = "connect-pg-simple"

    def __init__(self, time_zone: str = "") -> None:
        self._server = postgres.shared()
        self._table = new_table()
        self._database = "postgres"
        if time_zone:
            self._database = self._server.new_database()
            self._execute(f"alter database {self._database} set timezone = '{time_zone}'")

    def _execute(self, text: str) -> list[Any]:
        return self._server.execute(text, self._database)

    def _url(self) -> str:
        return self._server.url(self._database)

    def node(self) -> Mapping[str, Any]:
        return {"kind": "postgres", "url": self._url(), "tableName": self._table}

    def python(self, **options: Any) -> Any:
        return lembro.express.ConnectPgSimple(self._url(), table=self._table, timeout=10, **options)

    def raw(self, sid: str) -> Any:
        rows = self._execute(f"select sess::text from {self._table} where sid = '{sid}'")
        return rows[0][0] if rows else None

    def write(self, sid: str, text: str, seconds: int | None = MINUTE) -> None:
        self._execute(
            f"insert into {self._table} (sid, sess, expire) values"
            f" ('{quoted(sid)}', $json${text}$json$, now() + interval '{seconds} s')"
            " on conflict (sid) do update set sess = excluded.sess, expire = excluded.expire"
        )

    def expires_in(self, sid: str) -> float:
        [[seconds]] = self._execute(
            f"select extract(epoch from expire - localtimestamp) from {self._table}"
            f" where sid = '{sid}'"
        )
        return float(seconds)

    def expire_in(self, sid: str, seconds: int) -> None:
        expire = f"localtimestamp + interval '{seconds} s'"
        self._execute(f"update {self._table} set expire = {expire} where sid = '{sid}'")


class MySQLWorld(Store):
    name = "express-mysql-session"

    def __init__(self) -> None:
        self._server = mariadb.shared()
        self._table = new_table()

    def node(self) -> Mapping[str, Any]:
        return {"kind": "mysql", "url": self._server.url(), "table": self._table}

    def python(self, **options: Any) -> Any:
        return lembro.express.ExpressMySQLSession(
            self._server.url(), table=self._table, timeout=10, **options
        )

    def raw(self, sid: str) -> Any:
        rows = self._server.execute(f"select data from {self._table} where session_id = '{sid}'")
        return rows[0][0] if rows else None

    def write(self, sid: str, text: str, seconds: int | None = MINUTE) -> None:
        assert seconds is not None
        expires = f"unix_timestamp() + {seconds}"
        self._server.execute(
            f"replace into {self._table} (session_id, expires, data)"
            f" values ('{quoted(sid)}', {expires}, '{quoted(text)}')"
        )

    def expires_in(self, sid: str) -> float:
        [[expires]] = self._server.execute(
            f"select expires from {self._table} where session_id = '{sid}'"
        )
        return float(expires) - time.time()

    def expire_in(self, sid: str, seconds: int) -> None:
        expires = f"unix_timestamp() + {seconds}"
        self._server.execute(
            f"update {self._table} set expires = {expires} where session_id = '{sid}'"
        )


class MongoWorld(Store):
    name = "connect-mongo"
    lifetime = 14 * 86_400

    def __init__(self) -> None:
        self._url = mongo.shared().url
        self._name = mongo.new_collection()
        self._client = mongo.shared().client(tz_aware=True)
        self._collection = self._client.test[self._name]

    def close(self) -> None:
        self._client.close()

    def node(self) -> Mapping[str, Any]:
        return {
            "kind": "mongo",
            "url": self._url,
            "dbName": "test",
            "collectionName": self._name,
        }

    def python(self, **options: Any) -> Any:
        return lembro.express.ConnectMongo(self._url, collection=self._name, timeout=10, **options)

    def raw(self, sid: str) -> Any:
        found = self._collection.find_one({"_id": sid})
        return None if found is None else found["session"]

    def write(self, sid: str, text: str, seconds: int | None = MINUTE) -> None:
        assert seconds is not None
        expires = datetime.now(UTC) + timedelta(seconds=seconds)
        document = {"session": self._written(text), "expires": expires}
        self._collection.replace_one({"_id": sid}, document, upsert=True)

    def _written(self, text: str) -> Any:
        return text

    def expires_in(self, sid: str) -> float:
        found = self._collection.find_one({"_id": sid})
        assert found is not None
        return float((found["expires"] - datetime.now(UTC)).total_seconds())

    def expire_in(self, sid: str, seconds: int) -> None:
        expires = datetime.now(UTC) + timedelta(seconds=seconds)
        self._collection.update_one({"_id": sid}, {"$set": {"expires": expires}})


class MongoDBWorld(MongoWorld):
    name = "connect-mongodb-session"
    touches = False

    def node(self) -> Mapping[str, Any]:
        return {"kind": "mongodb", "url": self._url, "collection": self._name}

    def python(self, **options: Any) -> Any:
        return lembro.express.ConnectMongoDBSession(
            self._url, collection=self._name, timeout=10, **options
        )

    def read(self, sid: str) -> Any:
        return self.raw(sid)

    def _written(self, text: str) -> Any:
        try:
            return json.loads(text)
        except ValueError:
            return text


STORES: Final = (RedisWorld, PostgresWorld, MySQLWorld, MongoWorld, MongoDBWorld)


class World:
    """A store, and the sites over it.

    Args:
        store: The store.
        express: The application that has its Express site.
        runner: Runs the requests of its asynchronous site.
        rolling: The option of both.
    """

    def __init__(
        self, store: Store, express: Express, runner: asyncio.Runner, *, rolling: bool = False
    ) -> None:
        self.store = store
        self._express = express
        self._runner = runner
        self._managers: list[ExpressManager] = []
        self.express = self.express_site(rolling=rolling, cookie={"maxAge": MINUTE * 1000})
        self.manager = self.new_manager(rolling=rolling, cookie=ExpressCookie(max_age=MINUTE))
        self.python = WSGISite(self.manager)
        self.async_python = ASGISite(self.manager, runner)

    def express_site(self, **session: Any) -> ExpressSite:
        """Return another Express site over the store."""
        return self._express.mount(self.store.node(), **{"secret": SECRET, **session})

    def new_manager(self, **options: Any) -> ExpressManager:
        """Return another manager over the store. ``user`` and similar keywords are options of the
        store."""
        names = {"user", "set_user", "user_type"} & set(options)
        store = self.store.python(**{name: options.pop(name) for name in names})
        secret = options.pop("secret", SECRET)
        manager = ExpressManager(store, secret=secret, **options)
        self._managers.append(manager)
        return manager

    def python_site(self, **options: Any) -> WSGISite:
        """Return another Python site over the store."""
        return WSGISite(self.new_manager(**options))

    def site(self, name: str) -> Site:
        """Return ``express``, ``python`` or ``async_python``."""
        site: Site = getattr(self, name)
        return site

    def close(self) -> None:
        for manager in self._managers:
            self._runner.run(manager.aclose())
            manager.close()
