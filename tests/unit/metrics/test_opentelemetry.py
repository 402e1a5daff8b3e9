"""The instruments and the spans of OpenTelemetry."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader
from opentelemetry.sdk.trace import SpanProcessor, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import (
    NonRecordingSpan,
    SpanContext,
    SpanKind,
    StatusCode,
    get_current_span,
    use_span,
)
from prometheus_client import CollectorRegistry

from lembro import ConfigError, MemoryStore, SessionManager, StoreError
from lembro.manager import runner_of
from lembro.metrics.opentelemetry import instrument
from lembro.metrics.prometheus import SessionCollector
from lembro.stores import PostgresStore, RedisStore, SQLAlchemyStore, SQLiteStore
from tests.support.external import FaultyConnector, FaultyStore
from tests.support.stores import AsyncAdapter, BlockingAdapter

OPERATION = "db.client.operation.duration"


class Telemetry:
    """Providers whose metrics and spans a test can read."""

    def __init__(self) -> None:
        self.reader = InMemoryMetricReader()
        self.exporter = InMemorySpanExporter()
        tracers = TracerProvider()
        tracers.add_span_processor(SimpleSpanProcessor(self.exporter))
        self.tracer = tracers.get_tracer("test")
        self.providers: dict[str, Any] = {
            "meter_provider": MeterProvider(metric_readers=[self.reader]),
            "tracer_provider": tracers,
        }

    def metrics(self) -> dict[str, Any]:
        """Collect, and return the metrics by name."""
        data = self.reader.get_metrics_data()
        assert data is not None
        [scope] = data.resource_metrics[0].scope_metrics
        assert scope.scope.name == "lembro"
        return {metric.name: metric for metric in scope.metrics}

    def points(self, name: str) -> list[tuple[dict[str, Any], Any]]:
        found = self.metrics()[name].data.data_points
        return [(dict(point.attributes), getattr(point, "value", point)) for point in found]

    def spans(self) -> list[Any]:
        return list(self.exporter.get_finished_spans())


@pytest.fixture
def telemetry() -> Telemetry:
    return Telemetry()


# -- metrics


def test_the_metrics_have_units(telemetry: Telemetry) -> None:
    manager = SessionManager(MemoryStore("1M"))
    instrument(manager, **telemetry.providers)
    manager.create(user_id="heidi")
    units = {name: metric.unit for name, metric in telemetry.metrics().items()}
    assert units["lembro.store.usage"] == units["lembro.store.limit"] == "By"
    assert units["lembro.session.count"] == units["lembro.session.created"] == "{session}"
    assert telemetry.points("lembro.store.limit") == [({"lembro.manager": "default"}, 2**20)]
    assert telemetry.points("lembro.session.created") == [({"lembro.manager": "default"}, 1)]
    assert ({"lembro.manager": "default", "lembro.tier": "4"}, 1) in telemetry.points(
        "lembro.session.count"
    )


def test_one_collection_reads_the_store_once(telemetry: Telemetry) -> None:
    store = MemoryStore()
    instrument(SessionManager(store), **telemetry.providers)
    readings = []
    stats = store.stats
    store.stats = lambda: readings.append(1) or stats()  # type: ignore[func-returns-value, method-assign]
    telemetry.metrics()
    telemetry.metrics()
    assert len(readings) == 2


def test_the_calls_of_an_external_store_are_timed(
    telemetry: Telemetry, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(FaultyConnector, "pool_use", lambda _: (1, 20), raising=False)
    manager = SessionManager(FaultyStore())
    instrument({"shop": manager}, **telemetry.providers)
    manager.create({"n": 0})
    metric = telemetry.metrics()[OPERATION]
    [point] = metric.data.data_points
    assert (metric.unit, point.count) == ("s", 1)
    assert point.explicit_bounds == (0.001, 0.005, 0.01, 0.05, 0.1, 0.5, 1, 5, 10)
    assert dict(point.attributes) == {
        "db.system.name": "other_sql",
        "db.operation.name": "add",
        "lembro.manager": "shop",
    }
    pool = {"lembro.manager": "shop", "db.client.connection.pool.name": "shop"}
    assert telemetry.points("db.client.connection.max") == [(pool, 20)]
    assert telemetry.points("db.client.connection.count") == [
        ({**pool, "db.client.connection.state": "used"}, 1)
    ]


@pytest.mark.parametrize("durations", [None, True, False])
def test_the_calls_of_a_store_in_memory_are_timed_on_request(
    telemetry: Telemetry, durations: bool | None
) -> None:
    manager = SessionManager(MemoryStore())
    instrument(manager, durations=durations, **telemetry.providers)
    manager.create({"n": 0})
    assert (OPERATION in telemetry.metrics()) is (durations is True)


def test_without_tracing_and_durations_the_store_is_called_directly(telemetry: Telemetry) -> None:
    manager = SessionManager(MemoryStore())
    instrument(manager, tracing=False, **telemetry.providers)
    assert runner_of(manager).called is manager.store
    manager.create({"n": 0})
    assert telemetry.spans() == []


# -- spans


def test_each_call_of_the_store_is_a_span_of_the_request(telemetry: Telemetry) -> None:
    manager = SessionManager(MemoryStore())
    instrument(manager, **telemetry.providers)
    with telemetry.tracer.start_as_current_span("GET /") as request:
        session_id = manager.create({"n": 0})
        manager.get(session_id)
    *calls, _ = telemetry.spans()
    assert [span.name for span in calls] == ["add session", "get session"]
    for span in calls:
        assert span.parent.span_id == request.get_span_context().span_id
        assert span.kind is SpanKind.INTERNAL
        assert span.attributes["db.system.name"] == "lembro"
        assert span.attributes["db.query.summary"] == span.name
        assert session_id not in str(span.attributes)


def test_the_calls_of_an_async_store_are_spans(telemetry: Telemetry) -> None:
    manager = SessionManager(AsyncAdapter(MemoryStore()))
    instrument(manager, **telemetry.providers)

    async def use() -> None:
        with telemetry.tracer.start_as_current_span("GET /"):
            await manager.acreate({"n": 0})
        with use_span(NonRecordingSpan(SpanContext(1, 1, is_remote=False))):
            await manager.acreate({"n": 0})

    asyncio.run(use())
    assert [span.name for span in telemetry.spans()] == ["add session", "GET /"]
    [(_, point)] = telemetry.points(OPERATION)
    assert (telemetry.spans()[0].kind, point.count) == (SpanKind.CLIENT, 2)


def test_the_spans_of_a_client_library_are_within_those_of_lembro(
    telemetry: Telemetry, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = FaultyConnector.run

    def traced(self: FaultyConnector, verb: Any, *, reads: bool) -> Any:
        with telemetry.tracer.start_as_current_span("EVALSHA"):
            return run(self, verb, reads=reads)

    monkeypatch.setattr(FaultyConnector, "run", traced)
    manager = SessionManager(FaultyStore())
    instrument(manager, **telemetry.providers)
    with telemetry.tracer.start_as_current_span("GET /") as request:
        manager.create({"n": 0})
        assert get_current_span() is request
    inner, call, _ = telemetry.spans()
    assert (inner.name, call.name) == ("EVALSHA", "add session")
    assert inner.parent.span_id == call.context.span_id


def test_an_async_call_that_is_not_sampled_is_not_seen(telemetry: Telemetry) -> None:
    manager = SessionManager(AsyncAdapter(MemoryStore()))
    instrument(manager, durations=False, **telemetry.providers)

    async def use() -> None:
        with use_span(NonRecordingSpan(SpanContext(1, 1, is_remote=False))):
            await manager.acreate({"n": 0})
        await manager.acreate({"n": 0})  # outside of a trace, a call begins one

    asyncio.run(use())
    assert [span.parent for span in telemetry.spans()] == [None]


def test_a_request_that_is_not_sampled_has_no_spans(telemetry: Telemetry) -> None:
    manager = SessionManager(MemoryStore())
    instrument(manager, **telemetry.providers)
    with use_span(NonRecordingSpan(SpanContext(1, 1, is_remote=False))):
        manager.create({"n": 0})
    assert telemetry.spans() == []


@pytest.mark.parametrize("tracing", [True, False])
def test_a_call_that_fails_has_the_type_of_its_error(telemetry: Telemetry, tracing: bool) -> None:
    store = BlockingAdapter(MemoryStore())
    manager = SessionManager(store)
    instrument(manager, tracing=tracing, **telemetry.providers)
    session_id = SessionManager(store.inner).create({"n": 0})
    store.broken = "no memory"
    with pytest.raises(StoreError):
        manager.get(session_id)
    [(attributes, _)] = telemetry.points(OPERATION)
    assert attributes["error.type"] == "StoreError"
    for span in telemetry.spans():
        assert span.attributes["error.type"] == "StoreError"
        assert span.status.status_code is StatusCode.ERROR
    assert len(telemetry.spans()) == tracing


@pytest.mark.parametrize("method", ["on_start", "on_end"])
def test_a_span_processor_that_fails_breaks_no_call(
    telemetry: Telemetry, method: str, caplog: pytest.LogCaptureFixture
) -> None:
    class Broken(SpanProcessor):
        pass

    def fails(*_: Any, **_named: Any) -> None:
        raise RuntimeError("a mistake of the application")

    setattr(Broken, method, fails)
    telemetry.providers["tracer_provider"].add_span_processor(Broken())
    store = BlockingAdapter(MemoryStore())
    manager = SessionManager(store)
    instrument(manager, **telemetry.providers)
    session_id = manager.create({"n": 0})
    assert manager.get(session_id) == {"n": 0}
    store.broken = "no memory"
    with pytest.raises(StoreError, match="no memory"):
        manager.get(session_id)
    assert sum(point.count for _, point in telemetry.points(OPERATION)) == 3
    [record] = caplog.records
    assert record.levelname == "ERROR"
    assert record.message.startswith("lembro: OpenTelemetry could not record a call of the store")
    assert "a mistake of the application" in str(record.exc_info)


@pytest.mark.parametrize(
    ("store", "system"),
    [
        (SQLiteStore("x.db"), "sqlite"),
        (RedisStore("redis://localhost"), "redis"),
        (PostgresStore("postgresql://localhost/app"), "postgresql"),
        (SQLAlchemyStore("mysql://localhost/app"), "mysql"),
    ],
    ids=lambda it: it if isinstance(it, str) else type(it).__name__,
)
def test_the_system_is_named_by_the_conventions(store: Any, system: str) -> None:
    assert store.system == system


# -- mistakes


def test_a_manager_is_instrumented_once(telemetry: Telemetry) -> None:
    manager = SessionManager(MemoryStore())
    instrument(manager, **telemetry.providers)
    with pytest.raises(ConfigError, match="may be instrumented once, got <SessionManager over"):
        instrument({"shop": manager}, **telemetry.providers)


def test_prometheus_and_opentelemetry_measure_one_manager(telemetry: Telemetry) -> None:
    registry = CollectorRegistry()
    manager = SessionManager(FaultyStore())
    SessionCollector(manager, registry)
    instrument(manager, **telemetry.providers)
    asyncio.run(manager.acreate({"n": 0}))
    name = "lembro_store_operation_duration_seconds_count"
    labels = {"manager": "default", "operation": "add"}
    assert registry.get_sample_value(name, labels) == 1
    assert [span.name for span in telemetry.spans()] == ["add session"]
