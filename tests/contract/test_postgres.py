"""PostgresStore against the contract, and against a model of it, sync and async."""

from __future__ import annotations

import os
from typing import Any

from hypothesis import HealthCheck, settings

from lembro.stores import PostgresStore
from lembro.testing import (
    AsyncStoreContract,
    AsyncStoreRaces,
    Blocking,
    FakeClock,
    StoreContract,
    StoreRaces,
    store_machine,
)
from tests.support.servers.databases import new_table
from tests.support.servers.pgbouncer import shared_pooler
from tests.support.servers.postgres import new_store, shared


class ClockedStore(PostgresStore):
    """A store with its own table and clock."""

    def __init__(self, *, pgbouncer: bool = False) -> None:
        self.fake = FakeClock()
        super().__init__(
            shared_pooler().url if pgbouncer else shared().url(),
            table=new_table(),
            max_session_size=200_000,
            max_connections=2,
            timeout=10.0,
            pgbouncer=pgbouncer,
            clock=self.fake,
        )


def advance(store: Any, seconds: float) -> None:
    store.fake.advance(seconds)


class TestPostgresStore(StoreContract):
    tolerance = 2e-6  # microseconds
    too_large = 300_000
    test_new_reputation = None  # type: ignore[assignment]  # for stores that evict

    def make_store(self) -> ClockedStore:
        return ClockedStore()

    def advance(self, store: Any, seconds: float) -> None:
        advance(store, seconds)


class TestAio(AsyncStoreContract):
    tolerance = 2e-6
    too_large = 300_000
    test_new_reputation = None  # type: ignore[assignment]  # for stores that evict

    def make_async_store(self) -> Any:
        self.clocked = ClockedStore()
        return self.clocked.aio

    def advance(self, store: Any, seconds: float) -> None:
        advance(self.clocked, seconds)


class TestPgBouncer(TestPostgresStore):
    def make_store(self) -> ClockedStore:
        return ClockedStore(pgbouncer=True)


class TestRaces(StoreRaces):
    def make_store(self) -> Any:
        return new_store()


class TestAsyncRaces(AsyncStoreRaces):
    async def make_async_store(self) -> Any:
        return new_store().aio


class BlockingTwin(Blocking):
    def __init__(self) -> None:
        self.clocked = ClockedStore()
        super().__init__(lambda: self.clocked.aio)


# LEMBRO_EXAMPLES=300 tries more.
FEW = settings(
    max_examples=int(os.environ.get("LEMBRO_EXAMPLES", "8")),
    stateful_step_count=40,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow],
)

Machine = store_machine(ClockedStore, advance, tolerance=1e-5)
Machine.TestCase.settings = FEW
TestMachine = Machine.TestCase

AioMachine = store_machine(
    BlockingTwin, lambda store, seconds: advance(store.clocked, seconds), tolerance=1e-5
)
AioMachine.TestCase.settings = FEW
TestAioMachine = AioMachine.TestCase
