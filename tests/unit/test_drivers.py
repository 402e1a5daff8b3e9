"""How each kind of store is called, with and without an event loop."""

from __future__ import annotations

import asyncio
import threading
from typing import Any

import pytest
import trio

from lembro import MemoryStore, SessionManager, UsageError
from lembro._core.effects import Call
from lembro._runtime.drivers import performer
from tests.support.stores import AsyncAdapter, BlockingAdapter


class TwoWays(BlockingAdapter):
    """A store with plain verbs and a twin with async ones, as a database store is."""

    def __init__(self, *, is_sync: bool) -> None:
        inner = MemoryStore("64K")
        super().__init__(inner)
        self.sync = self if is_sync else None
        self.aio = AsyncAdapter(inner)
        self.threads: set[int] = set()
        """The threads that called a plain verb."""

    def _do(self, verb: str, *args: Any, **keywords: Any) -> Any:
        self.threads.add(threading.get_ident())
        return super()._do(verb, *args, **keywords)


def manager_of(store: Any) -> SessionManager:
    return SessionManager(store)


def test_asyncio_awaits_the_async_verbs() -> None:
    store = TwoWays(is_sync=True)
    assert asyncio.run(manager_of(store).acreate({"n": 1}))
    assert not store.threads


def test_trio_calls_the_plain_verbs_in_a_thread() -> None:
    """Clients of databases need asyncio."""
    store = TwoWays(is_sync=True)
    assert trio.run(manager_of(store).acreate, {"n": 1})
    assert store.threads
    assert threading.get_ident() not in store.threads


def test_an_async_client_cannot_be_called_by_plain_code() -> None:
    store = TwoWays(is_sync=False)
    with pytest.raises(UsageError, match="TwoWays is asynchronous"):
        manager_of(store).create({"n": 1})
    assert asyncio.run(manager_of(store).acreate({"n": 1}))
    assert not store.threads


def test_a_call_of_an_in_process_store_returns_its_result() -> None:
    store = MemoryStore("64K")

    async def length() -> Any:
        return await performer(store)(Call("length", ()))

    assert asyncio.run(length()) == 0
    SessionManager(store).create({"n": 1})
    assert asyncio.run(length()) == 1
