"""A collector of prometheus_client: ``SessionCollector(manager)``."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from typing import Any, Final

from .._log import log
from .._runtime.watching import watch
from ..errors import ConfigError
from ..manager import runner_of
from ._catalogue import COUNTERS, GAUGES, SESSIONS
from ._latency import Latency
from ._reader import Managers, Reader, by_name

try:
    from prometheus_client import REGISTRY, CollectorRegistry
    from prometheus_client.core import (
        CounterMetricFamily,
        GaugeMetricFamily,
        HistogramMetricFamily,
        Metric,
    )
    from prometheus_client.registry import Collector
except ImportError as _missing:  # pragma: no cover
    raise ImportError(
        "lembro.metrics.prometheus needs prometheus_client: pip install 'lembro[prometheus]'"
    ) from _missing

__all__ = ["SessionCollector"]

DURATION: Final = "lembro_store_operation_duration_seconds"
ERRORS: Final = "lembro_store_operation_errors_total"


class SessionCollector(Collector):
    """Report the sessions to Prometheus. It registers itself, as prometheus_client's own collectors
    do.

    Make it once, where you make the manager. From then on, the calls of the store are timed.

    Args:
        managers: The manager, or a dict of managers by name. The name is the label ``manager``.
        registry: The registry. None: register it yourself.

    Raises:
        ConfigError: The registry has a collector of sessions already, two managers share their
            sessions, or an argument is invalid.
    """

    def __init__(self, managers: Managers, registry: CollectorRegistry | None = REGISTRY) -> None:
        named = by_name(managers)
        if os.environ.get("PROMETHEUS_MULTIPROC_DIR"):
            log.warning(
                "lembro: PROMETHEUS_MULTIPROC_DIR is set. In this mode prometheus_client reports "
                "no collectors, so the metrics of the sessions are missing. Let each worker "
                "answer Prometheus on a port of its own"
            )
        self._readers: list[tuple[Reader, Latency]] = []
        if registry is not None:
            try:
                registry.register(self)
            except ValueError as error:
                raise ConfigError(
                    "a registry may have one SessionCollector, and this one has one already. Give "
                    "it all managers: SessionCollector({'shop': shop, 'admin': admin}). In tests, "
                    "give each application a registry: SessionCollector(manager, "
                    "CollectorRegistry())"
                ) from error
        for name, manager in named.items():
            latency = Latency()
            watch(runner_of(manager), latency)
            self._readers.append((Reader(name, manager), latency))

    def describe(self) -> Iterable[Metric]:
        """Return the metrics without values, so that a second collector is noticed."""
        return self._collect([])

    def collect(self) -> Iterable[Metric]:
        """Return the metrics with their values."""
        return self._collect(self._readers)

    @staticmethod
    def _collect(readers: list[tuple[Reader, Latency]]) -> Iterator[Metric]:
        values = [(reader, reader.values()) for reader, _ in readers]
        sessions = GaugeMetricFamily(SESSIONS.prometheus, SESSIONS.text, labels=["manager", "tier"])
        for reader, found in values:
            for tier, count in reader.tiers(found).items():
                sessions.add_metric([reader.name, tier], count)
        yield sessions
        for kind, metrics in ((GaugeMetricFamily, GAUGES), (CounterMetricFamily, COUNTERS)):
            for metric in metrics:
                family: Any = kind(metric.prometheus, metric.text, labels=["manager"])
                for reader, found in values:
                    if metric.value in found:
                        family.add_metric([reader.name], found[metric.value])
                yield family
        durations = HistogramMetricFamily(
            DURATION, "Time of a call of the store.", labels=["manager", "operation"]
        )
        errors = CounterMetricFamily(
            ERRORS, "Calls of the store that raised.", labels=["manager", "operation", "error"]
        )
        for reader, latency in readers:
            for verb, buckets, total in latency.histograms():
                durations.add_metric([reader.name, verb], buckets, total)
            for (verb, error), count in latency.errors().items():
                errors.add_metric([reader.name, verb, error], count)
        yield durations
        yield errors
