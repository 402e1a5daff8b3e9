"""External stores: sync and async verbs, failures, and verbs that run twice."""

from __future__ import annotations

import asyncio
import gc
import os
import threading
import time
import weakref
from collections.abc import Callable, Iterator
from contextlib import suppress
from typing import Any

import anyio
import pytest

from lembro import (
    ConfigError,
    Record,
    SessionManager,
    SessionTooLarge,
    StoreError,
    StoreFull,
    StoreUnavailable,
    UsageError,
)
from lembro.testing import AsyncStoreContract, Blocking, StoreContract
from tests.support.external import (
    AsyncFaultyConnector,
    FaultyConnector,
    FaultyStore,
    Lost,
    OutOfMemory,
    Refused,
)

K, L = b"k" * 32, b"l" * 32
LIVES: dict[str, Any] = {"idle": 100.0, "life": 1000.0}
ROTATION: dict[str, Any] = {
    "expected": b"one",
    "idle": 100.0,
    "life": None,
    "grace": 30.0,
}

Colour = Callable[[FaultyStore], Any]


@pytest.fixture(params=["sync", "async"])
def colour(request: pytest.FixtureRequest) -> Iterator[Colour]:
    """Return a function that gives the sync or the async verbs as plain functions."""
    opened: list[Blocking] = []

    def awaited(store: FaultyStore) -> Any:
        if not opened:
            opened.append(Blocking(lambda: store.aio))
        return opened[0]

    yield awaited if request.param == "async" else lambda store: store
    for each in opened:
        each.close()


class TestContract(StoreContract):
    too_large = 2_000_000
    purges = False
    test_new_reputation = None  # type: ignore[assignment]  # it evicts nothing

    def make_store(self) -> Any:
        return FaultyStore()

    def advance(self, store: Any, seconds: float) -> None:
        store.backend.clock.advance(seconds)


class TestAsyncContract(AsyncStoreContract):
    too_large = 2_000_000
    purges = False
    test_new_reputation = None  # type: ignore[assignment]  # it evicts nothing

    def make_async_store(self) -> Any:
        self.external = FaultyStore()
        return self.external.aio

    def advance(self, store: Any, seconds: float) -> None:
        self.external.backend.clock.advance(seconds)


def test_all_reads_page_by_page(colour: Colour) -> None:
    store = FaultyStore()
    for n in range(5):
        store.add(bytes([n]) * 32, Record(b"%d" % n), **LIVES)
    assert sorted(found.payload for _, found in colour(store).all()) == [
        b"%d" % n for n in range(5)
    ]


def test_nothing_connects_before_the_first_use() -> None:
    store = FaultyStore()
    assert store.backend.opened == 0
    assert repr(store) == "<FaultyStore fake://server>"
    assert repr(store.aio) == "<async <FaultyStore fake://server>>"
    assert store.get(K) is None
    assert store.backend.opened == 1


def test_a_session_that_is_too_large_is_refused(colour: Colour) -> None:
    store = colour(FaultyStore(max_session_size="1K"))
    with pytest.raises(SessionTooLarge) as caught:
        store.add(K, Record(b"x" * 1000, "u" * 25), **LIVES)
    assert (caught.value.size, caught.value.limit) == (1025, 1024)


def test_the_default_size_of_a_session_is_a_mebibyte() -> None:
    assert FaultyStore().max_session_size == 2**20


# -- failures


def test_a_full_backend_raises_store_full_and_reads_succeed(colour: Colour) -> None:
    store = FaultyStore()
    store.backend.before = [OutOfMemory("no memory")]
    with pytest.raises(StoreFull, match="no memory"):
        colour(store).add(K, Record(b"one"), **LIVES)
    assert colour(store).get(K) is None
    assert store.stats().last_error == "no memory"


@pytest.mark.parametrize("error", [OutOfMemory, StoreFull])
def test_a_failure_leaves_no_reference_cycle(
    monkeypatch: pytest.MonkeyPatch, error: type[Exception]
) -> None:
    store = FaultyStore()
    translate = store.backend.translate
    monkeypatch.setattr(
        store.backend,
        "translate",
        lambda error: error if isinstance(error, StoreError) else translate(error),
    )
    assert store.get(K) is None
    gc.collect()
    gc.disable()
    try:
        store.backend.before = [error("no memory")]
        assert sync_failure(store) is None
        store.backend.before = [error("no memory")]
        assert asyncio.run(async_failure(store)) is None
    finally:
        gc.enable()


def sync_failure(store: FaultyStore) -> StoreFull | None:
    """Return the error of the store, if something still refers to it."""
    failure: weakref.ref[StoreFull] | None = None
    try:
        store.get(K)
    except StoreFull as raised:
        failure = weakref.ref(raised)
    assert failure is not None
    return failure()


async def async_failure(store: FaultyStore) -> StoreFull | None:
    """Return the error of the async store, if something still refers to it."""
    assert store.aio is not None
    failure: weakref.ref[StoreFull] | None = None
    try:
        await store.aio.get(K)
    except StoreFull as raised:
        failure = weakref.ref(raised)
    assert failure is not None
    return failure()


def test_a_backend_that_refuses_is_not_asked_again(colour: Colour) -> None:
    store, asked = FaultyStore(), colour
    store.backend.down = True
    with pytest.raises(StoreUnavailable, match="refused"):
        asked(store).get(K)
    commands = store.backend.commands
    with pytest.raises(StoreUnavailable, match="each call fails at once"):
        asked(store).get(K)
    assert store.backend.commands == commands


def test_a_backend_that_is_back_is_used_again_by_itself(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("lembro.stores._breaker.PAUSE", 0.01)
    store = FaultyStore()
    store.backend.down = True
    with pytest.raises(StoreUnavailable, match="refused"):
        store.get(K)
    store.backend.down = False
    for _ in range(500):
        if not store._shared.breaker.is_open:
            break
        time.sleep(0.01)
    assert store.get(K) is None


def test_an_error_that_is_no_failure_of_the_backend_is_raised_as_it_is(colour: Colour) -> None:
    store = FaultyStore()
    store.backend.before = [ZeroDivisionError()]
    with pytest.raises(ZeroDivisionError):
        colour(store).get(K)
    store.backend.before = [ConfigError("wrong password")]
    with pytest.raises(ConfigError):
        colour(store).get(K)


def test_an_application_starts_without_its_store(
    colour: Colour, caplog: pytest.LogCaptureFixture
) -> None:
    store = FaultyStore()
    store.backend.down = True
    colour(store).open()
    assert "the session store does not answer at startup" in caplog.text


def test_the_statistics_of_a_backend_that_is_down(colour: Colour) -> None:
    store = FaultyStore()
    stats = colour(store).stats()
    assert (stats.available, stats.sessions, stats.last_error) == (True, 0, None)
    store.backend.down = True
    stats = colour(store).stats()
    assert (stats.available, stats.sessions) == (False, None)
    assert "refused" in stats.last_error
    assert stats.breaker_open


def test_the_connections_of_the_fullest_pool_are_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    store = FaultyStore()
    assert (store.stats().connections, store.stats().max_connections) == (None, None)
    for connector, use in ((FaultyConnector, (2, 20)), (AsyncFaultyConnector, (3, 10))):
        monkeypatch.setattr(connector, "pool_use", lambda _, use=use: use, raising=False)

    async def both() -> tuple[Any, Any]:
        assert store.aio is not None
        stats = await store.aio.stats()
        await store.aio.close()
        return stats, await store.aio.stats()

    opened, again = asyncio.run(both())
    assert (opened.connections, opened.max_connections) == (3, 10)
    assert (again.connections, again.max_connections) == (3, 10)
    assert (store.stats().connections, store.stats().max_connections) == (2, 20)  # no loop runs
    monkeypatch.setattr(FaultyConnector, "pool_use", lambda _: (None, None))
    assert (store.stats().connections, store.stats().max_connections) == (None, None)


def test_a_forked_child_does_not_count_the_connections_of_its_parent(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(FaultyConnector, "pool_use", lambda _: (2, 20), raising=False)
    store = FaultyStore(asynchronous=False)
    assert store.stats().connections == 2
    monkeypatch.setattr(os, "getpid", lambda: -1)
    assert store._shared.stats_of(None).connections is None


def test_threads_that_wait_for_a_failing_open_do_not_try_it_again() -> None:
    store = FaultyStore()
    tries, waiting = [], threading.Event()

    class Connector:
        def open(self) -> None:
            tries.append(1)
            assert waiting.wait(10)
            time.sleep(0.05)  # the other thread waits for the lock by then
            raise Refused("refused")

    store.backend.connector = None
    process: Any = store._process
    process._make = Connector
    errors: list[BaseException] = []

    def ask() -> None:
        try:
            process.get()  # no limit: a timeout
        except Exception as error:
            errors.append(error)

    threads = [threading.Thread(target=ask) for _ in range(2)]
    for thread in threads:
        thread.start()
    waiting.set()
    for thread in threads:
        thread.join(60)
    assert len(tries) == 1
    assert sorted(type(error).__name__ for error in errors) == ["Refused", "StoreUnavailable"]


def test_tasks_that_wait_for_a_failing_open_do_not_try_it_again() -> None:
    store = FaultyStore()
    store.backend.down = True
    aio: Any = store.aio
    loops = aio._loops
    make = loops._make
    tries = []

    def make_failing() -> Any:
        connector = make()

        async def open_() -> None:
            tries.append(1)
            await asyncio.sleep(0)
            raise Refused("refused")

        connector.open = open_
        return connector

    loops._make = make_failing

    async def use() -> None:
        results = await asyncio.gather(*(aio.get(K) for _ in range(5)), return_exceptions=True)
        assert all(isinstance(each, StoreUnavailable) for each in results)

    asyncio.run(use())
    assert len(tries) == 1


def test_loops_of_two_threads_that_begin_at_once_keep_their_connections(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    store = FaultyStore()
    aio: Any = store.aio
    meeting = threading.Barrier(2)
    real = os.getpid

    def getpid() -> int:
        with suppress(threading.BrokenBarrierError):
            meeting.wait(0.2)  # both are in the first call of the process then
        return real()

    async def use() -> None:
        await aio.get(K)
        await aio.get(K)

    threads = [threading.Thread(target=lambda: asyncio.run(use())) for _ in range(2)]
    with monkeypatch.context() as patch:
        patch.setattr("lembro.stores.external.twin.os.getpid", getpid)
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(timeout=60)
    assert store.backend.opened == 2


def test_connections_of_closed_loops_are_closed() -> None:
    store = FaultyStore()
    aio: Any = store.aio
    loops = [asyncio.new_event_loop() for _ in range(5)]  # as connections of a client hold them
    for loop in loops:
        loop.run_until_complete(aio.get(K))
        if loop is not loops[0]:
            loop.close()
    assert (store.backend.opened, store.backend.closed) == (5, 3)  # the first and the last are left
    assert loops[0].run_until_complete(aio.get(K)) is None
    loops[0].close()
    store.close()
    assert store.backend.closed == 5


# -- verbs that run twice


def test_a_verb_runs_once_more_if_the_connection_was_dropped(colour: Colour) -> None:
    store = FaultyStore()
    store.backend.before = [Lost("reset")]
    assert colour(store).get(K) is None
    store.backend.before = [Lost("reset"), Lost("reset")]
    with pytest.raises(StoreUnavailable, match="reset"):
        colour(store).get(K)


def test_an_add_whose_reply_was_lost_succeeds(colour: Colour) -> None:
    store = FaultyStore()
    store.backend.after = [Lost("reset")]
    assert colour(store).add(K, Record(b"one"), **LIVES) is True


def test_an_add_that_another_did_fails(colour: Colour) -> None:
    store = FaultyStore()
    store.add(K, Record(b"other"), **LIVES)
    store.backend.after = [Lost("reset")]
    assert colour(store).add(K, Record(b"one"), **LIVES) is False


def test_an_add_that_was_not_done_is_done_by_the_second_run(colour: Colour) -> None:
    store = FaultyStore()
    store.backend.before = [Lost("reset")]
    assert colour(store).add(K, Record(b"one"), **LIVES) is True


def test_a_set_whose_reply_was_lost_succeeds(colour: Colour) -> None:
    store = FaultyStore()
    store.add(K, Record(b"one"), **LIVES)
    store.backend.after = [Lost("reset")]
    found = colour(store).set(K, Record(b"two"), expected=b"one", idle=100.0)
    assert found.payload == b"two"


@pytest.mark.parametrize("grace", [30.0, 0.0])
def test_a_rotation_whose_reply_was_lost_succeeds(colour: Colour, grace: float) -> None:
    store = FaultyStore()
    store.add(K, Record(b"one"), **LIVES)
    store.backend.after = [Lost("reset")]
    found = colour(store).replace(K, L, Record(b"two"), **{**ROTATION, "grace": grace})
    assert (found.payload, found.successor) == (b"two", None)


def test_a_rotation_that_another_did_first_shows_it(colour: Colour) -> None:
    store = FaultyStore()
    store.add(K, Record(b"one"), **LIVES)
    store.replace(K, b"m" * 32, Record(b"other"), **ROTATION)
    store.backend.after = [Lost("reset")]
    assert colour(store).replace(K, L, Record(b"two"), **ROTATION).successor == b"m" * 32


def test_a_rotation_of_a_missing_record_returns_none(colour: Colour) -> None:
    store = FaultyStore()
    store.backend.after = [Lost("reset")]
    assert colour(store).replace(K, L, Record(b"two"), **ROTATION) is None


# -- connections


def test_each_event_loop_has_its_own_connections() -> None:
    store = FaultyStore()

    async def use() -> None:
        assert store.aio is not None
        await asyncio.gather(*(store.aio.get(K) for _ in range(5)))

    asyncio.run(use())
    asyncio.run(use())
    assert store.backend.opened == 2


def test_threads_share_connections() -> None:
    store = FaultyStore()
    threads = [threading.Thread(target=store.get, args=(K,)) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(timeout=60)
    assert store.backend.opened == 1


def test_close_closes_the_connections_and_the_next_verb_opens_others() -> None:
    store = FaultyStore()
    store.close()
    assert store.backend.closed == 0
    with store:
        assert store.get(K) is None
    assert (store.backend.opened, store.backend.closed) == (1, 1)
    assert store.get(K) is None
    assert store.backend.opened == 2


def test_closing_the_async_verbs_closes_both_kinds() -> None:
    store = FaultyStore()
    store.get(K)

    async def use() -> None:
        assert store.aio is not None
        await store.aio.close()
        await store.aio.open()
        await store.aio.close()

    asyncio.run(use())
    assert (store.backend.opened, store.backend.closed) == (2, 2)


def test_close_discards_the_connections_of_loops_that_have_ended() -> None:
    store = FaultyStore()
    aio = store.aio
    assert aio is not None
    with asyncio.Runner() as runner:
        runner.run(aio.length())
        store.close()
        assert store.backend.closed == 1

    async def use() -> None:
        await aio.get(K)
        await asyncio.to_thread(store.close)
        assert store.backend.closed == 1  # this loop runs
        await aio.get(K)
        assert store.backend.opened == 2
        await aio.close()

    asyncio.run(use())
    assert store.backend.closed == 2


# -- the runner chooses sync or async verbs


def test_a_manager_works_with_both_kinds_of_callers() -> None:
    store = FaultyStore()
    manager = SessionManager(store)
    session_id = manager.create({"a": 1})

    async def use() -> None:
        assert await manager.aget(session_id) == {"a": 1}
        assert [info.data for info in await manager.aall()] == [{"a": 1}]
        with pytest.raises(UsageError, match="would block the event loop"):
            manager.get(session_id)
        await manager.aopen()
        await manager.aclose()

    asyncio.run(use())


def test_under_trio_the_sync_verbs_run_in_a_thread() -> None:
    store = FaultyStore()
    manager = SessionManager(store)

    async def use() -> None:
        session_id = await manager.acreate({"a": 1})
        assert await manager.aget(session_id) == {"a": 1}

    anyio.run(use, backend="trio")
    assert store.backend.opened == 1


def test_a_sync_client_is_used_in_a_thread() -> None:
    store = FaultyStore(asynchronous=False)
    manager = SessionManager(store)

    async def use() -> None:
        session_id = await manager.acreate({"a": 1})
        assert await manager.aget(session_id) == {"a": 1}
        await manager.aclose()

    asyncio.run(use())
    assert (store.aio, store.backend.closed) == (None, 1)


def test_an_async_client_is_awaited_on_the_loop_of_the_application() -> None:
    store = FaultyStore(sync=False)
    assert store.sync is None
    manager = SessionManager(store)
    with pytest.raises(UsageError, match="no event loop runs"):
        manager.create({"a": 1})
    with pytest.raises(UsageError, match="await the methods of its `aio`"):
        store.get(K)

    async def use() -> None:
        session_id = await manager.acreate({"a": 1})
        found = await asyncio.to_thread(manager.get, session_id)  # as in a `def` endpoint
        assert found == {"a": 1}
        await manager.aclose()

    asyncio.run(use())
    assert store.backend.opened == 1


def test_an_async_client_that_fails_is_tried_again_after_a_second(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    store = FaultyStore(sync=False)
    now = [50.0]
    monkeypatch.setattr("lembro.stores._breaker.time.monotonic", lambda: now[0])
    twin = Blocking(lambda: store.aio)
    store.backend.before = [Refused("no")]
    with pytest.raises(StoreUnavailable):
        twin.get(K)
    with pytest.raises(StoreUnavailable, match="each call fails at once"):
        twin.get(K)
    now[0] += 1.1
    assert twin.get(K) is None
    twin.close()
