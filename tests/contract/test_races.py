"""The stores in races: threads and tasks at the same time."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any
from unittest import SkipTest

import pytest

from lembro import Found, MemoryStore, Record, StoreUnavailable
from lembro.stores import SQLiteStore
from lembro.testing import AsyncStoreRaces, StoreRaces
from tests.contract.test_plain import PlainStore
from tests.support.servers.mongo import new_store as new_mongo_store
from tests.support.servers.redis import new_store
from tests.support.stores import AsyncAdapter


class TestMemoryStore(StoreRaces):
    def make_store(self) -> Any:
        return MemoryStore()


class TestAsyncAdapter(AsyncStoreRaces):
    def make_async_store(self) -> Any:
        return AsyncAdapter(MemoryStore(), {"of_user", "destroy_user"})


class TestSQLiteStore(StoreRaces):
    @pytest.fixture(autouse=True)
    def folder(self, tmp_path: Path) -> None:
        self.path = tmp_path / "sessions.db"

    def make_store(self) -> Any:
        return SQLiteStore(self.path)


class TestAsyncSQLiteStore(AsyncStoreRaces):
    @pytest.fixture(autouse=True)
    def folder(self, tmp_path: Path) -> None:
        self.path = tmp_path / "sessions.db"

    async def make_async_store(self) -> Any:
        return SQLiteStore(self.path).aio


class TestRedisStore(StoreRaces):
    def make_store(self) -> Any:
        return new_store()


class TestAsyncRedisStore(AsyncStoreRaces):
    async def make_async_store(self) -> Any:
        return new_store().aio


class TestMongoStore(StoreRaces):
    callers = 4  # its server is slow

    def make_store(self) -> Any:
        return new_mongo_store()


class TestAsyncMongoStore(AsyncStoreRaces):
    callers = 4

    async def make_async_store(self) -> Any:
        return new_mongo_store().aio


# -- the races themselves


class Careless(PlainStore):
    """A store whose verbs are two steps each, with a pause between them."""

    def __init__(self) -> None:
        super().__init__()
        memory = self._memory

        def set_(key: bytes, record: Record, *, expected: bytes, idle: float) -> Found | None:
            found = memory.get(key)
            if found is None or found.payload != expected:
                return found
            time.sleep(0.001)
            return memory.set(key, record, expected=memory.get(key).payload, idle=idle)  # type: ignore[union-attr]

        def destroy(key: bytes, *, expected: bytes | None = None) -> Found | None:
            found = memory.get(key)
            time.sleep(0.01)
            memory.destroy(key, expected=expected)
            return found

        self.set, self.destroy = set_, destroy


class CarelessRaces(StoreRaces):
    def make_store(self) -> Any:
        return Careless()


@pytest.mark.parametrize(
    "name", ["test_no_increment_is_lost", "test_one_of_many_destroyers_gets_the_record"]
)
def test_a_store_whose_verbs_are_not_atomic_fails(name: str) -> None:
    with pytest.raises(AssertionError):
        getattr(CarelessRaces(), name)()


class PlainRaces(StoreRaces):
    def make_store(self) -> Any:
        return PlainStore()


def test_a_store_with_the_verbs_alone_can_race() -> None:
    PlainRaces().test_a_cap_that_refuses_is_exact()
    with pytest.raises(SkipTest):
        PlainRaces().test_destroy_user_leaves_nothing_to_rotations()


def test_a_verb_that_had_no_turn_is_called_again() -> None:
    class Busy(PlainStore):
        def __init__(self) -> None:
            super().__init__()
            memory, errors = self._memory, [StoreUnavailable("busy")]

            def get(key: bytes) -> Found | None:
                if errors:
                    raise errors.pop()
                return memory.get(key)

            self.get = get

    class BusyRaces(StoreRaces):
        def make_store(self) -> Any:
            return Busy()

    BusyRaces().test_no_increment_is_lost()


def test_an_error_in_a_thread_fails_the_test() -> None:
    class Broken(PlainStore):
        def __init__(self) -> None:
            super().__init__()
            self.add = None

    class BrokenRaces(StoreRaces):
        def make_store(self) -> Any:
            return Broken()

    with pytest.raises(TypeError):
        BrokenRaces().test_a_cap_that_refuses_is_exact()


def test_an_async_store_need_not_be_closed() -> None:
    class Open(AsyncAdapter):
        def __getattr__(self, name: str) -> Any:
            if name == "close":
                raise AttributeError(name)
            return super().__getattr__(name)

    class OpenRaces(AsyncStoreRaces):
        def make_async_store(self) -> Any:
            return Open(MemoryStore(), {"of_user"})

    OpenRaces().test_one_of_many_adds_of_a_key_succeeds()


def test_a_subclass_must_make_a_store() -> None:
    class TestMine(StoreRaces):
        pass

    class TestMineToo(AsyncStoreRaces):
        pass

    with pytest.raises(NotImplementedError, match=r"^TestMine needs make_store\(self\)"):
        TestMine().test_no_increment_is_lost()
    with pytest.raises(NotImplementedError, match=r"^TestMineToo needs make_async_store\(self\)"):
        TestMineToo().test_no_increment_is_lost()
