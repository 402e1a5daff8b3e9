"""The bench of stores outside of the process runs, and counts round trips."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from bench import child, requests, serving, stores
from bench.store_apps import KINDS
from bench.verdicts import verdict_table
from tests.support.servers import postgres
from tests.support.servers.redis import shared


def measured(url: str, say: Callable[[str], None]) -> dict[str, Any]:
    """Run all parts once. The bench does this in child processes, which close no connection."""
    serving.VISITORS = 3
    requests.WARM_UP = 3
    return {
        "requests": stores.requests("ASGI", url, 1, say),
        "round trips": {
            name: stores.round_trips(name, url, say)
            for name, kind in KINDS.items()
            if kind.server == "Redis"
        },
        "verbs": stores.verbs(url, 1, say),
        "sqlite": [stores.sqlite(colour, 1, say) for colour in ("asgi", "wsgi")],
    }


def test_the_bench_of_stores_runs() -> None:
    url = shared("valkey").url
    found = child.run("tests.bench.test_store_requests:measured", {"url": url}, print)
    trips = found["round trips"]
    stores.report("ASGI", found["requests"], trips["ASGI"])
    verdicts = stores.verdicts_of("ASGI", KINDS["ASGI"], found["requests"]["added"])
    assert len(verdicts) == 2
    for name, counted in trips.items():
        assert set(counted) <= set(KINDS[name].libraries)
        counts = stores.round_trips_of(name, KINDS[name], counted)
        assert all(verdict.met for verdict in counts), verdict_table(counts)
    assert set(found["verbs"]) == set(stores.VERBS)
    assert all(stores.ratio(times, "read") > 0 for times in found["sqlite"])


def test_django_is_measured_on_postgresql() -> None:
    name = "Django on PostgreSQL"
    found = child.run(
        "bench.stores:round_trips", {"name": name, "url": postgres.shared().url()}, print
    )
    assert all(verdict.met for verdict in stores.round_trips_of(name, KINDS[name], found))
    assert found["Django's db"]["modified"] > 2
