"""Measure what metrics and traces add to a request.

    python -m bench.metrics_cost [--rounds 200]

One application of Starlette, with routes and a JSON response, and a session in memory that is read
or modified, is called in this process without a server. Managers that are measured in different
ways take turns. The ratio is the median, over the rounds, of the CPU time of a request divided by
that of the manager that is not measured in the same round. Exits with 1 if a ratio is above its
limit. A second manager that is not measured shows the error of the method.

A span that is recorded costs what OpenTelemetry takes for it. So its row has no limit. The
application of that row and of its own reference ("a traced request") has a span for each request.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable
from operator import truediv
from statistics import median
from typing import Any, Final

from bench import serving
from bench.peers import LOGIN, ASGIApp, session_data
from bench.report import Progress, table
from bench.requests import take_turns
from bench.serving import Contender, asgi_actions
from lembro import MemoryStore, SessionManager

LIMIT: Final = 1.05
ACTIONS: Final = ("read", "modified")
UNMEASURED: Final = "not measured"
TRACED: Final = "a traced request"
REFERENCE: Final = {"each call a span": TRACED}

Measure = Callable[[SessionManager], Callable[[ASGIApp], ASGIApp] | None]
"""Measure a manager. Return a wrapper of the application, if it needs one."""


def unmeasured(manager: SessionManager) -> None:
    """Leave the manager as it is."""


def prometheus(manager: SessionManager) -> None:
    from prometheus_client import CollectorRegistry

    from lembro.metrics.prometheus import SessionCollector

    SessionCollector(manager, CollectorRegistry())


def opentelemetry(manager: SessionManager) -> None:
    from opentelemetry.sdk.metrics import MeterProvider
    from opentelemetry.sdk.metrics.export import InMemoryMetricReader

    from lembro.metrics.opentelemetry import instrument

    provider = MeterProvider(metric_readers=[InMemoryMetricReader()])
    instrument(manager, meter_provider=provider, tracing=False)


def _tracer(*, sampled: bool) -> tuple[Any, Callable[[ASGIApp], ASGIApp]]:
    """Return a provider of tracers, and a wrapper that makes a span of each request."""
    from opentelemetry.sdk.trace import TracerProvider
    from opentelemetry.sdk.trace.export import BatchSpanProcessor, SpanExporter, SpanExportResult
    from opentelemetry.sdk.trace.sampling import ALWAYS_OFF, ALWAYS_ON
    from opentelemetry.trace import NonRecordingSpan, SpanContext, use_span

    class Nowhere(SpanExporter):
        def export(self, spans: Any) -> SpanExportResult:
            return SpanExportResult.SUCCESS

    provider = TracerProvider(sampler=ALWAYS_ON if sampled else ALWAYS_OFF)
    provider.add_span_processor(BatchSpanProcessor(Nowhere()))
    tracer = provider.get_tracer("bench")

    def wrap(app: ASGIApp) -> ASGIApp:
        async def traced(scope: Any, receive: Any, send: Any) -> None:
            if sampled:
                with tracer.start_as_current_span("GET /"):
                    await app(scope, receive, send)
            else:
                # The span that a server's instrumentation makes if the trace is not sampled.
                with use_span(NonRecordingSpan(SpanContext(1, 1, is_remote=False))):
                    await app(scope, receive, send)

        return traced

    return provider, wrap


def not_sampled(manager: SessionManager) -> Callable[[ASGIApp], ASGIApp]:
    from lembro.metrics.opentelemetry import instrument

    provider, wrap = _tracer(sampled=False)
    instrument(manager, tracer_provider=provider)
    return wrap


def not_sampled_alone(_: SessionManager) -> Callable[[ASGIApp], ASGIApp]:
    return _tracer(sampled=False)[1]


def spans(manager: SessionManager) -> Callable[[ASGIApp], ASGIApp]:
    from lembro.metrics.opentelemetry import instrument

    provider, wrap = _tracer(sampled=True)
    instrument(manager, tracer_provider=provider)
    return wrap


def traced_alone(_: SessionManager) -> Callable[[ASGIApp], ASGIApp]:
    return _tracer(sampled=True)[1]


REFERENCE["traces, not sampled"] = "a request that is not sampled"
WAYS: Final[dict[str, Measure]] = {
    UNMEASURED: unmeasured,
    "not measured, again": unmeasured,
    "Prometheus": prometheus,
    "OpenTelemetry, metrics": opentelemetry,
    "a request that is not sampled": not_sampled_alone,
    "traces, not sampled": not_sampled,
    TRACED: traced_alone,
    "each call a span": spans,
}
LIMITED: Final = ("Prometheus", "OpenTelemetry, metrics", "traces, not sampled")


def apps_of(measure: Measure) -> dict[str, ASGIApp]:
    """Return an application for each action, over one manager."""
    from starlette.applications import Starlette
    from starlette.middleware import Middleware
    from starlette.requests import Request
    from starlette.responses import JSONResponse
    from starlette.routing import Route

    from lembro.integrations.starlette import SessionMiddleware

    manager = SessionManager(MemoryStore())
    wrap = measure(manager)

    async def read(request: Request) -> JSONResponse:
        return JSONResponse({"user": request.session["user_id"]})

    async def modified(request: Request) -> JSONResponse:
        request.session["visits"] += 1
        return JSONResponse({"user": request.session["user_id"]})

    async def login(request: Request) -> JSONResponse:
        data = session_data()
        request.session.update(data)
        request.session.login(data["user_id"])  # type: ignore[attr-defined]
        return JSONResponse({})

    def app(handler: Any) -> ASGIApp:
        made: ASGIApp = Starlette(
            routes=[Route("/", handler)], middleware=[Middleware(SessionMiddleware, manager)]
        )
        return made if wrap is None else wrap(made)

    return {
        "unused": app(read),
        "read": app(read),
        "modified": app(modified),
        LOGIN: app(login),
    }


def measure(rounds: int) -> dict[tuple[str, str], float]:
    """Return the ratio of each way and action."""
    contenders: list[Contender] = []
    for way, of in WAYS.items():
        contenders += asgi_actions(way, apps_of(of), actions=ACTIONS)
    progress = Progress()
    times = take_turns(contenders, rounds, progress.say)
    progress.done()
    found = {(it.library, it.action): of for it, of in zip(contenders, times, strict=True)}
    for action in ACTIONS:
        print(f"not measured, {action}: {median(found[UNMEASURED, action]):.1f} microseconds")
    return {
        (way, action): median(map(truediv, of, found[REFERENCE.get(way, UNMEASURED), action]))
        for (way, action), of in found.items()
    }


def main() -> int:
    """Print the ratios. Return 1 if one is above the limit."""
    parser = argparse.ArgumentParser(description="Measure what metrics add to a request.")
    parser.add_argument("--rounds", type=int, default=200)
    arguments = parser.parse_args()
    serving.VISITORS = 500
    ratios = measure(arguments.rounds)
    rows: list[list[str] | None] = [
        [way, *(f"{ratios[way, action]:.3f}" for action in ACTIONS), REFERENCE.get(way, UNMEASURED)]
        for way in WAYS
        if way not in (UNMEASURED, *REFERENCE.values())
    ]
    print(table(["ratio of CPU time", *ACTIONS, "compared with"], rows))
    over = [key for key in ratios if key[0] in LIMITED and ratios[key] > LIMIT]
    for way, action in over:
        print(f"{way}, {action}: {ratios[way, action]:.3f}, above the limit of {LIMIT}")
    return 1 if over else 0


if __name__ == "__main__":
    sys.exit(main())
