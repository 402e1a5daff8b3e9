"""Backends for tests: PostgreSQL, MariaDB and MongoDB, on the shared servers of the tests."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any, Final

import bson

from lembro.stores import MongoStore, PostgresStore, SQLAlchemyStore
from lembro.stores.base import MARK
from tests.support.servers import mariadb, mongo, postgres
from tests.support.servers.databases import new_table
from tests.support.stores import ExternalBackend

OPTIONS: Final = ("clock", "max_session_size", "timeout", "max_connections")
"""The options that every database store has. A database needs no size."""


class _DatabaseBackend(ExternalBackend):
    def __init__(self, make: Callable[..., Any], options: dict[str, Any], **others: Any) -> None:
        known: dict[str, Any] = {"timeout": 10.0, "max_connections": 4, **others}
        known.update((name, options[name]) for name in OPTIONS if name in options)
        self._make = partial(make, **known)
        self.memory = self._make()
        self._opened = [self.memory]

    def close(self) -> None:
        for store in self._opened:
            store.close()

    @property
    def behind(self) -> Any:
        store = self._make()
        store.blocking = False  # the server answers fast enough for a test
        self._opened.append(store)
        return store


class _TableBackend(_DatabaseBackend):
    """A table with its own name."""

    def __init__(self, make: Callable[..., Any], server: Any, options: dict[str, Any]) -> None:
        self.table = new_table()
        self._server = server
        others = {"interval": options["interval"]} if "interval" in options else {}
        super().__init__(make, options, table=self.table, **others)

    def records(self) -> int:
        self.memory.purge()
        return sum(not key.startswith(MARK) for (key,) in self._rows("skey"))

    def check(self) -> None:
        assert not [
            times for times in self._rows("born, expires, death") if sorted(times) != list(times)
        ]

    def dump(self) -> bytes:
        values = (value for row in self._rows("skey, payload, owner") for value in row)
        return b"".join(
            value.encode() if isinstance(value, str) else bytes(value)
            for value in values
            if value is not None
        )

    def _rows(self, columns: str) -> list[Any]:
        rows: list[Any] = self._server.execute(f"select {columns} from {self.table}")
        return rows


class PostgresBackend(_TableBackend):
    name = "postgres"

    def __init__(self, **options: Any) -> None:
        server: Any = options.get("server") or postgres.shared()
        url = options.get("url") or server.url()
        super().__init__(partial(PostgresStore, url), server, options)


class MariaDBBackend(_TableBackend):
    name = "mariadb"

    def __init__(self, **options: Any) -> None:
        server = mariadb.shared()
        super().__init__(partial(SQLAlchemyStore, server.url()), server, options)


class MongoBackend(_DatabaseBackend):
    """A collection with its own name."""

    name = "mongo"

    def __init__(self, **options: Any) -> None:
        server = mongo.shared()
        options = {"timeout": 60.0, **options}  # it needs a tenth of a second for each login
        self._collection = mongo.new_collection()
        super().__init__(partial(MongoStore, server.url), options, collection=self._collection)
        self._client = server.client()

    def close(self) -> None:
        self._client.close()
        super().close()

    def records(self) -> int:
        now = self.memory._verbs._clock.now()
        return sum(
            not document["_id"].startswith(MARK)
            and (now is None or document["expires"].timestamp() * 1000 > now)
            for document in self._documents()
        )

    def check(self) -> None:
        for document in self._documents():
            assert document["born"] <= document["expires"] <= document["death"]

    def dump(self) -> bytes:
        return b"".join(map(bson.encode, self._documents()))

    def _documents(self) -> list[Any]:
        return list(self._client["test"][self._collection].find({}))
