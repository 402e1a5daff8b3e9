"""RedisStore: its arguments, its keys, its round trips, and the server's state."""

from __future__ import annotations

import asyncio
import math
import multiprocessing
import shutil
import subprocess
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import redis
import redis.asyncio
import valkey
import valkey.asyncio
from redis.asyncio.retry import Retry as AsyncRetry
from redis.backoff import NoBackoff
from redis.retry import Retry

from lembro import ConfigError, Record, StoreUnavailable
from lembro.stores import RedisStore, from_url
from lembro.stores.base import MARK
from lembro.stores.external.clock import ServerClock
from lembro.stores.redis import verbs
from lembro.stores.redis.aio import close_transport
from lembro.stores.redis.record import NEVER, decode, encode, millis
from lembro.stores.redis.target import parse
from tests.support import require_or_skip
from tests.support.servers import HOST, free_port
from tests.support.servers.proxy import Proxy
from tests.support.servers.redis import (
    KINDS,
    new_prefix,
    new_store,
    serve,
    shared,
    shared_cluster,
)

K, L, M = b"k" * 32, b"l" * 32, b"m" * 32
LIVES: dict[str, Any] = {"idle": 1000.0, "life": 5000.0}
ROTATION: dict[str, Any] = {"expected": b"one", "idle": 100.0, "life": None, "grace": 30.0}

Colour = Callable[[Any], Any]


# -- arguments


@pytest.mark.parametrize(
    ("options", "error"),
    [
        ({"prefix": ""}, "prefix must be a str that is not empty, got ''"),
        ({"prefix": b"x"}, "prefix must be a str that is not empty, got b'x'"),
        ({"timeout": 100}, "timeout must be seconds, more than 0 and at most 60, got 100"),
        ({"max_connections": -1}, "max_connections must be a whole number, at least 1, got -1"),
        ({"max_connections": 0}, "max_connections must be a whole number, at least 1, got 0"),
        ({"wait_replicas": -1}, "wait_replicas must be a whole number, at least 0, got -1"),
        ({"ca_file": "ca.pem"}, "ca_file needs TLS, got a redis: URL without it"),
        ({"wait_replicas": True}, "wait_replicas must be a whole number, at least 0, got True"),
    ],
)
def test_an_invalid_argument_is_refused(options: Any, error: str) -> None:
    with pytest.raises(ConfigError) as caught:
        RedisStore("redis://localhost", **options)
    assert error in str(caught.value)


@pytest.mark.parametrize(
    ("url", "error"),
    [
        ("redis://me:secret@h:port/0", "the store's URL cannot be read"),
        ("redis+sentinel://h1:1,h2:x/name", "a name and a port, got 'h2:x'"),
        ("redis+sentinel://h1,h2", "needs the name of the primary"),
        ("redis+cluster://h1,h2/0", "must be left out, got '0'"),
        ("redis://h/sessions", "must be the number of a database, got 'sessions'"),
        ("unix://", "a unix: URL needs a path"),
        ("unix:///run/s?tls=true", "tls cannot be used with a unix: URL"),
        ("unix:///run/s?ca_file=ca.pem", "ca_file needs TLS, got a unix: URL without it"),
        ("redis://h?timeouts=1", "no parameter 'timeouts'; did you mean timeout?"),
        ("redis://h?tls=perhaps", "'tls' of a redis: URL must be true or false, got 'perhaps'"),
    ],
)
def test_an_invalid_url_is_refused(url: str, error: str) -> None:
    with pytest.raises(ConfigError) as caught:
        from_url(url)
    assert error in str(caught.value)
    assert "secret" not in str(caught.value)


@pytest.mark.parametrize("make", [RedisStore, from_url])
@pytest.mark.parametrize(
    "url",
    [
        "redis://:sec/ret@h/0",
        "redis://:12/secret@h/0",
        "redis://:12?secret@h/0",
        "redis://:x?sec,ret@h/0",
        "redis://:sec/r,et@h/0",
        "redis://:12#secret@h/0",
        "redis+sentinel://:12/secret@h/name",
        "unix://me:sec/ret@/run/redis.sock",
    ],
)
def test_no_part_of_a_password_with_special_characters_is_in_the_error(make: Any, url: str) -> None:
    with pytest.raises(
        ConfigError, match="Write special characters of a password or a path as %XX"
    ) as caught:
        make(url)
    assert "sec" not in str(caught.value)
    assert "ret" not in str(caught.value)


def test_the_path_of_a_socket_may_contain_an_at_sign() -> None:
    assert parse("unix://me:pw@/run/redis@1.sock").path == "/run/redis@1.sock"


def test_a_url_with_parameters_goes_to_from_url() -> None:
    with pytest.raises(ConfigError, match=r"has no parameters\. Pass them as arguments"):
        RedisStore("redis://h?timeout=1")


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("redis://h", {"hosts": (("h", 6379),), "database": 0, "tls": False}),
        ("redis://:p%40ss@[::1]:7/2", {"hosts": (("::1", 7),), "password": "p@ss", "database": 2}),
        ("rediss://me@h", {"username": "me", "password": None, "tls": True}),
        ("valkey://", {"hosts": (("localhost", 6379),)}),
        ("unix:///run/redis%20s", {"path": "/run/redis s"}),
        (
            "redis+sentinel://me:pw@a,b:1/main/3",
            {"hosts": (("a", 26379), ("b", 1)), "path": "main", "database": 3, "password": "pw"},
        ),
        ("redis+cluster://a:1,b:2", {"hosts": (("a", 1), ("b", 2)), "database": 0}),
    ],
)
def test_a_url_names_its_server(url: str, expected: dict[str, Any]) -> None:
    target = parse(url)
    assert {name: getattr(target, name) for name in expected} == expected
    assert "pw" not in target.place


def test_the_parameters_of_a_url_are_options() -> None:
    store = from_url(
        "rediss://me:secret@h:1/2?prefix=shop:&max_session_size=2K&max_connections=3&timeout=1"
        "&wait_replicas=1&ca_file=/ca.pem&tls=true"
    )
    assert repr(store) == "<RedisStore rediss://h:1/2>"
    assert store.max_session_size == 2048


def test_nothing_connects_before_the_first_use(colour: Colour) -> None:
    with Proxy(shared().port) as proxy:
        store = RedisStore(f"redis://{HOST}:{proxy.port}", prefix=new_prefix(), timeout=10.0)
        assert proxy.connections == 0
        assert colour(store).get(K) is None
        assert proxy.connections == 1


# -- clients of the application


CLIENTS = [redis.Redis, valkey.Valkey, redis.asyncio.Redis, valkey.asyncio.Valkey]


@pytest.mark.parametrize("kind", CLIENTS, ids=lambda kind: f"{kind.__module__}")
def test_a_client_stays_sync_or_async_and_stays_open(kind: Any) -> None:
    client = kind(host=HOST, port=shared().port)
    store = RedisStore(client, prefix=new_prefix())
    is_async = "asyncio" in kind.__module__
    assert (store.sync is None, store.aio is None) == (is_async, not is_async)
    assert repr(store) == f"<RedisStore the application's {kind.__name__}>"
    if is_async:

        async def use() -> None:
            aio = store.aio
            assert aio is not None
            assert await aio.add(K, Record(b"one", "ana"), **LIVES)
            assert await aio.get(K) is not None
            assert await aio.destroy_user("ana") == [K]
            await aio.close()
            assert await client.ping()
            await client.aclose()

        asyncio.run(use())
        store.close()
    else:
        assert store.add(K, Record(b"one", "ana"), **LIVES)
        assert store.get(K) is not None
        assert store.destroy_user("ana") == [K]
        store.close()
        assert client.ping()
        client.close()


@pytest.mark.parametrize("kind", CLIENTS, ids=lambda kind: f"{kind.__module__}")
def test_a_client_that_decodes_is_refused(kind: Any) -> None:
    with pytest.raises(ConfigError, match="got one with decode_responses=True"):
        RedisStore(kind(decode_responses=True))


@pytest.mark.parametrize("wrong", [None, 1, object(), redis.ConnectionPool()])
def test_an_object_that_is_no_client_is_refused(wrong: Any) -> None:
    with pytest.raises(ConfigError, match="needs a URL, or a client of redis-py or valkey-py"):
        RedisStore(wrong)


def test_options_of_connections_need_a_url() -> None:
    wrong: list[dict[str, Any]] = [{"timeout": 1.0}, {"wait_replicas": 1}, {"tls": True}]
    for options in wrong:
        name = next(iter(options))
        with pytest.raises(ConfigError, match=f"{name} needs a URL, got a client"):
            RedisStore(redis.Redis(), **options)


def test_a_client_of_a_cluster_gets_a_hash_tag() -> None:
    host, port = HOST, shared_cluster().nodes[1].port
    with redis.RedisCluster(host=host, port=port) as client:
        store = RedisStore(client, prefix="shop")
        assert store.add(K, Record(b"one", "ana"), **LIVES, per_user=(1, "oldest"))
        assert store.replace(K, L, Record(b"two", "ana"), **ROTATION) is not None
        assert client.exists(b"{shop}s:" + L)
        assert store.destroy_user("ana") == [L]


# -- what is stored


def test_records_are_readable_and_expire_in_redis() -> None:
    store = new_store()
    prefix = store._verbs._prefix.decode()  # type: ignore[attr-defined]
    store.add(K, Record(b"payload", "ana", None, b"r" * 16), **LIVES)
    data = shared().do("GET", f"{prefix}s:".encode() + K)
    assert data[39:] == b"0000000301ana" + b"r" * 16 + b"payload"
    assert 999_000 < shared().do("PTTL", f"{prefix}s:".encode() + K) <= 1_000_000
    assert 999_000 < shared().do("PTTL", f"{prefix}u:ana") <= 1_000_000
    store.set(K, Record(b"more"), expected=b"payload", idle=2000.0)
    assert 1_999_000 < shared().do("PTTL", f"{prefix}s:".encode() + K) <= 2_000_000
    assert 1_999_000 < shared().do("PTTL", f"{prefix}u:ana") <= 2_000_000
    store.touch(K, idle=9000.0)  # more than it may live
    assert 4_998_000 < shared().do("PTTL", f"{prefix}u:ana") <= 5_000_000
    store.touch(K, idle=10.0)
    assert 4_998_000 < shared().do("PTTL", f"{prefix}u:ana") <= 5_000_000
    assert 9_000 < shared().do("PTTL", f"{prefix}s:".encode() + K) <= 10_000
    assert store.purge() == 0
    store.close()


def test_nothing_is_left_when_all_has_expired() -> None:
    store = new_store()
    prefix = store._verbs._prefix.decode()  # type: ignore[attr-defined]
    store.add(K, Record(b"one", "ana"), idle=0.02, life=1.0)
    store.replace(K, L, Record(b"two", "ana"), **{**ROTATION, "idle": 0.02})
    deadline = time.monotonic() + 10
    while shared().do("KEYS", f"{prefix}*"):
        assert time.monotonic() < deadline
        time.sleep(0.01)
    store.close()


def test_an_index_does_not_grow_by_sessions_that_are_gone() -> None:
    store = new_store()
    prefix = store._verbs._prefix.decode()  # type: ignore[attr-defined]
    store.add(K, Record(b"one", "ana"), **LIVES)
    for n in range(300):
        store.add(n.to_bytes(32, "big"), Record(b"x", "ana"), idle=0.001, life=10.0)
    assert shared().do("ZCARD", f"{prefix}u:ana") < 40
    assert [key for key, _ in store.of_user("ana")][:1] == [K]
    store.close()


def test_a_prefix_is_no_pattern() -> None:
    prefix = f"{new_prefix()}a*[b]?\\c:"
    store, other = (
        RedisStore(shared().url, prefix=prefix),
        RedisStore(shared().url, prefix=prefix.replace("*", "x")),
    )
    for each in (store, other):
        each.add(K, Record(b"one", "ana"), **LIVES)
    assert [key for key, _ in store.all()] == [K]
    store.clear()
    assert (store.length(), other.length()) == (0, 1)
    for each in (store, other):
        each.close()


def test_all_reads_more_than_a_page(colour: Colour) -> None:
    store = new_store()
    keys = {n.to_bytes(32, "big") for n in range(600)}
    for key in keys:
        store.add(key, Record(b"x"), **LIVES)
    shared().do("SET", store._verbs._prefix + b"s:other", b"not of lembro")  # type: ignore[attr-defined]
    twin = colour(store)
    assert {key for key, _ in twin.all()} == keys
    assert twin.length() == 600
    twin.clear()
    assert twin.length() == 0


def test_a_string_that_is_not_a_record_is_absent(colour: Colour) -> None:
    store = colour(new_store())
    prefix = (
        store._shared.verbs._prefix if hasattr(store, "_shared") else store.store._verbs._prefix
    )
    for junk in (b"", b"5", b"x" * 100, b"9" * 39 + b"zzzzzzzz00", b"9" * 39 + b"0000000100\xff"):
        shared().do("SET", prefix + b"s:" + K, junk)
        assert store.get(K) is None
    shared().do("SET", prefix + b"s:" + K, b"x" * 100)
    assert store.touch(K, idle=1.0) is False
    assert store.add(K, Record(b"one"), **LIVES) is True


def test_the_times_of_a_record_are_milliseconds() -> None:
    assert millis(math.inf) == millis(1e12) == NEVER
    record = Record(b"payload", "ü")
    times = b"%013d%013d%013d" % (2_000, NEVER, 500)
    found = decode(times + encode(record), 1_000)
    assert found is not None
    assert (found.user, found.payload, found.age) == ("ü", b"payload", 0.5)
    assert (found.idle_left, found.life_left) == (1.0, math.inf)
    assert decode(times + encode(record), 2_000) is None


# -- the clock


def test_get_asks_for_the_time_once_a_minute(monkeypatch: pytest.MonkeyPatch) -> None:
    now = [1000.0]
    monkeypatch.setattr("lembro.stores.external.clock.time.monotonic", lambda: now[0])
    clock = ServerClock(None)
    assert (clock.given(), clock.now()) == ("", None)
    clock.note(50_000)
    now[0] += 60
    assert clock.now() == 110_000
    now[0] += 1
    assert clock.now() is None


def test_the_clock_of_the_client_does_not_matter(
    monkeypatch: pytest.MonkeyPatch, colour: Colour
) -> None:
    real = time.time
    monkeypatch.setattr(time, "time", lambda: real() - 10 * 365 * 86400)
    store = colour(new_store())
    store.add(K, Record(b"one"), **LIVES)
    found = store.get(K)
    assert 999 < found.idle_left <= 1000
    assert 4999 < found.life_left <= 5000
    assert 0 <= found.age < 1


def test_a_get_that_finds_something_may_ask_for_the_time(colour: Colour) -> None:
    store = new_store()
    twin = colour(store)
    twin.add(K, Record(b"one"), **LIVES)
    store._verbs._clock._noted = None  # type: ignore[attr-defined]
    assert 999 < twin.get(K).idle_left <= 1000


# -- round trips


@pytest.mark.parametrize("kind", KINDS)
def test_each_verb_takes_one_round_trip(colour: Colour, kind: str) -> None:
    with Proxy(shared(kind).port) as proxy:
        store = colour(
            RedisStore(f"redis://{HOST}:{proxy.port}", prefix=new_prefix(), timeout=10.0)
        )
        every: dict[str, Callable[[], Any]] = {
            "add": lambda: store.add(K, Record(b"one", "ana"), **LIVES, per_user=(3, "oldest")),
            "get": lambda: store.get(K),
            "set": lambda: store.set(K, Record(b"one"), expected=b"one", idle=10.0),
            "touch": lambda: store.touch(K, idle=10.0),
            "replace": lambda: store.replace(
                K, L, Record(b"two", "ana"), **ROTATION, per_user=(3, "oldest")
            ),
            "of_user": lambda: store.of_user("ana"),
            "destroy": lambda: store.destroy(L),
            "destroy_user": lambda: store.destroy_user("ana"),
            "get of nothing": lambda: store.get(K),
            "stats": store.stats,
        }
        for verb in every.values():
            verb()  # loads the scripts
        counts = {}
        for name, verb in every.items():
            before = proxy.round_trips
            assert verb() is not None or name == "get of nothing"
            counts[name] = proxy.round_trips - before
        assert counts == dict.fromkeys(every, 1)


# -- the server


def test_an_evicting_policy_is_warned_of(caplog: pytest.LogCaptureFixture, colour: Colour) -> None:
    with serve(maxmemory="50mb", maxmemory_policy="allkeys-lru") as server:
        store = colour(RedisStore(server.url))
        store.open()
        assert (
            "evicts keys when its memory is full (maxmemory-policy is allkeys-lru)" in caplog.text
        )
        stats = store.stats()
        assert stats.max_size == 50 * 2**20
        assert 0 < stats.used < 2**25
        assert (stats.evicted, stats.expired, stats.available) == (0, 0, True)


def test_the_connections_in_use_are_counted(colour: Colour) -> None:
    stats = colour(RedisStore(shared().url, max_connections=3)).stats()
    assert (stats.connections, stats.max_connections) == (0, 3)


def test_a_policy_without_a_limit_is_not_warned_of(caplog: pytest.LogCaptureFixture) -> None:
    with new_store() as store:
        assert store.stats().max_size is None
    assert not caplog.records


def test_an_old_server_is_an_error(monkeypatch: pytest.MonkeyPatch, colour: Colour) -> None:
    monkeypatch.setattr(verbs, "OLDEST", (99, 0))
    with pytest.raises(ConfigError, match=r"lembro needs Redis 6\.2 or later"):
        colour(new_store()).open()


def test_a_wrong_password_is_an_error_at_the_start(colour: Colour) -> None:
    with serve(requirepass="hunter2") as server:
        wrong = RedisStore(f"redis://:wrong@{HOST}:{server.port}")
        with pytest.raises(ConfigError, match="rejects the credentials of the store") as caught:
            colour(wrong).open()
        assert "wrong" not in str(caught.value).replace("WRONGPASS", "")
        assert colour(RedisStore(f"redis://:hunter2@{HOST}:{server.port}")).get(K) is None
        client = redis.Redis(HOST, server.port, password="other", retry=Retry(NoBackoff(), 0))
        with pytest.raises(ConfigError, match="rejects the credentials of the store"):
            RedisStore(client).open()
        client.close()

        async def use() -> None:
            client = redis.asyncio.Redis(
                host=HOST, port=server.port, password="other", retry=AsyncRetry(NoBackoff(), 0)
            )
            aio = RedisStore(client).aio
            assert aio is not None
            with pytest.raises(ConfigError, match="rejects the credentials of the store"):
                await aio.open()
            await client.aclose()

        asyncio.run(use())


def test_a_user_without_permissions_is_an_error_at_the_start(colour: Colour) -> None:
    with serve() as server:
        server.do("ACL", "SETUSER", "app", "on", ">pw", "~*", "+get")
        with pytest.raises(ConfigError, match="rejects the credentials of the store"):
            colour(RedisStore(f"redis://app:pw@{HOST}:{server.port}")).open()
        commands = "+@connection +get +set +del +unlink +exists +getrange +setrange +pexpireat "
        commands += "+pttl +zadd +zrem +zrange +zcard +zrandmember +scan +time +evalsha +eval"
        server.do("ACL", "SETUSER", "app", "resetkeys", "~lembro:*", *commands.split())
        store = colour(RedisStore(f"redis://app:pw@{HOST}:{server.port}"))
        store.open()  # the user may not read INFO, which is no error
        assert store.stats().used is None
        assert store.add(K, Record(b"one", "ana"), **LIVES, per_user=(1, "oldest"))
        assert store.set(K, Record(b"one"), expected=b"one", idle=10.0) is not None
        assert store.touch(K, idle=20.0)
        assert store.replace(K, L, Record(b"two", "ana"), **ROTATION) is not None
        assert len(store.of_user("ana")) == store.length() == len(list(store.all())) == 1
        assert store.destroy_user("ana") == [L]
        store.clear()


def test_a_unix_socket_works(colour: Colour) -> None:
    with serve() as server:
        store = colour(RedisStore(f"unix://{server.socket}"))
        assert store.add(K, Record(b"one"), **LIVES)
        assert store.get(K).payload == b"one"


def test_the_url_chooses_the_database(colour: Colour) -> None:
    with serve() as server:
        store = colour(RedisStore(f"redis://{HOST}:{server.port}/3"))
        store.add(K, Record(b"one"), **LIVES)
        assert "db3" in server.do("INFO", "keyspace").decode()


def test_scripts_that_the_server_forgot_are_sent_again(colour: Colour) -> None:
    with serve() as server:
        store = colour(RedisStore(server.url, timeout=10.0))
        store.add(K, Record(b"one"), **LIVES)
        server.do("SCRIPT", "FLUSH")
        assert store.touch(K, idle=10.0) is True


def test_marks_survive_clear(colour: Colour) -> None:
    store = colour(new_store())
    mark = MARK + K[len(MARK) :]
    store.replace(
        mark, L, Record(b"x"), expected=None, idle=10.0, life=10.0, grace=100.0, per_user=None
    )
    store.clear()
    assert store.get(mark).successor == L


# -- processes and loops


def test_a_forked_child_has_its_own_connections() -> None:
    store = new_store()
    store.add(K, Record(b"one"), **LIVES)
    context = multiprocessing.get_context("fork")
    child = context.Process(target=store.add, args=(L, Record(b"two")), kwargs=LIVES)
    child.start()
    child.join(60)
    assert child.exitcode == 0
    for _ in range(3):
        found = store.get(K)
        assert found is not None
        assert found.payload == b"one"
    assert store.get(L) is not None
    store.close()


def test_a_loop_that_is_gone_leaves_no_connection(recwarn: pytest.WarningsRecorder) -> None:
    store = new_store()

    async def use() -> None:
        aio = store.aio
        assert aio is not None
        await aio.get(K)

    for _ in range(2):
        asyncio.run(use())
    store.close()  # closes the connections of both loops
    assert not [each for each in recwarn if issubclass(each.category, ResourceWarning)]


def test_one_loop_after_another_leaves_one_connection() -> None:
    with serve() as server:
        aio: Any = RedisStore(server.url, timeout=10.0).aio
        for _ in range(10):
            asyncio.run(aio.get(K))
        assert int(server.info("connected_clients")) <= 3  # one of the store, one of the test
        asyncio.run(aio.close())
        aio.discard()


def test_a_transport_without_a_socket_is_closed() -> None:
    """As one of uvloop is, which has no ``_sock``."""

    class Transport:
        pass

    class Writer:
        transport = Transport()

        def close(self) -> None:
            raise RuntimeError("Event loop is closed")

    class Connection:
        _reader = None
        _writer: Any = Writer()

    connection = Connection()
    close_transport(connection)
    assert connection._writer is None


def test_a_store_that_nobody_closed_closes_itself() -> None:
    async def use() -> None:
        store = new_store()
        aio = store.aio
        assert aio is not None
        await aio.get(K)
        connectors = list(aio._loops._entries.values())
        connectors[0].connector.discard()
        connectors[0].connector.discard()

    asyncio.run(use())


# -- many at a time


def in_threads(count: int, call: Callable[[], object]) -> list[BaseException]:
    """Call a function in threads at the same time, and return what they raise."""
    errors: list[BaseException] = []

    def go() -> None:
        try:
            call()
        except BaseException as error:
            errors.append(error)

    threads = [threading.Thread(target=go) for _ in range(count)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    return errors


def test_more_tasks_than_connections_wait_for_one() -> None:
    store = new_store(max_connections=3)

    async def many() -> None:
        aio: Any = store.aio
        await asyncio.gather(*(aio.get(K) for _ in range(200)))
        [entry] = aio._loops._entries.values()
        slots = entry.connector._slots
        assert 0 < len(entry.connector._idle) <= 3
        slots._timeout = 0.01
        async with slots, slots, slots:
            with pytest.raises(StoreUnavailable, match="all 3 connections are in use"):
                await aio.get(K)
        slots._timeout = 10.0
        async with slots, slots, slots:
            waiting = asyncio.ensure_future(aio.get(K))
            await asyncio.sleep(0)
            slots.failed()
        with pytest.raises(StoreUnavailable, match="did not answer another request"):
            await waiting
        store._shared.breaker.close()
        assert await aio.get(K) is None
        await aio.close()

    asyncio.run(many())


def test_more_threads_than_connections_wait_for_one() -> None:
    store = new_store(max_connections=3)
    assert in_threads(50, lambda: store.get(K)) == []
    process: Any = store._process
    connector = process.get()  # no limit: a timeout
    assert 0 < len(connector._idle) <= 3
    connector._slots._timeout = 0.01
    with connector._slots, connector._slots, connector._slots:
        errors = in_threads(1, lambda: store.get(K))
    assert [str(error) for error in errors] == [
        "all 3 connections are in use; increase max_connections"
    ]
    assert not store._shared.breaker.is_open
    connector._slots._timeout = 10.0
    with connector._slots, connector._slots:
        timer = threading.Timer(0.05, connector._slots.__exit__)
        connector._slots.__enter__()
        timer.start()
        assert store.get(K) is None  # waits until the timer gives a connection back
    store.close()


# -- TLS


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the folder with a key and a certificate of 127.0.0.1."""
    if shutil.which("openssl") is None:
        require_or_skip("no openssl on this machine")
    folder = tmp_path_factory.mktemp("tls")
    request = "openssl req -x509 -newkey rsa:2048 -nodes -days 2 -subj /CN=127.0.0.1"
    files = "-addext subjectAltName=IP:127.0.0.1 -keyout key.pem -out cert.pem"
    subprocess.run(
        [*request.split(), *files.split()],
        cwd=folder,
        check=True,
        capture_output=True,
        timeout=60,
    )
    return folder


def test_tls_checks_the_certificate(certificate: Path, colour: Colour) -> None:
    port = free_port()
    tls: dict[str, Any] = {
        "tls_port": port,
        "tls_cert_file": certificate / "cert.pem",
        "tls_key_file": certificate / "key.pem",
        "tls_auth_clients": "no",
    }
    with serve(**tls):
        url, ca_file = f"rediss://{HOST}:{port}", str(certificate / "cert.pem")
        store = colour(RedisStore(url, ca_file=ca_file, timeout=10.0))
        assert store.add(K, Record(b"one"), **LIVES)
        assert store.get(K).payload == b"one"
        with pytest.raises(StoreUnavailable, match="certificate"):
            colour(RedisStore(url, timeout=10.0)).get(K)
