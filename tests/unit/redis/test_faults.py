"""RedisStore, when the server or the network fails. Each test that stops a server has its own."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from typing import Any

import pytest
import redis
import redis.asyncio
from redis import exceptions
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.retry import Retry as SyncRetry

from lembro import Record, StoreError, StoreFull, StoreReadOnly, StoreUnavailable
from lembro.stores import RedisStore
from lembro.stores.external.backend import Busy, Dropped
from lembro.stores.redis.clients import make_safe
from lembro.stores.redis.failures import Failures
from lembro.testing import Blocking
from tests.support.servers import HOST
from tests.support.servers.proxy import Proxy
from tests.support.servers.redis import RedisServer, new_prefix, serve, shared, wait_until

K, L = b"k" * 32, b"l" * 32
LIVES: dict[str, Any] = {"idle": 1000.0, "life": 5000.0}
ROTATION: dict[str, Any] = {"expected": b"one", "idle": 100.0, "life": None, "grace": 30.0}

Colour = Callable[[Any], Any]


@pytest.fixture
def server() -> Iterator[RedisServer]:
    with serve() as server:
        yield server


@pytest.fixture
def proxy() -> Iterator[Proxy]:
    with Proxy(shared().port) as proxy:
        yield proxy


def store_at(port: int, **options: Any) -> RedisStore:
    return RedisStore(
        f"redis://{HOST}:{port}", **{"prefix": new_prefix(), "timeout": 10.0, **options}
    )


def load_scripts(store: Any) -> None:
    """Call each verb, so that no further one has its script sent twice."""
    store.add(L, Record(b"one", "ana"), **LIVES)
    store.set(L, Record(b"one"), expected=b"one", idle=10.0)
    store.touch(L, idle=10.0)
    store.replace(L, L, Record(b"two", "ana"), **ROTATION)
    store.of_user("ana")
    store.destroy(L)
    store.destroy_user("ana")


def wait_for(store: RedisStore) -> None:
    wait_until(lambda: not store._shared.breaker.is_open, "the breaker")


# -- a lost reply


def test_an_add_whose_reply_is_lost_is_done_once(proxy: Proxy, colour: Colour) -> None:
    store = colour(store_at(proxy.port))
    load_scripts(store)
    store.add(L, Record(b"x", "ana"), **LIVES)
    proxy.lose_reply = True
    assert store.add(K, Record(b"one", "ana"), **LIVES, per_user=(2, "refuse")) is True
    assert len(store.of_user("ana")) == 2
    proxy.lose_reply = True
    assert store.add(K, Record(b"other", "ana"), **LIVES) is False


def test_a_set_whose_reply_is_lost_is_done_once(proxy: Proxy, colour: Colour) -> None:
    store = colour(store_at(proxy.port))
    load_scripts(store)
    store.add(K, Record(b"one"), **LIVES)
    proxy.lose_reply = True
    assert store.set(K, Record(b"two"), expected=b"one", idle=100.0).payload == b"two"
    proxy.lose_reply = True
    assert store.set(K, Record(b"other"), expected=b"one", idle=100.0).payload == b"two"


def test_a_login_whose_reply_is_lost_is_not_lost(proxy: Proxy, colour: Colour) -> None:
    store = colour(store_at(proxy.port))
    load_scripts(store)
    store.add(K, Record(b"one"), **LIVES)
    proxy.lose_reply = True
    found = store.replace(K, L, Record(b"two", "ana"), **ROTATION, per_user=(1, "refuse"))
    assert (found.payload, found.successor) == (b"two", None)
    assert [key for key, _ in store.of_user("ana")] == [L]
    proxy.lose_reply = True
    other = store.replace(K, b"m" * 32, Record(b"three", "ana"), **ROTATION)
    assert other.successor == L


def test_the_end_of_a_session_whose_reply_is_lost_is_done(proxy: Proxy, colour: Colour) -> None:
    store = colour(store_at(proxy.port))
    load_scripts(store)
    store.add(K, Record(b"one", "ana"), **LIVES)
    proxy.lose_reply = True
    assert store.touch(K, idle=10.0) is True
    proxy.lose_reply = True
    assert store.get(K).payload == b"one"
    proxy.lose_reply = True
    assert store.destroy(K) is None
    assert store.get(K) is None
    store.add(K, Record(b"one", "ana"), **LIVES)
    proxy.lose_reply = True
    assert store.destroy_user("ana") == []
    assert store.length() == 0


def test_connections_that_were_cut_are_replaced(proxy: Proxy, colour: Colour) -> None:
    store = store_at(proxy.port)
    twin = colour(store)
    twin.add(K, Record(b"one"), **LIVES)
    if twin is not store:

        async def many() -> None:
            aio = store.aio
            assert aio is not None
            await asyncio.gather(*(aio.get(K) for _ in range(10)))

        twin._runner.run(many())
    else:
        threads = [threading.Thread(target=store.get, args=(K,)) for _ in range(10)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(60)
    proxy.cut()
    for _ in range(3):
        assert twin.get(K).payload == b"one"
    assert not store._shared.breaker.is_open


def test_a_verb_that_is_lost_twice_is_an_error(proxy: Proxy, colour: Colour) -> None:
    store = store_at(proxy.port)
    twin = colour(store)
    twin.get(K)
    proxy.__exit__()
    with pytest.raises(StoreUnavailable):
        twin.get(K)
    assert store._shared.breaker.is_open


# -- a server that does not answer


def test_a_frozen_server_fails_within_the_timeout(server: RedisServer, colour: Colour) -> None:
    store = RedisStore(server.url, timeout=0.2)
    twin = colour(store)
    twin.add(K, Record(b"one"), **LIVES)
    server.freeze()
    start = time.monotonic()
    with pytest.raises(StoreUnavailable, match=r"redis://.*: Timeout"):
        twin.get(K)
    middle = time.monotonic()
    for _ in range(1000):
        with pytest.raises(StoreUnavailable, match="each call fails at once"):
            twin.get(K)
    assert middle - start < 2.0  # 0.2 on a machine that is not busy
    assert time.monotonic() - middle < 2.0
    server.thaw()
    wait_for(store)
    assert twin.get(K).payload == b"one"


def test_verbs_that_wait_for_a_connection_do_not_try_a_frozen_server(
    server: RedisServer,
) -> None:
    store = RedisStore(server.url, timeout=0.5, max_connections=2)
    store.add(K, Record(b"one"), **LIVES)
    server.freeze()

    async def many() -> None:
        aio = store.aio
        assert aio is not None
        results = await asyncio.gather(*(aio.get(K) for _ in range(20)), return_exceptions=True)
        assert all(isinstance(each, StoreUnavailable) for each in results)

    start = time.monotonic()
    asyncio.run(many())
    assert time.monotonic() - start < 4  # one timeout of 0.5 s; one after another they take 10 s
    server.thaw()
    wait_for(store)
    process: Any = store._process
    slots = process.get()._slots  # no limit: a timeout
    errors: list[BaseException] = []

    def ask() -> None:
        try:
            process.get().run(lambda: store._verbs.get(K), reads=True)  # no limit: a timeout
        except StoreUnavailable as error:
            errors.append(error)

    threads = [threading.Thread(target=ask) for _ in range(3)]
    slots._timeout = 10.0
    with slots, slots:
        for thread in threads:
            thread.start()
        wait_until(lambda: len(slots._semaphore._cond._waiters) == 3, "three waiting threads")
        slots.failed()
    for thread in threads:
        thread.join(60)
    assert [str(each) for each in errors] == ["the server did not answer another request"] * 3
    store.close()


def test_a_killed_server_is_back_with_an_empty_store(server: RedisServer, colour: Colour) -> None:
    store = RedisStore(server.url, timeout=1.0)
    twin = colour(store)
    twin.add(K, Record(b"one", "ana"), **LIVES)
    server.kill()
    with pytest.raises(StoreUnavailable, match="redis://"):
        twin.get(K)
    server.start()
    wait_for(store)
    assert twin.get(K) is None
    assert twin.set(K, Record(b"two"), expected=b"one", idle=1.0) is None  # it does not come back
    assert twin.add(K, Record(b"one", "ana"), **LIVES)


def test_a_server_that_restarts_between_two_verbs_is_not_noticed(
    server: RedisServer, colour: Colour
) -> None:
    twin = colour(RedisStore(server.url, timeout=10.0))
    twin.add(K, Record(b"one"), **LIVES)
    server.kill()
    server.start()
    assert twin.get(K) is None
    assert twin.add(K, Record(b"one"), **LIVES)


def test_an_application_starts_without_its_server(colour: Colour, server: RedisServer) -> None:
    store = RedisStore(server.url, timeout=1.0)
    server.kill()
    twin = colour(store)
    twin.open()
    stats = twin.stats()
    assert (stats.available, stats.used) == (False, None)
    server.start()
    wait_for(store)
    assert twin.add(K, Record(b"one"), **LIVES)


# -- a server that refuses writes


def test_out_of_memory_fails_writes_and_nothing_else(server: RedisServer, colour: Colour) -> None:
    twin = colour(RedisStore(server.url, timeout=10.0))
    for n in range(3):
        twin.add(bytes([n]) * 32, Record(b"one", "ana"), **LIVES)
    server.do("CONFIG", "SET", "maxmemory", "1")
    first, second, third = (bytes([n]) * 32 for n in range(3))
    with pytest.raises(StoreFull, match="maxmemory"):
        twin.add(K, Record(b"one", "ana"), **LIVES)
    with pytest.raises(StoreFull):
        twin.set(first, Record(b"two"), expected=b"one", idle=10.0)
    with pytest.raises(StoreFull):
        twin.replace(first, K, Record(b"two", "ana"), **ROTATION)
    assert twin.get(first).payload == b"one"
    assert twin.touch(first, idle=10.0) is True
    assert 9 < twin.get(first).idle_left <= 10
    assert len(twin.of_user("ana")) == 3
    assert twin.destroy(second).payload == b"one"
    assert sorted(twin.destroy_user("ana")) == [first, third]
    server.do("CONFIG", "SET", "maxmemory", "0")
    assert twin.add(K, Record(b"one", "ana"), **LIVES) is True


def test_a_replica_fails_writes_and_reads_succeed(server: RedisServer, colour: Colour) -> None:
    twin = colour(RedisStore(server.url, timeout=10.0))
    twin.add(K, Record(b"one", "ana"), **LIVES)
    with serve() as primary:
        primary.do("REPLICAOF", HOST, server.port)
        wait_until(lambda: primary.info("master_link_status") == "up", "the replication")
        primary.do("REPLICAOF", "NO", "ONE")
        server.do("REPLICAOF", HOST, primary.port)
        wait_until(lambda: server.info("master_link_status") == "up", "the replication")
        connections = int(server.info("total_connections_received"))
        verbs: list[Callable[[], object]] = [
            lambda: twin.add(L, Record(b"one", "ana"), **LIVES),
            lambda: twin.touch(K, idle=10.0),
            lambda: twin.destroy(K),
        ]
        for verb in verbs:
            with pytest.raises(StoreReadOnly):
                verb()
        assert twin.get(K).payload == b"one"
        # Each verb opened a new connection, because the name may belong to another server by now.
        assert int(server.info("total_connections_received")) >= connections + 3


def test_too_few_replicas_fail_the_end_of_a_session(server: RedisServer, colour: Colour) -> None:
    store = RedisStore(server.url, wait_replicas=1, timeout=2.0)
    twin = colour(store)
    with serve() as replica:
        replica.do("REPLICAOF", HOST, server.port)
        wait_until(lambda: replica.info("master_link_status") == "up", "the replication")
        twin.add(K, Record(b"one", "ana"), **LIVES)
        assert twin.replace(K, L, Record(b"two", "ana"), **ROTATION).payload == b"two"
        assert replica.do("EXISTS", b"lembro:s:" + L) == 1
        assert twin.destroy(L).payload == b"two"
        assert replica.do("EXISTS", b"lembro:s:" + L) == 0
        assert twin.destroy(L) is None
        twin.add(L, Record(b"two", "ana"), **LIVES)
    with pytest.raises(StoreUnavailable, match="0 of 1 replicas confirmed"):
        twin.destroy_user("ana")
    assert not store._shared.breaker.is_open  # other verbs work
    assert twin.get(L) is None


# -- errors


@pytest.mark.parametrize(
    ("error", "kind"),
    [
        (redis.ReadOnlyError("x"), StoreReadOnly),
        (redis.OutOfMemoryError("x"), StoreFull),
        (redis.TimeoutError("x"), StoreUnavailable),
        (redis.BusyLoadingError("x"), StoreUnavailable),
        (redis.ConnectionError("x"), StoreUnavailable),
        (exceptions.TryAgainError("x"), Busy),
        (exceptions.MaxConnectionsError("x"), Busy),
        (exceptions.ClusterDownError("x"), StoreUnavailable),
        (exceptions.RedisClusterException("x"), StoreUnavailable),
        (redis.ResponseError("Error running script: -OOM command not allowed"), StoreFull),
        (redis.ResponseError("script: -READONLY You can't write against"), StoreReadOnly),
        (redis.ResponseError("MISCONF Redis is configured to save"), StoreReadOnly),
        (redis.ResponseError("BUSY Redis is busy running a script"), StoreUnavailable),
        (redis.ResponseError("WRONGTYPE"), StoreError),
        (OSError("x"), StoreUnavailable),
        (Busy("x"), Busy),
        (ValueError("x"), type(None)),
    ],
)
def test_each_error_of_the_client_has_its_kind(error: Exception, kind: type) -> None:
    failures = Failures("redis", "redis://h")
    assert type(failures.translate(error)) is kind


def test_only_some_errors_in_the_middle_of_a_command_count_as_dropped() -> None:
    failures = Failures("redis", "redis://h")
    lost, moved = redis.ConnectionError("reset"), exceptions.MovedError("1 h:1")
    with pytest.raises(Dropped, match="reset"):
        failures.check_dropped(lost)
    with pytest.raises(Dropped, match="h:1"):
        failures.check_dropped(moved, moves=True)
    failures.check_dropped(redis.BusyLoadingError("x"))
    failures.check_dropped(exceptions.MaxConnectionsError("x"))
    failures.check_dropped(moved)
    failures.check_dropped(redis.ResponseError("x"), moves=True)


class Loading(redis.Redis):
    def execute_command(self, *args: Any, **options: Any) -> Any:
        raise redis.BusyLoadingError("loading")


class AsyncLoading(redis.asyncio.Redis):
    async def execute_command(self, *args: Any, **options: Any) -> Any:
        raise redis.BusyLoadingError("loading")


@pytest.mark.parametrize("client", [Loading, AsyncLoading])
def test_an_error_of_a_client_is_not_its_own_cause(client: Callable[[], Any]) -> None:
    store = RedisStore(client())
    verbs: Any = store if store.aio is None else Blocking(lambda: store.aio)
    with closing(verbs), pytest.raises(StoreUnavailable, match="loading") as caught:
        verbs.get(K)
    cause = caught.value.__cause__
    assert isinstance(cause, redis.BusyLoadingError)
    assert cause.__cause__ is None


def test_a_bug_is_raised_as_it_is(colour: Colour) -> None:
    twin = colour(store_at(shared().port))
    wrong: Any = None
    with pytest.raises(AttributeError):
        twin.add(K, wrong, **LIVES)


def test_another_error_keeps_the_connection(colour: Colour) -> None:
    store = store_at(shared().port)
    twin = colour(store)
    shared().do("LPUSH", store._verbs._prefix + b"s:" + K, "x")  # type: ignore[attr-defined]
    for _ in range(3):
        with pytest.raises(StoreError, match="WRONGTYPE") as caught:
            twin.get(K)
        assert caught.value.__cause__ is not None
        assert caught.value.__cause__.__cause__ is None
    assert twin.add(L, Record(b"one"), **LIVES)
    shared().do("DEL", store._verbs._prefix + b"s:" + K)  # type: ignore[attr-defined]


def test_a_client_that_fails_is_an_error(server: RedisServer) -> None:
    client = redis.Redis(HOST, server.port, retry=SyncRetry(NoBackoff(), 0), socket_timeout=0.2)
    store = RedisStore(client)
    store.add(K, Record(b"one"), **LIVES)
    server.do("SCRIPT", "FLUSH")
    assert store.touch(K, idle=10.0)
    server.do("CONFIG", "SET", "maxmemory", "1")
    with pytest.raises(StoreFull):
        store.add(L, Record(b"one"), **LIVES)
    server.kill()
    with pytest.raises(StoreUnavailable):
        store.get(K)
    client.close()


def test_an_async_client_that_fails_is_an_error(server: RedisServer) -> None:
    async def use() -> None:
        client = redis.asyncio.Redis(
            host=HOST, port=server.port, socket_timeout=0.2, retry=Retry(NoBackoff(), 0)
        )
        aio = RedisStore(client).aio
        assert aio is not None
        await aio.add(K, Record(b"one"), **LIVES)
        server.do("SCRIPT", "FLUSH")
        assert await aio.touch(K, idle=10.0)
        server.kill()
        with pytest.raises(StoreUnavailable):
            await aio.get(K)
        aio.discard()
        await client.aclose()

    asyncio.run(use())


# -- clients that leave replies in their pool


def test_only_a_client_that_leaves_replies_is_changed() -> None:
    client = redis.Redis()
    kind = client.connection_pool.connection_class
    make_safe(client)
    assert client.connection_pool.connection_class is kind
    make_safe(object())
    client.close()
