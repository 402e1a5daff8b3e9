"""MongoStore, when the server or the network fails. Each test that stops a server has its own."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from pymongo import errors

from lembro import Record, StoreError, StoreFull, StoreUnavailable
from lembro.stores import MongoStore
from lembro.stores.external.backend import Busy, Dropped
from lembro.stores.mongo.failures import LONGEST_PAUSE, Failures
from lembro.stores.mongo.verbs import BEGIN
from lembro.testing import Blocking
from tests.support.servers import HOST
from tests.support.servers.mongo import PATIENCE, MongoServer, new_collection, serve, shared
from tests.support.servers.proxy import Proxy

K, L, M = b"k" * 32, b"l" * 32, b"m" * 32
LIVES: dict[str, Any] = {"idle": 1000.0, "life": 5000.0}
ROTATION: dict[str, Any] = {"expected": b"one", "idle": 100.0, "life": None, "grace": 30.0}

Colour = Callable[[Any], Any]

# If the monitor of an AsyncMongoClient is cancelled while it connects, pymongo leaves its socket.
pytestmark = pytest.mark.filterwarnings(
    "ignore:Exception ignored in. <socket:pytest.PytestUnraisableExceptionWarning"
)


@pytest.fixture(scope="module")
def server() -> Iterator[MongoServer]:
    """A server that each test leaves running."""
    with serve() as server:
        yield server


@pytest.fixture
def proxy() -> Iterator[Proxy]:
    with Proxy(shared().port) as proxy:
        yield proxy


def store_at(port: int, **options: Any) -> MongoStore:
    # A direct connection, because the server's reply names its own port instead of the proxy's.
    url = f"mongodb://{HOST}:{port}/test?directConnection=true"
    return MongoStore(url, **{"collection": new_collection(), "timeout": 10.0, **options})


def lose(proxy: Proxy, number: int) -> None:
    """Lose a reply: 1 for the next one, 2 for the one after it, and so on."""
    proxy.replies_before, proxy.lose_reply = number - 1, True


def wait_for(store: MongoStore) -> None:
    deadline = time.monotonic() + PATIENCE
    while store._shared.breaker.is_open:
        assert time.monotonic() < deadline
        time.sleep(0.02)


# -- a lost reply


def test_an_add_whose_reply_is_lost_is_done_once(proxy: Proxy, colour: Colour) -> None:
    store = colour(store_at(proxy.port))
    store.add(L, Record(b"x", "ana"), **LIVES)
    lose(proxy, 1)
    assert store.add(K, Record(b"one", "ana"), **LIVES) is True
    assert len(store.of_user("ana")) == 2
    lose(proxy, 1)
    assert store.add(K, Record(b"other", "ana"), **LIVES) is False


def test_a_set_whose_reply_is_lost_is_done_once(proxy: Proxy, colour: Colour) -> None:
    store = colour(store_at(proxy.port))
    store.add(K, Record(b"one"), **LIVES)
    lose(proxy, 1)
    assert store.set(K, Record(b"two"), expected=b"one", idle=100.0).payload == b"two"
    lose(proxy, 1)
    assert store.set(K, Record(b"other"), expected=b"one", idle=100.0).payload == b"two"


@pytest.mark.parametrize("reply", range(1, 6))
def test_a_login_whose_reply_is_lost_is_not_lost(proxy: Proxy, colour: Colour, reply: int) -> None:
    """The replies are those of the lock, the rotation, the insertion, the list and the commit."""
    store = colour(store_at(proxy.port))
    store.add(K, Record(b"one"), **LIVES)
    lose(proxy, reply)
    found = store.replace(K, L, Record(b"two", "ana"), **ROTATION, per_user=(1, "refuse"))
    assert (found.payload, found.successor) == (b"two", None)
    assert [key for key, _ in store.of_user("ana")] == [L]
    assert proxy.lost == 1
    assert store.replace(K, M, Record(b"three", "ana"), **ROTATION).successor == L
    assert store.touch(L, idle=10.0)  # no transaction holds it


def test_the_end_of_a_session_whose_reply_is_lost_is_done(proxy: Proxy, colour: Colour) -> None:
    store = colour(store_at(proxy.port))
    store.add(K, Record(b"one", "ana"), **LIVES)
    lose(proxy, 1)
    assert store.touch(K, idle=10.0)
    lose(proxy, 1)
    assert store.get(K).payload == b"one"
    lose(proxy, 1)
    assert store.destroy(K) is None
    assert store.get(K) is None
    store.add(K, Record(b"one", "ana"), **LIVES)
    lose(proxy, 3)  # pymongo repeats a commit
    assert store.destroy_user("ana") == [K]
    assert store.length() == 0


def test_connections_that_were_cut_are_replaced(proxy: Proxy, colour: Colour) -> None:
    store = store_at(proxy.port)
    twin = colour(store)
    twin.add(K, Record(b"one"), **LIVES)
    proxy.cut()
    for _ in range(3):
        assert twin.get(K).payload == b"one"
    assert not store._shared.breaker.is_open


def test_a_verb_that_is_lost_twice_is_an_error(proxy: Proxy, colour: Colour) -> None:
    store = store_at(proxy.port, timeout=0.5)
    twin = colour(store)
    twin.get(K)
    proxy.__exit__()
    with pytest.raises(StoreUnavailable):
        twin.get(K)
    assert store._shared.breaker.is_open


# -- a server that does not answer


def test_a_frozen_server_fails_within_the_timeout(server: MongoServer, colour: Colour) -> None:
    store = MongoStore(server.url, timeout=0.5, collection=new_collection())
    twin = colour(store)
    twin.add(K, Record(b"one"), **LIVES)
    server.freeze()
    start = time.monotonic()
    with pytest.raises(StoreUnavailable, match=r"mongodb://.*: "):
        twin.replace(K, L, Record(b"two", "ana"), **ROTATION, per_user=(1, "refuse"))
    middle = time.monotonic()
    for _ in range(1000):
        with pytest.raises(StoreUnavailable, match="each call fails at once"):
            twin.get(K)
    assert middle - start < 3.0  # 0.5 on a machine that is not busy
    assert time.monotonic() - middle < 2.0
    server.thaw()
    wait_for(store)
    assert twin.get(K).payload == b"one"
    # The transaction that the frozen server received is aborted, so it holds nothing.
    assert twin.replace(K, L, Record(b"two", "ana"), **ROTATION, per_user=(1, "refuse"))


def test_a_killed_server_is_used_again_after_its_start(server: MongoServer) -> None:
    stores = [MongoStore(server.url, timeout=0.5, collection=new_collection()) for _ in range(3)]
    sync, other, starting = stores
    twin = Blocking(lambda: other.aio)
    for each in (sync, twin):
        each.add(K, Record(b"one", "ana"), **LIVES)
    server.kill()
    for each in (sync, twin):
        with pytest.raises(StoreUnavailable, match="mongodb://"):
            each.get(K)
        stats = each.stats()
        assert (stats.available, stats.sessions) == (False, None)
    starting.open()  # an application starts without its server
    server.start()
    for store, each in ((sync, sync), (other, twin), (starting, starting)):
        wait_for(store)
        assert each.add(L, Record(b"one", "ana"), **LIVES)
        each.close()


def test_a_cancelled_login_holds_nothing() -> None:
    async def use() -> None:
        store = store_at(shared().port)
        aio = store.aio
        assert aio is not None
        await aio.add(K, Record(b"one"), **LIVES)
        for steps in range(1, 40):
            task = asyncio.create_task(
                aio.replace(K, L, Record(b"two", "ana"), **ROTATION, per_user=(1, "refuse"))
            )
            for _ in range(steps):
                await asyncio.sleep(0)
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)
        found = await aio.replace(K, M, Record(b"two", "ana"), **ROTATION, per_user=(1, "refuse"))
        assert found is not None
        assert found.payload in {b"", b"two"}
        assert len(await aio.of_user("ana")) == 1
        await aio.close()

    asyncio.run(use())


# -- conflicts


class Conflicting:
    """A verb that conflicts with another caller, a number of times."""

    def __init__(self, times: int) -> None:
        self.times = times

    def __call__(self) -> Any:
        yield BEGIN
        if self.times:
            self.times -= 1
            raise errors.OperationFailure("WriteConflict", 112)
        return "done"


def test_a_verb_that_conflicts_runs_again(colour: Colour) -> None:
    store = store_at(shared().port, timeout=1.0)
    twin = colour(store)
    twin.get(K)
    assert run(store, twin, Conflicting(3)) == "done"
    with pytest.raises(Busy, match="other requests changed the same sessions until the timeout"):
        run(store, twin, Conflicting(100_000))
    with pytest.raises(errors.OperationFailure):
        run(store, twin, failing)


def failing() -> Any:
    yield BEGIN
    raise errors.OperationFailure("no such command", 59)


def run(store: Any, twin: Any, verb: Any) -> Any:
    if twin is store:
        return store._process.get().run(verb, reads=False)  # no limit: a timeout

    async def ask() -> Any:
        connector = await store.aio._loops.get()  # no limit: a timeout
        return await connector.run(verb, reads=False)

    return twin._runner.run(ask())


def test_pauses_after_conflicts_grow_to_a_limit() -> None:
    assert 0.001 <= Failures.pause(1) <= 0.002
    assert LONGEST_PAUSE / 2 <= Failures.pause(100) <= LONGEST_PAUSE


# -- errors


def labelled(label: str) -> errors.OperationFailure:
    return errors.OperationFailure("x", 251, {"errorLabels": [label]})


@pytest.mark.parametrize(
    ("error", "kind"),
    [
        (errors.AutoReconnect("x"), Dropped),
        (errors.NotPrimaryError("x"), Dropped),
        (errors.NetworkTimeout("x"), StoreUnavailable),
        (errors.ServerSelectionTimeoutError("x"), StoreUnavailable),
        (errors.WaitQueueTimeoutError("x"), Busy),
        (errors.ExecutionTimeout("x", 50), Busy),
        (errors.WTimeoutError("x", 64), Busy),
        (errors.OperationFailure("x", 14031), StoreFull),
        (errors.OperationFailure("x", 13), StoreError),
        (errors.InvalidOperation("x"), StoreError),
        (Busy("x"), Busy),
        (ValueError("x"), type(None)),
    ],
)
def test_errors_of_the_client_have_types(error: Exception, kind: type) -> None:
    assert type(Failures("mongodb://h").translate(error)) is kind


def test_conflicts_are_recognized_by_code_and_label() -> None:
    failures = Failures("mongodb://h")
    assert failures.is_conflict(errors.OperationFailure("x", 112))
    assert failures.is_conflict(errors.DuplicateKeyError("x", 11000))
    assert failures.is_conflict(labelled("TransientTransactionError"))
    assert not failures.is_conflict(labelled("RetryableWriteError"))


def test_errors_in_a_reply_are_raised() -> None:
    failures = Failures("mongodb://h")
    assert failures.check({"ok": 1}) == {"ok": 1}
    with pytest.raises(errors.WriteError, match="no"):
        failures.check({"writeErrors": [{"errmsg": "no", "code": 1}]})
    with pytest.raises(Busy, match=r"confirmed a change in time \(waiting\)"):
        failures.check({"writeConcernError": {"errmsg": "waiting"}})


def test_a_bug_is_raised_as_it_is(colour: Colour) -> None:
    twin = colour(store_at(shared().port))
    wrong: Any = None
    with pytest.raises(AttributeError):
        twin.add(K, wrong, **LIVES)
