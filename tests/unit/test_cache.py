"""Cache: values by key in a store, the base of the cache integrations."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from math import inf, nan
from typing import Any

import pytest

from lembro import (
    CodecError,
    ConfigError,
    LembroError,
    MemoryStore,
    Record,
    SessionManager,
    SessionTooLarge,
    StoreError,
)
from lembro.caches._cache import Cache
from lembro.ids import key_for
from lembro.stores.memory.audit import recount
from lembro.testing import FakeClock
from tests.support.stores import NETWORKED, AsyncAdapter, BlockingAdapter


class Caller:
    """A cache whose methods are called plain or awaited, as its store requires."""

    def __init__(self, kind: str, *names: str) -> None:
        self.clock = FakeClock()
        self.memory = MemoryStore("1M", clock=self.clock)
        stores: dict[str, Callable[[], Any]] = {
            "plain": lambda: self.memory,
            "awaited": lambda: self.memory,
            "blocking": lambda: BlockingAdapter(self.memory),
            "blocking, awaited": lambda: BlockingAdapter(self.memory),
            "async": lambda: AsyncAdapter(self.memory),
        }
        self.cache = Cache(stores[kind](), *names)
        self._runner = (
            asyncio.Runner() if kind in ("awaited", "async", "blocking, awaited") else None
        )

    def __getattr__(self, name: str) -> Any:
        if self._runner is None:
            return getattr(self.cache, name)
        runner, method = self._runner, getattr(self.cache, f"a{name}")
        return lambda *args, **keywords: runner.run(method(*args, **keywords))

    def within(self, name: str) -> Caller:
        inner = Caller.__new__(Caller)
        inner.__dict__.update(self.__dict__, cache=self.cache.within(name))
        return inner

    def close(self) -> None:
        self.memory.close()
        if self._runner is not None:
            self._runner.close()


@pytest.fixture(params=["plain", "awaited", "blocking", "blocking, awaited", "async"])
def cache(request: pytest.FixtureRequest) -> Iterator[Caller]:
    caller = Caller(request.param, "tests")
    yield caller
    recount(caller.memory._parts)
    caller.close()


# -- values ----------------------------------------------------------------------------------------

VALUES = [
    None,
    False,
    0,
    10**30,
    "",
    "café",
    b"\x00\xff",
    [],
    [{}, "fried eggs"],
    {"sauce": [], 256: "truffle", 1: {2: {3: "deep"}}},
    (1, (2, 3)),
    {1, 2},
    datetime(2026, 11, 24, tzinfo=UTC),
    Decimal("1.10"),
]


@pytest.mark.parametrize("value", VALUES, ids=repr)
def test_a_value_comes_back_as_it_was_set(cache: Caller, value: Any) -> None:
    cache.set("key", value)
    back = cache.get("key", "nothing")
    assert back == value
    assert type(back) is type(value)


def test_an_unstorable_value_is_refused_with_its_path(cache: Caller) -> None:
    cache.set("key", "before")
    with pytest.raises(
        CodecError, match=r"^value\[1\]\.page: a cache cannot store an object; "
    ) as e:
        cache.set("key", [0, {"page": object()}])
    assert e.value.path == "value[1].page"
    assert cache.get("key") == "before"


def test_a_value_that_is_too_large_is_refused(cache: Caller) -> None:
    cache.set("key", "before")
    limit = cache.memory.max_session_size
    with pytest.raises(SessionTooLarge, match=f"^the entry must take at most {limit} bytes, got"):
        cache.set("key", b"." * limit)
    assert cache.get("key") == "before"


@pytest.mark.parametrize("name", ["", "a" * 100_000, "ключ", "\ud800", "\0", "../../etc/passwd"])
def test_any_str_is_a_key(cache: Caller, name: str) -> None:
    cache.set(name, "this")
    cache.set(name + "!", "that")
    assert cache.get(name) == "this"


def test_a_key_of_another_type_is_refused(cache: Caller) -> None:
    with pytest.raises(TypeError, match="a cache key must be a str, got int"):
        cache.get(1)


# -- set, add, delete, has -------------------------------------------------------------------------


def test_a_new_cache_is_empty(cache: Caller) -> None:
    assert cache.get("key") is None
    assert cache.get("key", 5) == 5
    assert cache.has("key") is False
    assert cache.ttl("key") is None
    assert cache.delete("key") is False
    assert cache.touch("key", 5) is False


def test_set_replaces(cache: Caller) -> None:
    cache.set("key", 1)
    cache.set("key", "another, and a longer one")
    assert cache.get("key") == "another, and a longer one"
    assert cache.memory.length() == 1


def test_add_does_not_replace(cache: Caller) -> None:
    assert cache.add("key", 1) is True
    assert cache.add("key", 2) is False
    assert cache.get("key") == 1


def test_delete_is_true_once(cache: Caller) -> None:
    cache.set("key", None)
    assert cache.has("key") is True
    assert cache.delete("key") is True
    assert cache.delete("key") is False
    assert cache.memory.length() == 0


# -- time ------------------------------------------------------------------------------------------


def test_an_entry_without_a_timeout_stays(cache: Caller) -> None:
    cache.set("key", 1)
    assert cache.ttl("key") == inf
    cache.clock.advance(50 * 366 * 86400)
    cache.memory.purge()
    assert cache.get("key") == 1


@pytest.mark.parametrize("timeout", [60, 60.0, timedelta(minutes=1)])
def test_an_entry_ends_after_its_timeout(cache: Caller, timeout: Any) -> None:
    cache.set("key", 1, timeout)
    cache.add("another", 1, timeout)
    cache.clock.advance(59)
    assert cache.ttl("key") == cache.ttl("another") == 1
    cache.clock.advance(1)
    assert cache.get("key") is cache.get("another") is None
    assert cache.add("key", 2)


def test_each_set_has_its_own_timeout(cache: Caller) -> None:
    for timeout, left in [(60, 60), (10, 10), (None, inf), (3600, 3600)]:
        cache.set("key", 1, timeout)
        assert cache.ttl("key") == left


def test_a_read_renews_the_timeout_only_on_request(cache: Caller) -> None:
    cache.set("key", 1, 60)
    cache.clock.advance(50)
    cache.get("key")
    assert cache.ttl("key") == 10
    assert cache.get("key", renew=60) == 1
    assert cache.ttl("key") == 60


def test_a_read_gives_no_timeout_to_an_entry_without_one(cache: Caller) -> None:
    cache.set("key", 1)
    assert cache.get("key", renew=60) == 1
    assert cache.ttl("key") == inf


def test_touch_changes_the_timeout(cache: Caller) -> None:
    cache.set("key", 1, 60)
    assert cache.touch("key", 10) is True
    assert cache.ttl("key") == 10
    assert cache.touch("key") is True
    assert cache.ttl("key") == inf
    assert cache.touch("key", 0) is True
    assert cache.has("key") is False


@pytest.mark.parametrize("timeout", [0, -1, timedelta(days=-1)])
def test_a_timeout_in_the_past_is_a_delete(cache: Caller, timeout: Any) -> None:
    assert cache.add("key", 1, timeout) is True
    cache.set("another", 1)
    cache.set("another", 2, timeout)
    assert cache.memory.length() == 0


def test_an_invalid_timeout_is_refused(cache: Caller) -> None:
    with pytest.raises(ConfigError, match="got NaN"):
        cache.set("key", 1, nan)


# -- counting --------------------------------------------------------------------------------------


def test_incr_begins_with_the_initial_number(cache: Caller) -> None:
    assert cache.incr("key") == 1
    assert cache.incr("key", 5) == 6
    assert cache.incr("key", -10) == -4
    assert cache.incr("another", initial=100) == 101
    assert cache.incr("a third", initial=None) is None
    assert cache.has("a third") is False
    cache.set("large", 2**64 - 1)
    assert cache.incr("large") == 2**64


def test_incr_keeps_the_timeout(cache: Caller) -> None:
    cache.incr("key", timeout=60)
    cache.clock.advance(50)
    cache.incr("key", timeout=60)
    assert cache.ttl("key") == 10
    cache.clock.advance(10)
    assert cache.incr("key") == 1


def test_incr_of_another_type_is_refused(cache: Caller) -> None:
    cache.set("key", "1")
    with pytest.raises(TypeError, match="must be an int to add to, got str"):
        cache.incr("key")
    cache.set("nothing", None)
    assert cache.incr("nothing") == 1


def test_threads_lose_no_increment() -> None:
    with_threads = Caller("plain")
    meet = threading.Barrier(8)

    def count() -> None:
        meet.wait(60)
        for _ in range(200):
            with_threads.incr("key")

    threads = [threading.Thread(target=count) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert with_threads.get("key") == 1600
    with_threads.close()


def test_tasks_lose_no_increment() -> None:
    memory = MemoryStore()
    cache = Cache(AsyncAdapter(memory))

    async def count() -> None:
        for _ in range(20):
            await cache.aincr("key")

    async def main() -> None:
        await asyncio.gather(*(count() for _ in range(8)))
        assert await cache.aget("key") == 160

    asyncio.run(main())
    memory.close()


def test_one_of_several_tasks_adds() -> None:
    with_tasks = Cache(AsyncAdapter(MemoryStore()))

    async def main() -> None:
        added = await asyncio.gather(*(with_tasks.aadd("key", n) for n in range(8)))
        assert sorted(added) == [False] * 7 + [True]

    asyncio.run(main())


# -- namespaces ------------------------------------------------------------------------------------


def test_namespaces_do_not_see_each_other(cache: Caller) -> None:
    inner = cache.within("inner")
    cache.set("key", "outer")
    inner.set("key", "inner")
    assert cache.get("key") == "outer"
    assert inner.get("key") == "inner"
    assert inner.delete("key")
    assert cache.get("key") == "outer"


def test_clear_removes_the_entries_within_its_namespace_alone(cache: Caller) -> None:
    sibling = Caller.__new__(Caller)
    sibling.__dict__.update(cache.__dict__, cache=Cache(cache.cache.store, "tests2"))
    manager = SessionManager(cache.memory)
    session_id = manager.create({"n": 1})
    inner = cache.within("inner")
    innermost = inner.within("innermost")
    for each in (cache, inner, innermost, sibling):
        each.set("key", 1)
    inner.clear()
    assert (cache.has("key"), inner.has("key"), innermost.has("key")) == (True, False, False)
    inner.set("key", 1)
    cache.clear()
    assert (cache.has("key"), inner.has("key"), sibling.has("key")) == (False, False, True)
    assert manager.get(session_id) == {"n": 1}


def test_namespaces_of_equal_text_are_different() -> None:
    store = MemoryStore()
    Cache(store, "a", "bc").set("key", 1)
    for names in [("ab", "c"), ("abc",), ("a",), ()]:
        assert not Cache(store, *names).has("key")
    Cache(store, "ab").clear()
    assert Cache(store, "a", "bc").has("key")
    Cache(store).clear()
    assert store.length() == 0


def test_a_session_id_is_no_key_of_a_cache() -> None:
    store = MemoryStore()
    manager = SessionManager(store)
    session_id = manager.create({"n": 1})
    cache = Cache(store)
    assert cache.get(session_id) is None
    cache.set(session_id, "mine")
    assert manager.get(session_id) == {"n": 1}
    assert store.get(key_for(session_id)) is not None


@pytest.mark.parametrize("adapter", [None, BlockingAdapter, AsyncAdapter])
def test_a_cached_value_is_no_session(adapter: Any) -> None:
    memory = MemoryStore()
    store = memory if adapter is None else adapter(memory)
    manager = SessionManager(store)

    async def use() -> None:
        cache = Cache(store, "pages")
        await manager.acreate({"n": 1})
        await cache.aset("key", "page")
        assert [info.data for info in await manager.aall()] == [{"n": 1}]
        assert await manager.alength() == 1
        await cache.aclear()
        assert await manager.alength() == 1

    asyncio.run(use())
    if adapter is not AsyncAdapter:
        Cache(store).set("key", "page")
        assert [info.data for info in manager.all()] == [{"n": 1}]
        assert manager.length() == 1
    assert memory.length() == (1 if adapter is AsyncAdapter else 2)


def test_a_store_without_a_cache_counts_its_sessions_itself() -> None:
    class Counts(MemoryStore):
        __slots__ = ()

        def all(self) -> Iterator[Any]:
            raise AssertionError("length() must not list the sessions")

    store = Counts()
    Cache(MemoryStore())
    manager = SessionManager(store)
    manager.create({"n": 1})
    assert manager.length() == 1


def test_a_store_without_weak_references_counts_all_records() -> None:
    class Unseen:
        """A store without weak references."""

        __slots__ = ("_memory",)
        blocking = False

        def __init__(self) -> None:
            self._memory = MemoryStore()

        def __getattr__(self, name: str) -> Any:
            return getattr(self._memory, name)

    store: Any = Unseen()
    manager = SessionManager(store)
    manager.create({"n": 1})
    Cache(store).set("key", "page")
    assert (manager.length(), len(manager.all())) == (2, 1)


# -- the bound, and errors -------------------------------------------------------------------------


def test_a_cache_is_bounded() -> None:
    store = MemoryStore("256K")
    cache = Cache(store)
    for number in range(5000):
        cache.set(f"key {number}", "." * 100)
        assert store.stats().used <= store.max_size
    assert cache.get("key 4999") == "." * 100
    assert cache.get("key 0") is None
    recount(store._parts)
    store.close()


@pytest.mark.parametrize("payload", [b"", b"\x02", b"\x01\x92\x80\x80", b"\x02123456\xff", b"5"])
def test_an_unreadable_entry_counts_as_missing(payload: bytes) -> None:
    caller = Caller("plain")
    caller.set("key", 1)
    [(key, found)] = caller.memory.all()
    caller.memory.set(key, Record(payload), expected=found.payload, idle=60)
    assert caller.get("key", "nothing") == "nothing"
    assert caller.incr("key") == 1
    caller.close()


def test_a_store_failure_is_raised() -> None:
    adapter = BlockingAdapter(MemoryStore())
    adapter.broken = "connection refused"
    with pytest.raises(StoreError, match="connection refused"):
        Cache(adapter).get("key")


def test_a_plain_call_on_an_async_store_names_the_async_form() -> None:
    with pytest.raises(LembroError, match=r"AsyncAdapter is asynchronous; call .*aget"):
        Cache(AsyncAdapter(MemoryStore())).get("key")


def test_a_store_without_open_and_close_works() -> None:
    cache = Cache(AsyncAdapter(MemoryStore(), NETWORKED))

    async def use() -> Any:
        await cache.aopen()
        await cache.aset("key", "value")
        value = await cache.aget("key")
        await cache.aclose()
        return value

    assert asyncio.run(use()) == "value"


@pytest.mark.parametrize("store", [None, "64M", MemoryStore, SessionManager(MemoryStore())])
def test_an_object_that_is_no_store_is_refused(store: Any) -> None:
    with pytest.raises(ConfigError, match=r"^store must be a store, got .*Example: MemoryStore"):
        Cache(store)


def test_a_namespace_must_be_a_str() -> None:
    wrong: Any = 1
    with pytest.raises(ConfigError, match="a namespace must be a str, got 1"):
        Cache(MemoryStore(), wrong)


def test_its_repr_names_the_namespace_and_the_store() -> None:
    assert repr(Cache(MemoryStore(), "a", "b")) == "<Cache 'a/b' in MemoryStore>"


# -- lost races ------------------------------------------------------------------------------------


class Overtaken(BlockingAdapter):
    """A store in which another cache writes after each of the first reads."""

    def __init__(self, inner: MemoryStore, *others: Callable[[Cache], Any]) -> None:
        super().__init__(inner)
        self._others = list(others)
        self._elsewhere = Cache(inner)

    def get(self, *args: Any, **keywords: Any) -> Any:
        found = super().get(*args, **keywords)
        if self._others:
            self._others.pop(0)(self._elsewhere)
        return found


def test_a_set_that_loses_a_race_is_repeated() -> None:
    memory = MemoryStore()
    others = [lambda c: c.set("key", 1), lambda c: c.set("key", 2), lambda c: c.delete("key")]
    Cache(Overtaken(memory, *others)).set("key", 3)
    assert Cache(memory).get("key") == 3


def test_an_increment_that_loses_a_race_is_repeated() -> None:
    memory = MemoryStore()
    others = [lambda c: c.incr("key"), lambda c: c.incr("key"), lambda c: c.incr("key")]
    assert Cache(Overtaken(memory, *others)).incr("key") == 4


def test_two_equal_writes_are_distinguished() -> None:
    memory = MemoryStore()
    Cache(memory).set("key", 5)
    assert Cache(Overtaken(memory, lambda c: c.incr("key"))).incr("key") == 7


@pytest.mark.parametrize("write", [lambda c: c.set("key", 1), lambda c: c.incr("key")])
def test_a_store_that_refuses_each_write_raises(write: Callable[[Cache], Any]) -> None:
    class Broken(BlockingAdapter):
        def add(self, *args: Any, **keywords: Any) -> bool:
            return False

    with pytest.raises(StoreError, match="refused 1000 writes of one entry in a row"):
        write(Cache(Broken(MemoryStore())))


def test_old_entries_evict_no_known_visitors() -> None:
    """One visitor can create many entries, such as cached search pages, and read them again."""
    clock = FakeClock()
    store = MemoryStore("256K", clock=clock)
    manager, cache = SessionManager(store), Cache(store, "pages")
    for number in range(220):
        cache.set(f"/search?q={number}", "x" * 500)
    clock.advance(500)
    visitors = [manager.create({"cart": "x" * 100}) for _ in range(150)]
    clock.advance(100)
    assert all(manager.get(visitor) for visitor in visitors)
    assert all(cache.has(f"/search?q={number}") for number in range(220))
    for number in range(220, 1220):
        cache.set(f"/search?q={number}", "x" * 500)
    assert store.stats().evicted > 500
    assert sum(manager.get(visitor) is not None for visitor in visitors) == 150
