"""RedisStore against the contract, and against a model of it, sync and async."""

from __future__ import annotations

import os
from typing import Any

from hypothesis import HealthCheck, settings

from lembro.stores import RedisStore
from lembro.testing import AsyncStoreContract, Blocking, FakeClock, StoreContract, store_machine
from tests.support.servers.redis import new_prefix, shared, shared_cluster


class ClockedStore(RedisStore):
    """A store with its own keys and clock. It deletes its keys, because nothing expires."""

    def __init__(self, kind: str = "redis", url: str | None = None) -> None:
        self.fake = FakeClock()
        super().__init__(
            shared(kind).url if url is None else url,
            prefix=new_prefix(),
            timeout=10.0,
            clock=self.fake,
        )

    def close(self) -> None:
        self.clear()
        super().close()


class TestRedisStore(StoreContract):
    test_new_reputation = None  # type: ignore[assignment]  # it evicts nothing
    tolerance = 2e-3  # milliseconds
    too_large = 2_000_000
    purges = False

    def make_store(self) -> ClockedStore:
        return ClockedStore()

    def advance(self, store: Any, seconds: float) -> None:
        store.fake.advance(seconds)


class TestValkey(TestRedisStore):
    def make_store(self) -> ClockedStore:
        return ClockedStore("valkey")


class TestCluster(TestRedisStore):
    def make_store(self) -> ClockedStore:
        return ClockedStore(url=shared_cluster().url)


class TestAio(AsyncStoreContract):
    test_new_reputation = None  # type: ignore[assignment]  # it evicts nothing
    tolerance = 2e-3
    too_large = 2_000_000
    purges = False

    def make_async_store(self) -> Any:
        self.clocked = self.make_clocked_store()
        return self.clocked.aio

    def make_clocked_store(self) -> ClockedStore:
        return ClockedStore()

    def advance(self, store: Any, seconds: float) -> None:
        self.clocked.fake.advance(seconds)

    def teardown_method(self) -> None:
        super().teardown_method()
        self.clocked.close()


class TestAioOfValkey(TestAio):
    def make_clocked_store(self) -> ClockedStore:
        return ClockedStore("valkey")


class TestAioOfACluster(TestAio):
    def make_clocked_store(self) -> ClockedStore:
        return ClockedStore(url=shared_cluster().url)


class BlockingTwin(Blocking):
    def __init__(self) -> None:
        self.clocked = ClockedStore()
        super().__init__(lambda: self.clocked.aio)

    def close(self) -> None:
        super().close()
        self.clocked.close()


# LEMBRO_EXAMPLES=300 tries more.
FEW = settings(
    max_examples=int(os.environ.get("LEMBRO_EXAMPLES", "25")),
    stateful_step_count=50,
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
