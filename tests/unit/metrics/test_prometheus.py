"""The collector of prometheus_client, and the statistics and events that it reports."""

from __future__ import annotations

import asyncio
import threading
import time
from typing import Any

import pytest
from prometheus_client import REGISTRY, CollectorRegistry, generate_latest

from lembro import (
    ConfigError,
    Event,
    MemoryStore,
    SessionManager,
    StoreError,
    StoreUnavailable,
)
from lembro.ids import new_id
from lembro.manager import runner_of
from lembro.metrics import _fork, _latency
from lembro.metrics._reader import Reader
from lembro.metrics.prometheus import SessionCollector
from lembro.testing import FakeClock
from tests.support.external import FaultyConnector, FaultyStore
from tests.support.stores import AsyncAdapter, BlockingAdapter

OF_DEFAULT = {"manager": "default"}


@pytest.fixture
def registry() -> CollectorRegistry:
    return CollectorRegistry()


def value(registry: CollectorRegistry, name: str, **labels: str) -> float | None:
    return registry.get_sample_value(name, {**OF_DEFAULT, **labels})


def calls(registry: CollectorRegistry, operation: str) -> float | None:
    name = "lembro_store_operation_duration_seconds_count"
    return value(registry, name, operation=operation)


# -- what is reported


def test_sessions_are_counted_by_tier(registry: CollectorRegistry) -> None:
    manager = SessionManager(MemoryStore("1M"))
    SessionCollector(manager, registry)
    manager.create({"cart": []})
    for _ in range(2):
        manager.create(user_id="heidi")
    assert [value(registry, "lembro_sessions", tier=tier) for tier in "01234"] == [1, 0, 0, 0, 2]
    assert value(registry, "lembro_store_max_bytes") == 2**20
    used = value(registry, "lembro_store_used_bytes")
    assert used is not None
    assert 0 < used < 2**20


def test_the_age_of_the_oldest_visitor_is_in_seconds(registry: CollectorRegistry) -> None:
    clock = FakeClock()
    manager = SessionManager(MemoryStore(clock=clock))
    SessionCollector(manager, registry)
    assert value(registry, "lembro_oldest_visitor_age_seconds") is None
    manager.create({"cart": []})
    clock.advance(90)
    assert value(registry, "lembro_oldest_visitor_age_seconds") == 90


def test_beginnings_and_ends_are_counted(registry: CollectorRegistry) -> None:
    clock = FakeClock()
    store = MemoryStore(clock=clock, max_session_size="4K")
    manager = SessionManager(store, idle_timeout=60, max_sessions_per_user=2)
    SessionCollector(manager, registry)
    ids = [manager.create(user_id="heidi") for _ in range(3)]  # the first is evicted
    manager.destroy(ids[1])
    manager.regenerate(ids[2])
    clock.advance(100)
    manager.purge()
    counted = {
        name: value(registry, f"lembro_sessions_{name}_total")
        for name in ("created", "evicted", "destroyed", "regenerated", "expired")
    }
    assert counted == {
        "created": 3, "evicted": 1, "destroyed": 1, "regenerated": 1, "expired": 1
    }  # fmt: skip


def test_events_of_a_request_are_counted(registry: CollectorRegistry) -> None:
    manager = SessionManager(MemoryStore())
    SessionCollector(manager, registry)
    session_id = manager.create({"n": 0})
    first, second = manager.load(session_id), manager.load(session_id)
    first["n"], second["n"] = 1, 2
    first.save()
    second.save()
    assert value(registry, "lembro_conflicts_total") == 1
    for name in ("rejected", "changes_dropped", "errors"):
        assert value(registry, f"lembro_{name}_total") == 0


def test_calls_of_the_store_are_timed(registry: CollectorRegistry) -> None:
    manager = SessionManager(MemoryStore())
    session_id = manager.create({"n": 0})  # not measured yet
    SessionCollector(manager, registry)
    for _ in range(3):
        manager.get(session_id)
    assert calls(registry, "get") == 3
    assert calls(registry, "add") is None
    name = "lembro_store_operation_duration_seconds"
    total = value(registry, f"{name}_sum", operation="get")
    assert total is not None
    assert 0 < total < 1
    assert value(registry, f"{name}_bucket", operation="get", le="+Inf") == 3


def test_requests_are_timed_in_event_loops_and_threads(registry: CollectorRegistry) -> None:
    manager = SessionManager(MemoryStore())
    SessionCollector(manager, registry)
    session_id = asyncio.run(manager.acreate({"n": 0}))
    thread = threading.Thread(target=manager.get, args=(session_id,))
    thread.start()
    thread.join(10)
    assert (calls(registry, "add"), calls(registry, "get")) == (1, 1)


def test_a_call_that_fails_is_timed_and_its_error_counted(registry: CollectorRegistry) -> None:
    store = BlockingAdapter(MemoryStore())
    manager = SessionManager(store)
    SessionCollector(manager, registry)
    session_id = manager.create({"n": 0})
    store.broken = "no memory"
    for _ in range(2):
        with pytest.raises(StoreError):
            manager.get(session_id)
    assert calls(registry, "get") == 2
    name = "lembro_store_operation_errors_total"
    assert value(registry, name, operation="get", error="StoreError") == 2


def test_durations_are_kept_beyond_what_is_pending(
    registry: CollectorRegistry, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(_latency, "MOST_PENDING", 5)
    manager = SessionManager(AsyncAdapter(MemoryStore()))
    collector = SessionCollector(manager, registry)

    async def use() -> None:
        session_id = await manager.acreate({"n": 0})
        for _ in range(20):
            await manager.aget(session_id)

    asyncio.run(use())
    assert len(collector._readers[0][1]._pending["get"]) <= 5
    assert calls(registry, "get") == 20


def test_a_sync_verb_does_not_keep_all_durations_pending(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_latency, "MOST_PENDING", 5)
    latency = _latency.Latency()
    call = latency.watched("get", lambda: None)
    for _ in range(20):
        call()
    assert len(latency._pending["get"]) <= 5
    [(name, buckets, _)] = latency.histograms()
    assert (name, buckets[-1]) == ("get", ("+Inf", 20))


# -- external stores


def test_a_store_outside_of_the_process_is_up_or_down(registry: CollectorRegistry) -> None:
    store = FaultyStore()
    manager = SessionManager(store)
    SessionCollector(manager, registry)
    manager.create({"n": 0})
    assert value(registry, "lembro_sessions", tier="all") == 1
    assert value(registry, "lembro_store_up") == 1
    assert value(registry, "lembro_store_breaker_open") == 0
    store.backend.down = True
    with pytest.raises(StoreUnavailable):
        manager.create({"n": 0})
    assert value(registry, "lembro_store_up") == 0
    assert value(registry, "lembro_store_breaker_open") == 1
    assert value(registry, "lembro_sessions", tier="all") is None
    error = {"operation": "add", "error": "StoreUnavailable"}
    assert value(registry, "lembro_store_operation_errors_total", **error) == 1


def test_an_async_call_that_fails_is_counted(registry: CollectorRegistry) -> None:
    store = AsyncAdapter(MemoryStore())
    manager = SessionManager(store)
    SessionCollector(manager, registry)
    store.broken = "no memory"
    with pytest.raises(StoreError):
        asyncio.run(manager.aget(new_id()))
    name = "lembro_store_operation_errors_total"
    assert value(registry, name, operation="get", error="StoreError") == 1


@pytest.mark.parametrize("client", ["sync", "asynchronous", "both"])
def test_both_kinds_of_verbs_are_timed(registry: CollectorRegistry, client: str) -> None:
    store = FaultyStore(sync=client != "asynchronous", asynchronous=client != "sync")
    manager = SessionManager(store)
    SessionCollector(manager, registry)

    async def use() -> list[Any]:
        await manager.acreate({"n": 0})
        return await manager.aall()

    assert len(asyncio.run(use())) == 1
    if client != "asynchronous":
        manager.create({"n": 0})
    assert calls(registry, "add") == (1 if client == "asynchronous" else 2)


def test_a_scrape_in_an_event_loop_does_not_wait_for_the_store(
    registry: CollectorRegistry,
) -> None:
    manager = SessionManager(FaultyStore())
    asked = threading.Event()
    answer = threading.Event()
    stats = manager.store.stats  # type: ignore[union-attr]

    def slow() -> Any:
        asked.set()
        assert answer.wait(10)
        return stats()

    manager.store.stats = slow  # type: ignore[union-attr]
    SessionCollector(manager, registry)

    async def scrape() -> list[float | None]:
        found = [value(registry, "lembro_store_up"), value(registry, "lembro_store_up")]
        assert asked.wait(10)
        answer.set()
        deadline = time.monotonic() + 10
        while found[-1] is None and time.monotonic() < deadline:
            await asyncio.sleep(0.01)
            found.append(value(registry, "lembro_store_up"))
        return found

    found = asyncio.run(scrape())
    assert found[:2] == [None, None]
    assert found[-1] == 1


def test_an_async_store_is_asked_in_its_event_loop(registry: CollectorRegistry) -> None:
    manager = SessionManager(AsyncAdapter(MemoryStore()))
    SessionCollector(manager, registry)
    assert value(registry, "lembro_store_up") is None  # no event loop is known

    async def scrape() -> float | None:
        await manager.acreate({"n": 0})
        return await asyncio.to_thread(value, registry, "lembro_store_up")

    assert asyncio.run(scrape()) == 1


def test_a_store_without_statistics_has_no_values_of_the_store(
    registry: CollectorRegistry,
) -> None:
    manager = SessionManager(BlockingAdapter(MemoryStore(), offers=()))
    SessionCollector(manager, registry)
    manager.create({"n": 0})
    assert value(registry, "lembro_store_up") is None
    assert value(registry, "lembro_sessions_created_total") == 1


def test_a_store_whose_statistics_fail_is_down(registry: CollectorRegistry) -> None:
    store = BlockingAdapter(MemoryStore())
    SessionCollector(SessionManager(store), registry)
    store.broken = "no memory"
    assert value(registry, "lembro_store_up") == 0


def test_a_store_that_rejects_the_password_is_down(
    registry: CollectorRegistry, monkeypatch: pytest.MonkeyPatch
) -> None:
    manager = SessionManager(FaultyStore())
    SessionCollector(manager, registry)

    def refuse(connector: FaultyConnector) -> None:
        raise ConfigError("the server rejects the password")

    monkeypatch.setattr(FaultyConnector, "open", refuse)
    assert value(registry, "lembro_store_up") == 0


# -- several managers, and mistakes


def test_several_managers_have_names(registry: CollectorRegistry) -> None:
    shop, admin = SessionManager(MemoryStore()), SessionManager(MemoryStore())
    SessionCollector({"shop": shop, "admin": admin}, registry)
    shop.create({"cart": []})
    created = "lembro_sessions_created_total"
    assert value(registry, created, manager="shop") == 1
    assert value(registry, created, manager="admin") == 0
    text = generate_latest(registry).decode()
    assert text.count("# TYPE lembro_sessions gauge") == 1


@pytest.mark.parametrize(
    ("managers", "error"),
    [
        (None, "managers must be a SessionManager, or a dict of them by name, got None"),
        ({}, "managers must be a SessionManager, or a dict of them by name, got {}"),
        ({"": SessionManager()}, "the name of a manager must be a str, got ''"),
        ({"shop": MemoryStore()}, "'shop' must name a SessionManager, got <MemoryStore"),
    ],
)
def test_other_arguments_are_refused(
    registry: CollectorRegistry, managers: Any, error: str
) -> None:
    with pytest.raises(ConfigError, match=error):
        SessionCollector(managers, registry)
    assert list(registry.collect()) == []


@pytest.mark.parametrize("share", ["manager", "store"])
def test_sessions_are_not_counted_twice(registry: CollectorRegistry, share: str) -> None:
    manager = SessionManager(MemoryStore())
    other = manager if share == "manager" else SessionManager(manager.store)
    with pytest.raises(ConfigError, match="'shop' and 'admin' must not share their sessions"):
        SessionCollector({"shop": manager, "admin": other}, registry)


def test_a_second_collector_in_a_registry_is_refused(registry: CollectorRegistry) -> None:
    manager = SessionManager(MemoryStore())
    SessionCollector(manager, registry)
    with pytest.raises(ConfigError, match=r"Give it all managers: SessionCollector\(\{'shop'"):
        SessionCollector(manager, registry)
    manager.create({"n": 0})
    assert calls(registry, "add") == 1
    assert value(registry, "lembro_sessions_created_total") == 1


def test_a_collector_registers_itself_unless_told_otherwise(registry: CollectorRegistry) -> None:
    before = REGISTRY._names_to_collectors.get("lembro_sessions")  # a block of the docs made it
    if before is not None:
        REGISTRY.unregister(before)
    collector = SessionCollector(SessionManager(MemoryStore()))
    try:
        assert value(REGISTRY, "lembro_sessions_created_total") == 0
    finally:
        REGISTRY.unregister(collector)
    registry.register(SessionCollector(SessionManager(MemoryStore()), registry=None))
    assert value(registry, "lembro_sessions_created_total") == 0


def test_the_multiprocess_mode_is_warned_of(
    registry: CollectorRegistry,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    monkeypatch.setenv("PROMETHEUS_MULTIPROC_DIR", "/nowhere")
    SessionCollector(SessionManager(MemoryStore()), registry)
    assert "PROMETHEUS_MULTIPROC_DIR is set" in caplog.text


# -- cost


def test_a_manager_that_is_not_measured_calls_its_store_directly() -> None:
    manager = SessionManager(MemoryStore())
    runner = runner_of(manager)
    assert runner.called is runner.store is manager.store
    SessionCollector(manager, registry=None)
    assert runner.called is not runner.store
    assert runner.store is manager.store


def test_a_forked_child_does_not_wait_for_a_lock_of_its_parent() -> None:
    latency = _latency.Latency()
    latency.watched("get", lambda: None)()
    reader = Reader("shop", SessionManager(MemoryStore()))
    with latency._lock, reader._lock:
        _fork._in_child()
        assert [name for name, _, _ in latency.histograms()] == ["get"]
        reader._count(Event("created"))  # a request of the child would wait here for ever
    assert reader.values()["created"] == 1
