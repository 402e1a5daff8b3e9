"""SQLAlchemyStore against the contract, on MariaDB, PostgreSQL and SQLite, sync and async.

``LEMBRO_DATABASE=postgresql`` runs the tests of MariaDB on PostgreSQL, by psycopg.
"""

from __future__ import annotations

import os
import shutil
import tempfile
from typing import Any, ClassVar

from hypothesis import HealthCheck, settings
from sqlalchemy import create_engine
from sqlalchemy.ext.asyncio import create_async_engine

from lembro.stores import SQLAlchemyStore
from lembro.testing import (
    AsyncStoreContract,
    AsyncStoreRaces,
    FakeClock,
    StoreContract,
    StoreRaces,
    store_machine,
)
from tests.support.servers import mariadb, postgres
from tests.support.servers.databases import new_table

DATABASE = os.environ.get("LEMBRO_DATABASE", "mariadb")


class ClockedStore(SQLAlchemyStore):
    """A store with its own table and clock."""

    def __init__(self, kind: str = "mariadb") -> None:
        self.fake = FakeClock()
        self.folder = tempfile.mkdtemp(prefix="lembro-") if kind == "sqlite" else ""
        self.engine = create_engine(f"sqlite:///{self.folder}/x.db") if self.folder else None
        super().__init__(
            self.engine or url_of(kind),
            table=new_table(),
            max_session_size=200_000,
            max_connections=2,
            timeout=10.0,
            clock=self.fake,
        )

    def close(self) -> None:
        super().close()
        if self.engine is not None:
            self.engine.dispose()
            shutil.rmtree(self.folder, ignore_errors=True)


def url_of(kind: str) -> str:
    return mariadb.shared().url() if kind == "mariadb" else postgres.shared().url()


def new_store(kind: str) -> SQLAlchemyStore:
    return SQLAlchemyStore(url_of(kind), table=new_table(), timeout=10.0)


def advance(store: Any, seconds: float) -> None:
    store.fake.advance(seconds)


class TestMariaDB(StoreContract):
    kind: ClassVar = DATABASE
    tolerance = 2e-6  # microseconds
    too_large = 300_000
    test_new_reputation = None  # type: ignore[assignment]  # for stores that evict

    def make_store(self) -> ClockedStore:
        return ClockedStore(self.kind)

    def advance(self, store: Any, seconds: float) -> None:
        advance(store, seconds)


class TestAsyncMariaDB(AsyncStoreContract):
    tolerance = 2e-6
    too_large = 300_000
    test_new_reputation = None  # type: ignore[assignment]

    def make_async_store(self) -> Any:
        self.clocked = ClockedStore(DATABASE)
        return self.clocked.aio

    def advance(self, store: Any, seconds: float) -> None:
        advance(self.clocked, seconds)


class TestEngine(TestMariaDB):
    """An engine of the application, on SQLite, with SQLAlchemy's defaults."""

    kind = "sqlite"


class TestAsyncEngine(AsyncStoreContract):
    tolerance = 2e-6
    too_large = 300_000
    test_new_reputation = None  # type: ignore[assignment]

    def make_async_store(self) -> Any:
        engine = create_async_engine(
            postgres.shared().url().replace("postgresql:", "postgresql+asyncpg:")
        )
        self.fake = FakeClock()
        store = SQLAlchemyStore(
            engine,
            table=new_table(),
            max_session_size=200_000,
            timeout=10.0,
            clock=self.fake,
        )
        return store.aio

    def advance(self, store: Any, seconds: float) -> None:
        self.fake.advance(seconds)


class TestRaces(StoreRaces):
    def make_store(self) -> Any:
        return new_store(DATABASE)


class TestAsyncRaces(AsyncStoreRaces):
    callers = 4  # asyncmy takes long to connect

    async def make_async_store(self) -> Any:
        return new_store(DATABASE).aio


# LEMBRO_EXAMPLES=300 tries more.
Machine = store_machine(lambda: ClockedStore(DATABASE), advance, tolerance=1e-5)
Machine.TestCase.settings = settings(
    max_examples=int(os.environ.get("LEMBRO_EXAMPLES", "8")),
    stateful_step_count=40,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow],
)
TestMachine = Machine.TestCase
