"""MongoStore: its arguments, its documents, its round trips, and the state of the server."""

from __future__ import annotations

import asyncio
import gc
import math
import multiprocessing
from collections.abc import Callable
from typing import Any

import pymongo
import pytest
from pymongo.errors import OperationFailure

from lembro import ConfigError, Record, SessionManager, StoreUnavailable, UsageError
from lembro.stores import MongoStore, from_url
from lembro.stores.mongo.documents import LONGEST, NEVER, decode, millis
from lembro.stores.mongo.verbs import HELLO, MongoVerbs
from tests.support.servers import HOST, free_port
from tests.support.servers.mongo import new_collection, new_store, shared
from tests.support.servers.proxy import Proxy

K, L = b"k" * 32, b"l" * 32
LIVES: dict[str, Any] = {"idle": 1000.0, "life": 5000.0}
ROTATION: dict[str, Any] = {"expected": b"one", "idle": 100.0, "life": None, "grace": 30.0}

Colour = Callable[[Any], Any]


# -- arguments


@pytest.mark.parametrize(
    ("options", "error"),
    [
        ({"collection": ""}, "collection must be a str that is not empty, got ''"),
        ({"collection": None}, "collection must be a str that is not empty, got None"),
        ({"database": b"x"}, "database must be a str that is not empty, got b'x'"),
        ({"timeout": 100}, "timeout must be seconds, more than 0 and at most 60, got 100"),
        ({"max_connections": 0}, "max_connections must be a whole number, at least 1, got 0"),
        ({"max_connections": True}, "max_connections must be a whole number, at least 1"),
        ({"max_session_size": "16M"}, "max_session_size must be at most 15 MiB"),
    ],
)
def test_an_invalid_argument_is_refused(options: Any, error: str) -> None:
    with pytest.raises(ConfigError) as caught:
        MongoStore("mongodb://localhost", **options)
    assert error in str(caught.value)


def test_the_server_is_a_url_or_a_client() -> None:
    with pytest.raises(ConfigError, match="needs a URL, or a client of pymongo, got int"):
        MongoStore(5)
    client: pymongo.MongoClient[Any]
    with pymongo.MongoClient(connect=False) as client:
        with pytest.raises(ConfigError, match="max_connections needs a URL, got a client"):
            MongoStore(client, max_connections=5)
        assert repr(MongoStore(client)) == "<MongoStore the application's MongoClient>"


@pytest.mark.parametrize("make", [MongoStore, from_url])
@pytest.mark.parametrize(
    ("url", "error"),
    [
        ("mongodb://me:secret@h:port/x", "the store's URL cannot be read"),
        ("mongodb://me:sec/ret@h/x", "characters of a password or a path as %XX"),
        ("mongodb://sec?timeout=ret@h/x", "characters of a password or a path as %XX"),
        ("mongodb://me:sec?timeout=ret@h/x", "characters of a password or a path as %XX"),
        ("mongodb://me:secret@h/x?colection=y", "does not accept the options of the mongodb: URL"),
        ("mongodb://me:secret@h/x?w=-1", "the store's URL cannot be read"),
        ("mongodb+srv://me:secret@h/x?nothing=y", "options of the mongodb+srv: URL"),
    ],
)
def test_an_invalid_url_is_refused(make: Any, url: str, error: str) -> None:
    with pytest.raises(ConfigError) as caught:
        make(url)
    assert error in str(caught.value)
    for part in ("secret", "sec?", "sec/", "ret@"):
        assert part not in str(caught.value)


def test_a_url_has_options_of_the_store_and_of_pymongo() -> None:
    store = from_url(
        "mongodb://me:pw@h1,h2/shop?collection=c&w=1&timeout=3&max_session_size=4K"
        "&max_connections=7&replicaSet=rs0"
    )
    assert repr(store) == "<MongoStore mongodb://h1,h2/shop>"
    assert store.max_session_size == 4096
    assert store._verbs._users == "c_users"
    with store._shared.backend.clients.client() as client:
        assert client.options.pool_options.max_pool_size == 7
        assert client.write_concern.document == {"w": 1}
    with pytest.raises(ConfigError, match="'timeout' of a mongodb: URL must be a number, got 'x'"):
        from_url("mongodb://h?timeout=x")


def test_the_servers_of_a_srv_url_are_looked_up_at_the_first_use() -> None:
    assert repr(from_url("mongodb+srv://me:pw@h.example.com/x")) == (
        "<MongoStore mongodb+srv://h.example.com/x>"
    )


@pytest.mark.parametrize(
    ("url", "database", "name"),
    [
        ("mongodb://h/shop", None, "shop"),
        ("mongodb://h", None, "lembro"),
        ("mongodb://h/shop", "other", "other"),
    ],
)
def test_the_database_is_that_of_the_argument_or_the_url(
    url: str, database: str | None, name: str
) -> None:
    backend: Any = MongoStore(url, database=database)._shared.backend
    with backend.clients.client() as client:
        assert backend.clients.database(client).name == name


# -- documents


def collection_of(store: Any) -> str:
    name: str = store._verbs._sessions
    return name


def test_a_session_is_a_document(colour: Colour) -> None:
    store = new_store()
    twin = colour(store)
    twin.add(K, Record(b"one", "$heidi", None, bytes(16)), idle=100.0, life=math.inf)
    twin.replace(K, L, Record(b"two", "$heidi"), **ROTATION)
    with shared().client() as client:
        documents = {each["_id"]: each for each in client.test[collection_of(store)].find()}
    assert documents[K]["successor"] == L
    assert "reputation" not in documents[K]
    assert documents[L]["user"] == "$heidi"
    assert documents[L]["death"].year == 9999
    assert documents[L]["born"] == documents[K]["born"]
    assert twin.get(L).life_left == math.inf


def test_times_are_limited() -> None:
    assert millis(math.inf) == LONGEST
    assert millis(1.5) == 1500
    assert decode(None, 10) is None
    assert decode({"expires": 10, "death": NEVER}, 10) is None


def test_mongodb_expires_documents_unless_a_test_has_a_clock() -> None:
    for options, names in (
        ({}, ["lembro_expiry", "lembro_user"]),
        ({"clock": float}, ["lembro_user"]),
    ):
        store = new_store(**options)
        store.open()
        with shared().client() as client:
            found = client.test[collection_of(store)].index_information()
        assert sorted(name for name in found if name.startswith("lembro")) == names
        assert "expireAfterSeconds" in found.get("lembro_expiry", {"expireAfterSeconds": 0})
        store.close()


def test_the_clock_is_that_of_the_server(colour: Colour) -> None:
    twin = colour(new_store())
    twin.add(K, Record(b"one", "ana"), **LIVES)
    found = twin.get(K)
    assert 0 <= found.age < 60
    assert 900 < found.idle_left <= 1000
    assert twin.touch(K, idle=5000.0)
    assert twin.replace(K, L, Record(b"two", "ana"), **{**ROTATION, "grace": 0.0})
    assert twin.get(K) is None


# -- pages


def test_iterations_read_more_than_one_page(
    colour: Colour, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("lembro.stores.mongo.verbs.PAGE", 2)
    monkeypatch.setattr("lembro.stores.mongo.verbs.BATCH", 2)
    twin = colour(new_store())
    keys = [bytes([n]) * 32 for n in range(5)]
    for key in keys:
        twin.add(key, Record(b"one"), **LIVES)
    assert sorted(key for key, _ in twin.all()) == keys
    assert twin.length() == 5
    for key in keys:
        twin.add(key[:31] + b"x", Record(b"one", "ana"), **LIVES)
    assert len(twin.of_user("ana")) == len(twin.destroy_user("ana")) == 5
    twin.clear()
    assert twin.length() == 0


def test_stats_counts_sessions_and_purge_removes_nothing(colour: Colour) -> None:
    twin = colour(new_store())
    twin.add(K, Record(b"one"), **LIVES)
    stats = twin.stats()
    assert (stats.available, stats.sessions) == (True, 1)
    assert twin.purge() == 0


# -- round trips


def test_round_trips_are_counted() -> None:
    with Proxy(shared().port) as proxy:
        store = MongoStore(
            f"mongodb://{HOST}:{proxy.port}/test?directConnection=true",
            collection=new_collection(),
            timeout=10.0,
        )
        store.open()

        def trips(verb: Callable[[], object]) -> int:
            before = proxy.round_trips
            verb()
            return proxy.round_trips - before

        login = {**ROTATION, "per_user": (1, "refuse")}
        assert trips(lambda: store.add(K, Record(b"one"), **LIVES)) == 1
        assert trips(lambda: store.get(K)) == 1
        assert trips(lambda: store.set(K, Record(b"one"), expected=b"one", idle=9.0)) == 1
        assert trips(lambda: store.touch(K, idle=9.0)) == 1
        assert trips(lambda: store.replace(K, L, Record(b"two", "ana"), **login)) == 5
        assert trips(lambda: store.destroy(L)) == 1
        store.close()


# -- clients


def test_a_client_is_used_and_not_closed() -> None:
    with shared().client() as client:
        store = MongoStore(client, collection=new_collection(), timeout=10.0)
        assert store.aio is None
        assert store.add(K, Record(b"one"), **LIVES)
        store.close()
        assert client.admin.command("ping")["ok"]

    async def use() -> None:
        async_client: Any = pymongo.AsyncMongoClient(shared().url)
        store = MongoStore(async_client, collection=new_collection(), timeout=10.0)
        assert store.sync is None
        with pytest.raises(UsageError, match="has an async client"):
            store.get(K)
        assert store.aio is not None
        assert await store.aio.add(K, Record(b"one"), **LIVES)
        (await store.aio._loops.get()).discard()  # no limit: it is open
        await store.aio.close()
        assert (await async_client.admin.command("ping"))["ok"]
        await async_client.close()

    asyncio.run(use())


def test_one_event_loop_after_another() -> None:
    store = new_store()
    aio = store.aio
    assert aio is not None

    async def use() -> None:
        await aio.add(K, Record(b"one"), **LIVES)
        assert (await aio.get(K)) is not None

    for _ in range(3):
        asyncio.run(use())
    store.close()
    with asyncio.Runner() as runner:
        runner.run(use())
        store.close()  # the loop has stopped, but is not closed
    gc.collect()


def _in_child(store: MongoStore, results: Any) -> None:
    found = store.get(K)
    results.put(None if found is None else found.payload)
    store.close()


@pytest.mark.filterwarnings("ignore:This process .* is multi-threaded:DeprecationWarning")
def test_a_forked_child_has_its_own_client() -> None:
    store = new_store()
    store.add(K, Record(b"one"), **LIVES)
    context = multiprocessing.get_context("fork")
    results = context.SimpleQueue()
    child = context.Process(target=_in_child, args=(store, results))
    child.start()
    child.join(60)
    assert results.get() == b"one"  # no limit: the child has ended
    assert store.get(K) is not None
    store.close()


# -- the server


def reply_of(**hello: Any) -> Exception | None:
    """Return the error of the verb ``prepare`` for a reply of the server."""
    steps = MongoVerbs("c", int).prepare("mongodb://h")
    next(steps)
    try:
        steps.send({"localTime": 1, **hello})
    except ConfigError as error:
        return error
    return None


def test_a_server_that_is_old_or_no_replica_set_is_refused() -> None:
    assert "needs MongoDB 5.0 or later" in str(reply_of(maxWireVersion=9, setName="rs0"))
    assert "needs a replica set" in str(reply_of(maxWireVersion=21))
    assert reply_of(maxWireVersion=21, setName="rs0") is None
    assert reply_of(maxWireVersion=21, msg="isdbgrid") is None


def test_a_user_without_permission_is_a_configuration_error(
    colour: Colour, monkeypatch: pytest.MonkeyPatch
) -> None:
    for code, kind in ((18, ConfigError), (59, OperationFailure)):

        def prepare(self: Any, place: str, code: int = code) -> Any:
            yield from self.ping()
            raise OperationFailure("failed", code)

        monkeypatch.setattr(MongoVerbs, "prepare", prepare)
        store = new_store()
        twin = colour(store)
        error = "rejects the user of the store" if kind is ConfigError else "failed"
        with pytest.raises(Exception, match=error):
            twin.get(K)


def test_a_server_that_is_down_is_unavailable(colour: Colour) -> None:
    twin = colour(MongoStore(f"mongodb://{HOST}:{free_port()}", timeout=0.1))
    with pytest.raises(StoreUnavailable):
        twin.get(K)


def test_a_manager_takes_the_url() -> None:
    manager = SessionManager(f"{shared().url}?collection={new_collection()}&timeout=10")
    session_id = manager.create({"cart": 1}, user_id="heidi")
    assert manager.get(session_id) == {"cart": 1}
    manager.revoke_user("heidi")
    assert manager.get(session_id) is None
    manager.close()


def test_the_server_is_asked_for_its_time_once_a_minute() -> None:
    verbs = MongoVerbs("sessions", lambda millis: millis)
    steps = verbs.touch(K, idle=1.0)
    assert next(steps) is HELLO
    assert "findAndModify" in steps.send({"localTime": 5000}).body
    assert "findAndModify" in next(verbs.touch(K, idle=1.0)).body
