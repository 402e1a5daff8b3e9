"""``LembroStore`` as a ``Store`` of Litestar for its rate limits, cached responses and sessions."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from itertools import count
from typing import Any

import pytest
from litestar import Litestar, Request, get
from litestar.config.response_cache import ResponseCacheConfig
from litestar.middleware.rate_limit import RateLimitConfig
from litestar.middleware.session.server_side import ServerSideSessionConfig
from litestar.params import FromQuery
from litestar.stores.base import NamespacedStore, Store
from litestar.stores.registry import StoreRegistry
from litestar.testing import TestClient

from lembro import ConfigError, MemoryStore, SessionTooLarge
from lembro.integrations.litestar import LembroStore
from lembro.testing import FakeClock
from tests.support.stores import AsyncAdapter, BlockingAdapter

pytestmark = pytest.mark.anyio


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture
def memory(clock: FakeClock) -> Iterator[MemoryStore]:
    memory = MemoryStore(clock=clock)
    yield memory
    memory.close()


@pytest.fixture(params=[lambda memory: memory, AsyncAdapter, BlockingAdapter])
def store(request: pytest.FixtureRequest, memory: MemoryStore) -> LembroStore:
    return LembroStore(request.param(memory))


# -- the contract ----------------------------------------------------------------------------------


async def test_lembro_store_is_a_store_of_litestar(store: LembroStore) -> None:
    assert isinstance(store, Store)
    assert isinstance(store, NamespacedStore)
    assert repr(LembroStore()) == "<LembroStore <Cache 'litestar' in MemoryStore>>"


async def test_expired_values_are_removed_at_once(
    store: LembroStore, memory: MemoryStore, clock: FakeClock
) -> None:
    """As with Litestar's own stores, which an application calls in ``after_response``."""
    await store.set("old", b"1", 10)
    await store.set("new", b"1", 100)
    clock.advance(11)
    await store.delete_expired()
    assert sum(memory._parts.queues.counts) == 1
    assert await store.exists("new")


async def test_set_and_get_work(store: LembroStore) -> None:
    assert await store.get("key") is None
    await store.set("key", b"\x00\xff")
    assert await store.get("key") == b"\x00\xff"
    await store.set("key", "café")
    assert await store.get("key") == "café".encode()


async def test_exists_and_delete_work(store: LembroStore) -> None:
    await store.delete("key")  # a missing key is no error
    await store.set("key", b"")
    assert await store.exists("key") is True
    await store.delete("key")
    assert await store.exists("key") is False


@pytest.mark.parametrize("minute", [60, timedelta(minutes=1)])
async def test_an_entry_expires(store: LembroStore, clock: FakeClock, minute: Any) -> None:
    await store.set("key", b"value", expires_in=minute)
    clock.advance(59)
    assert await store.expires_in("key") == 1
    clock.advance(1)
    assert await store.get("key") is None
    assert await store.exists("key") is False
    assert await store.expires_in("key") is None


@pytest.mark.parametrize("never", [None, 0, timedelta()])
async def test_an_entry_without_an_expiry_never_expires(
    store: LembroStore, clock: FakeClock, memory: MemoryStore, never: Any
) -> None:
    await store.set("key", b"value", expires_in=never)
    assert await store.expires_in("key") is None
    clock.advance(10 * 366 * 86400)
    memory.purge()
    assert await store.get("key", renew_for=60) == b"value"
    assert await store.expires_in("key") is None  # a read does not add an expiry


@pytest.mark.parametrize("minute", [60, timedelta(minutes=1)])
async def test_renew_for_renews_the_expiry(
    store: LembroStore, clock: FakeClock, minute: Any
) -> None:
    await store.set("key", b"value", expires_in=60)
    clock.advance(50)
    await store.get("key")
    assert await store.expires_in("key") == 10
    await store.get("key", renew_for=minute)
    assert await store.expires_in("key") == 60


async def test_delete_all_covers_this_store_and_its_inner_namespaces(store: LembroStore) -> None:
    inner = store.with_namespace("inner")
    innermost = inner.with_namespace("innermost")
    sibling = store.with_namespace("sibling")
    assert isinstance(inner, LembroStore)
    for each in (store, inner, innermost, sibling):
        await each.set("key", repr(each))
    assert await inner.get("key") == repr(inner).encode()
    await inner.delete_all()
    left = [await each.exists("key") for each in (store, inner, innermost, sibling)]
    assert left == [True, False, False, True]
    await store.delete_all()
    left = [await each.exists("key") for each in (store, inner, innermost, sibling)]
    assert left == [False] * 4


async def test_a_value_that_is_too_large_is_an_error() -> None:
    store = LembroStore(MemoryStore("64K"))
    with pytest.raises(SessionTooLarge):
        await store.set("key", b"." * 64 * 1024)


async def test_an_object_that_is_no_store_is_refused() -> None:
    wrong: Any = "64M"
    with pytest.raises(ConfigError, match=r"^store must be a store, got .* Example: MemoryStore"):
        LembroStore(wrong)


# -- features of Litestar that use it --------------------------------------------------------------


def client(memory: MemoryStore, *handlers: Any, **keywords: Any) -> TestClient[Litestar]:
    stores = StoreRegistry(default_factory=LembroStore(memory).with_namespace)
    return TestClient(
        Litestar(
            list(handlers), stores=stores, openapi_config=None, logging_config=None, **keywords
        )
    )


def test_rate_limits_work(memory: MemoryStore) -> None:
    @get("/")
    async def page() -> str:
        return "hello"

    limit = RateLimitConfig(rate_limit=("minute", 2))
    with client(memory, page, middleware=[limit.middleware]) as tab:
        assert [tab.get("/").status_code for _ in range(3)] == [200, 200, 429]
    assert memory.length() == 1


def test_cached_responses_work(memory: MemoryStore, clock: FakeClock) -> None:
    numbers = count(1)

    @get("/", cache=60)
    async def page(q: FromQuery[str]) -> str:
        return f"{q} {next(numbers)}"

    # The handler's own expiry is not tested again: Litestar checks it, by its own clock.
    with client(memory, page, response_cache_config=ResponseCacheConfig()) as tab:
        assert tab.get("/?q=a").text == "a 1"
        assert tab.get("/?q=a").text == "a 1"
        assert tab.get("/?q=b").text == "b 2"
        clock.advance(60)
        assert memory.length() == 0
        assert tab.get("/?q=a").text == "a 3"


def test_litestars_own_sessions_are_bounded_and_purged(
    memory: MemoryStore, clock: FakeClock
) -> None:
    @get("/")
    async def page(request: Request[Any, Any, Any]) -> int:
        request.session["n"] = request.session.get("n", 0) + 1
        return int(request.session["n"])

    config = ServerSideSessionConfig(max_age=60)
    with client(memory, page, middleware=[config.middleware]) as tab:
        assert [tab.get("/").json() for _ in range(3)] == [1, 2, 3]
    assert memory.length() == 1
    clock.advance(60)
    assert memory.length() == 0


def test_the_application_opens_and_closes_the_store() -> None:
    did: list[str] = []

    class Networked(AsyncAdapter):
        async def open(self) -> None:
            did.append("open")

        async def close(self) -> None:
            did.append("close")

    app = Litestar(stores={"x": LembroStore(Networked(MemoryStore()))}, logging_config=None)
    with TestClient(app):
        assert did == ["open"]
    assert did == ["open", "close"]
