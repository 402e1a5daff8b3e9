"""MongoStore against the contract, and against a model of it, sync and async."""

from __future__ import annotations

import os
from typing import Any

from hypothesis import HealthCheck, settings

from lembro.stores import MongoStore
from lembro.testing import AsyncStoreContract, Blocking, FakeClock, StoreContract, store_machine
from tests.support.servers.mongo import new_collection, shared


class ClockedStore(MongoStore):
    """A store with a collection and a clock of its own. It leaves nothing."""

    def __init__(self) -> None:
        self.fake = FakeClock()
        super().__init__(shared().url, collection=new_collection(), timeout=10.0, clock=self.fake)

    def close(self) -> None:
        self.clear()
        super().close()


class TestMongoStore(StoreContract):
    test_new_reputation = None  # type: ignore[assignment]  # it evicts nothing
    tolerance = 2e-3  # milliseconds
    too_large = 2_000_000
    purges = False

    def make_store(self) -> ClockedStore:
        return ClockedStore()

    def advance(self, store: Any, seconds: float) -> None:
        store.fake.advance(seconds)


class TestAio(AsyncStoreContract):
    test_new_reputation = None  # type: ignore[assignment]  # it evicts nothing
    tolerance = 2e-3
    too_large = 2_000_000
    purges = False

    def make_async_store(self) -> Any:
        self.clocked = ClockedStore()
        return self.clocked.aio

    def advance(self, store: Any, seconds: float) -> None:
        self.clocked.fake.advance(seconds)

    def teardown_method(self) -> None:
        super().teardown_method()
        self.clocked.close()


class BlockingTwin(Blocking):
    def __init__(self) -> None:
        self.clocked = ClockedStore()
        super().__init__(lambda: self.clocked.aio)

    def close(self) -> None:
        super().close()
        self.clocked.close()


# LEMBRO_EXAMPLES=300 tries more.
FEW = settings(
    max_examples=int(os.environ.get("LEMBRO_EXAMPLES", "8")),
    stateful_step_count=30,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow],
)

Machine = store_machine(
    ClockedStore, lambda store, seconds: store.fake.advance(seconds), tolerance=3e-3
)
Machine.TestCase.settings = FEW
TestMachine = Machine.TestCase

AioMachine = store_machine(
    BlockingTwin, lambda store, seconds: store.clocked.fake.advance(seconds), tolerance=3e-3
)
AioMachine.TestCase.settings = FEW
TestAioMachine = AioMachine.TestCase
