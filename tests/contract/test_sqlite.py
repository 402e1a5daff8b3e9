"""SQLiteStore against the contract, and against a model of it, sync and async."""

from __future__ import annotations

import os
import shutil
import tempfile
from typing import Any

import pytest
from hypothesis import HealthCheck, settings

from lembro.stores import SQLiteStore
from lembro.stores.sql import sqlite_connector
from lembro.testing import AsyncStoreContract, Blocking, FakeClock, StoreContract, store_machine


class ClockedStore(SQLiteStore):
    """A store in its own file, with its own clock."""

    def __init__(self) -> None:
        self.fake = FakeClock()
        self.folder = tempfile.mkdtemp(prefix="lembro-")
        super().__init__(f"{self.folder}/sessions.db", "4M", clock=self.fake)

    def close(self) -> None:
        super().close()
        shutil.rmtree(self.folder, ignore_errors=True)


def advance(store: Any, seconds: float) -> None:
    store.fake.advance(seconds)


class TestSQLiteStore(StoreContract):
    tolerance = 2e-6  # microseconds
    too_large = 300_000

    def make_store(self) -> ClockedStore:
        return ClockedStore()

    def advance(self, store: Any, seconds: float) -> None:
        advance(store, seconds)


class TestWithoutReturning(TestSQLiteStore):
    """An SQLite before 3.35, and MySQL, read in a transaction what they have changed."""

    @pytest.fixture(autouse=True)
    def old(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(sqlite_connector, "RETURNING", False)
        self.store.close()
        self.store = self.make_store()


class TestAio(AsyncStoreContract):
    tolerance = 2e-6
    too_large = 300_000

    def make_async_store(self) -> Any:
        self.clocked = ClockedStore()
        return self.clocked.aio

    def advance(self, store: Any, seconds: float) -> None:
        advance(self.clocked, seconds)


class BlockingTwin(Blocking):
    def __init__(self) -> None:
        self.clocked = ClockedStore()
        super().__init__(lambda: self.clocked.aio)


# LEMBRO_EXAMPLES=300 tries more.
FEW = settings(
    max_examples=int(os.environ.get("LEMBRO_EXAMPLES", "40")),
    stateful_step_count=50,
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
