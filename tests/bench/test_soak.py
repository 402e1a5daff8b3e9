"""The soak test finds the faults that it looks for."""

from __future__ import annotations

from array import array
from collections.abc import Iterator
from typing import Any

import pytest

from bench import soak
from bench.data import key
from lembro import MemoryStore, Record


@pytest.fixture
def soaked() -> Iterator[soak.Soak]:
    store = MemoryStore("1M", interval=360)
    made = soak.Soak(store, end=0.0)
    made.gate.set()
    soak.enter_logged_in(store)
    yield made
    store.close()


def batches(soaked: soak.Soak) -> list[soak.Worker]:
    """Run some traffic and a flood in this thread."""
    workers: list[soak.Worker] = [soak.Visitors(soaked, 0), soak.Visitors(soaked, 1)]
    for worker in workers:
        for _ in range(10):
            worker.batch()
        soaked.at_rest.release()
    return workers


def test_a_correct_store_passes(soaked: soak.Soak) -> None:
    soak.check(soaked, batches(soaked))
    assert soaked.breaches == {}
    assert soaked.checks == 1


def test_a_wrong_sum_is_found(soaked: soak.Soak) -> None:
    workers = batches(soaked)
    soaked.store._parts.ledger.used += 1
    soak.check(soaked, workers)
    assert list(soaked.breaches) == ["recount"]


def test_a_missing_login_and_a_lost_write_are_found(soaked: soak.Soak) -> None:
    workers = batches(soaked)
    soaked.store.destroy(key(-1))
    soak.check(soaked, workers)
    assert list(soaked.breaches) == ["lost operation"]

    soaked.breaches.clear()
    soaked.store.add(key(-1), Record(bytes(8)), idle=9, life=9)
    workers[0].wins[0] = workers[1].wins[0] = 0
    workers[1].wins[5] += 1
    soaked.at_rest.release(2)
    soak.check(soaked, workers)
    assert "user 5" in soaked.breaches["lost operation"]


@pytest.mark.parametrize(
    ("grown", "found"),
    [
        ([1.0] * 30, []),
        ([20.0] * 30, ["resident memory"]),
        ([0.5] * 20 + [0.9] * 10, ["resident memory drifts"]),
    ],
)
def test_growing_memory_is_found(soaked: soak.Soak, grown: list[float], found: list[str]) -> None:
    rows: list[list[Any]] = [[60.0 * n, 0, int(g * (1 << 20))] for n, g in enumerate(grown)]
    soak.judge_growth(soaked, rows)
    assert list(soaked.breaches) == found


def test_the_percentile_is_right() -> None:
    assert soak.percentile(array("d", range(1000)), 0.999) == 999
    assert soak.percentile(array("d"), 0.999) == 0.0
