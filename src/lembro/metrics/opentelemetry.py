"""Instruments and spans for OpenTelemetry: ``instrument(manager)``."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from time import perf_counter
from typing import Any, Final
from weakref import WeakSet

from .. import __version__
from .._log import log
from .._runtime.watching import watch
from ..errors import ConfigError
from ..manager import SessionManager, runner_of
from ._catalogue import COUNTERS, GAUGES, SESSIONS
from ._reader import Managers, Reader, by_name

try:
    from opentelemetry import metrics, trace
    from opentelemetry.context import Context, attach, detach, get_current
    from opentelemetry.trace import INVALID_SPAN, set_span_in_context
except ImportError as _missing:  # pragma: no cover
    raise ImportError(
        "lembro.metrics.opentelemetry needs OpenTelemetry: pip install 'lembro[opentelemetry]'"
    ) from _missing

__all__ = ["instrument"]

SCHEMA: Final = "https://opentelemetry.io/schemas/1.36.0"
DURATION: Final = "db.client.operation.duration"
BOUNDS: Final = (0.001, 0.005, 0.01, 0.05, 0.1, 0.5, 1, 5, 10)
"""The buckets that the conventions advise, in seconds."""

Verb = Callable[..., Any]


def instrument(
    managers: Managers,
    *,
    tracing: bool = True,
    durations: bool | None = None,
    meter_provider: metrics.MeterProvider | None = None,
    tracer_provider: trace.TracerProvider | None = None,
) -> None:
    """Report the sessions to OpenTelemetry. Call it once, where you make the manager.

    Names and units follow the semantic conventions of OpenTelemetry. A name that they do not define
    begins with ``lembro.``.

    Args:
        managers: The manager, or a dict of managers by name. The name is the attribute
            ``lembro.manager``.
        tracing: Whether each call of the store is a span. If the trace of the request is not
            sampled, the call makes none.
        durations: Whether the time of each call is recorded. None: if the store is outside of the
            process. Recording a call of a MemoryStore takes longer than the call.
        meter_provider: The provider of meters. None: the global one.
        tracer_provider: The provider of tracers. None: the global one.

    Raises:
        ConfigError: A manager is instrumented already, two managers share their sessions, or an
            argument is invalid.
    """
    named = by_name(managers)
    for manager in named.values():
        if manager in _instrumented:
            raise ConfigError(
                f"a SessionManager may be instrumented once, got {manager!r} again. Call "
                f"instrument() where you make the manager"
            )
    meter = metrics.get_meter("lembro", __version__, meter_provider, SCHEMA)
    tracer = trace.get_tracer("lembro", __version__, tracer_provider, SCHEMA)
    histogram = meter.create_histogram(
        DURATION,
        unit="s",
        description="Duration of database client operations.",
        explicit_bucket_boundaries_advisory=BOUNDS,
    )
    for name, manager in named.items():
        _instrumented.add(manager)
        in_process = runner_of(manager).in_process
        timed = durations if durations is not None else not in_process
        if tracing or timed:
            calls = _Calls(name, manager, tracer if tracing else None, histogram if timed else None)
            watch(runner_of(manager), calls)
    _observe(meter, [_Collected(name, manager) for name, manager in named.items()])


_instrumented: WeakSet[SessionManager] = WeakSet()


# -- metrics that are read -------------------------------------------------------------------------


class _Collected:
    """The values of one manager. Those of one collection come from one reading of the store.

    OpenTelemetry asks each instrument separately. If it asks one again, a new collection has begun.
    """

    def __init__(self, name: str, manager: SessionManager) -> None:
        self.attributes: dict[str, str] = {"lembro.manager": name}
        self.reader: Reader = Reader(name, manager)
        self._asked: set[str] = set()
        self._values: dict[str, float] = {}

    def values(self, instrument: str) -> dict[str, float]:
        """Return the values for an instrument."""
        if not self._asked or instrument in self._asked:
            self._values = self.reader.values()
            self._asked = set()
        self._asked.add(instrument)
        return self._values


def _observe(meter: metrics.Meter, collected: list[_Collected]) -> None:
    def sessions(_: metrics.CallbackOptions) -> Iterator[metrics.Observation]:
        for each in collected:
            values = each.values(SESSIONS.opentelemetry)
            for tier, count in each.reader.tiers(values).items():
                yield metrics.Observation(count, {**each.attributes, "lembro.tier": tier})

    def callback(metric: Any) -> Callable[[metrics.CallbackOptions], Iterator[metrics.Observation]]:
        def read(_: metrics.CallbackOptions) -> Iterator[metrics.Observation]:
            for each in collected:
                values = each.values(metric.opentelemetry)
                if metric.value in values:
                    yield metrics.Observation(
                        values[metric.value], _attributes_of(metric.opentelemetry, each)
                    )

        return read

    meter.create_observable_up_down_counter(
        SESSIONS.opentelemetry, [sessions], SESSIONS.unit, SESSIONS.text
    )
    for kind, found in (
        (meter.create_observable_gauge, GAUGES),
        (meter.create_observable_counter, COUNTERS),
    ):
        for metric in found:
            kind(metric.opentelemetry, [callback(metric)], metric.unit, metric.text)


def _attributes_of(name: str, collected: _Collected) -> dict[str, str]:
    attributes = dict(collected.attributes)
    if name.startswith("db.client.connection."):
        attributes["db.client.connection.pool.name"] = collected.reader.name
    if name == "db.client.connection.count":
        attributes["db.client.connection.state"] = "used"
    return attributes


# -- calls of the store ----------------------------------------------------------------------------


class _Calls:
    """A watcher that makes a span of each call, and records its duration."""

    def __init__(
        self,
        name: str,
        manager: SessionManager,
        tracer: trace.Tracer | None,
        histogram: metrics.Histogram | None,
    ) -> None:
        in_process = runner_of(manager).in_process
        self.kind: trace.SpanKind = trace.SpanKind.INTERNAL if in_process else trace.SpanKind.CLIENT
        self.attributes: dict[str, str] = {
            "db.system.name": getattr(manager.store, "system", "lembro"),
            "lembro.manager": name,
        }
        self.tracer = tracer
        self.histogram = histogram
        self._failed = False

    def failed(self, error: Exception) -> None:
        """Log the first error of OpenTelemetry, or of a SpanProcessor of the application."""
        if not self._failed:
            self._failed = True
            log.error(
                "lembro: OpenTelemetry could not record a call of the store. Later errors of this "
                "kind are not logged.",
                exc_info=error,
            )

    def watched(self, name: str, verb: Verb) -> Verb:
        """Return a function that calls a verb, and measures it."""
        attributes = {**self.attributes, "db.operation.name": name}
        silent = self.histogram is None  # without a span there is nothing to do

        def call(*args: Any, **keywords: Any) -> Any:
            if silent and not is_traced():
                return verb(*args, **keywords)
            with _Call(self, attributes):
                return verb(*args, **keywords)

        return call

    def awaited(self, name: str, verb: Verb) -> Verb:
        """Return a coroutine function that awaits a verb, and measures it."""
        attributes = {**self.attributes, "db.operation.name": name}
        silent = self.histogram is None

        async def call(*args: Any, **keywords: Any) -> Any:
            if silent and not is_traced():
                return await verb(*args, **keywords)
            with _Call(self, attributes):
                return await verb(*args, **keywords)

        return call


_SPAN: Final = next(iter(set_span_in_context(INVALID_SPAN, Context())))
"""The key of the span in a context."""


def is_traced() -> bool:
    """Return whether a call makes a span now: not if the trace of the request is not sampled.

    This is checked first, because a span that is not sampled takes much longer. It does what
    ``get_current_span`` does, in a third of the time.
    """
    span: Any = get_current().get(_SPAN)
    return span is None or bool(span.is_recording())


class _Call:
    """One call of the store, as a context manager. An error of OpenTelemetry does not reach it."""

    def __init__(self, calls: _Calls, attributes: dict[str, str]) -> None:
        self._calls = calls
        self._attributes = attributes

    def __enter__(self) -> None:
        calls = self._calls
        self._span: trace.Span | None = None
        self._token: Any = None
        try:
            self._begin(calls)
        except Exception as error:
            calls.failed(error)
        self._begun = perf_counter()

    def _begin(self, calls: _Calls) -> None:
        if calls.tracer is not None and is_traced():
            attributes = self._attributes
            name = f"{attributes['db.operation.name']} session"
            self._span = span = calls.tracer.start_span(
                name, kind=calls.kind, attributes={**attributes, "db.query.summary": name}
            )
            if calls.kind is trace.SpanKind.CLIENT:  # the client library may make spans within it
                self._token = attach(set_span_in_context(span))

    def __exit__(self, kind: type[BaseException] | None, error: Any, traceback: Any) -> None:
        took, attributes = perf_counter() - self._begun, self._attributes
        if kind is not None:
            attributes = {**attributes, "error.type": kind.__qualname__}
        if self._token is not None:
            detach(self._token)
        try:
            if self._calls.histogram is not None:
                self._calls.histogram.record(took, attributes)
            if self._span is not None:
                if kind is not None:
                    self._span.set_attributes(attributes)
                    self._span.set_status(trace.StatusCode.ERROR, f"{kind.__qualname__}: {error}")
                self._span.end()
        except Exception as failure:
            self._calls.failed(failure)
