"""MemoryStore against the contract, and against a model of it."""

from __future__ import annotations

from typing import Any

from hypothesis import settings

from lembro.stores.base import (
    Store,
    SupportsAll,
    SupportsClear,
    SupportsDestroyUser,
    SupportsLength,
    SupportsOfUser,
    SupportsPurge,
    SupportsReduce,
    SupportsReputation,
    SupportsStats,
)
from lembro.stores.memory import MemoryStore
from lembro.stores.memory.audit import recount
from lembro.testing import AsyncStoreContract, FakeClock, StoreContract, store_machine


class ClockedStore(MemoryStore):
    """A store with its clock, for the state machine."""

    def __init__(self, max_size: str) -> None:
        self.fake = FakeClock()
        super().__init__(max_size, interval=10, clock=self.fake)


def conforms(store: MemoryStore) -> tuple[Store, SupportsReputation]:
    """Check by the type checkers: a MemoryStore is a Store with all optional methods."""
    offers: tuple[SupportsAll, SupportsLength, SupportsClear, SupportsPurge]
    more: tuple[SupportsReduce, SupportsOfUser, SupportsDestroyUser, SupportsStats]
    offers, more = (store, store, store, store), (store, store, store, store)
    del offers, more
    return store, store


def advance(store: Any, seconds: float) -> None:
    store.fake.advance(seconds)


def audit(store: ClockedStore) -> None:
    with store._lock:  # on a slow machine the purger may run in between
        recount(store._parts)


class TestMemoryStore(StoreContract):
    too_large = 4096

    def make_store(self) -> ClockedStore:
        return ClockedStore("64K")

    def advance(self, store: Any, seconds: float) -> None:
        advance(store, seconds)

    def teardown_method(self) -> None:
        audit(self.store)
        super().teardown_method()

    def test_the_store_does_not_block(self) -> None:
        assert self.store.blocking is False


class AsyncMemoryStore:
    """The same store with async verbs, which tests the async suite itself."""

    def __init__(self) -> None:
        self.sync = ClockedStore("64K")

    def __getattr__(self, name: str) -> Any:
        verb = getattr(self.sync, name)

        async def call(*args: Any, **options: Any) -> Any:
            return verb(*args, **options)

        return call


class TestAsyncMemoryStore(AsyncStoreContract):
    too_large = 4096

    async def make_async_store(self) -> AsyncMemoryStore:
        return AsyncMemoryStore()

    def advance(self, store: Any, seconds: float) -> None:
        store.store.sync.fake.advance(seconds)


Roomy = store_machine(lambda: ClockedStore("4M"), advance, audit)
Roomy.TestCase.settings = settings(max_examples=60, stateful_step_count=60, deadline=None)
TestMachine = Roomy.TestCase

Tight = store_machine(lambda: ClockedStore("64K"), advance, audit, evicts=True, longest=3800)
Tight.TestCase.settings = settings(max_examples=60, stateful_step_count=80, deadline=None)
TestMachineThatEvicts = Tight.TestCase
