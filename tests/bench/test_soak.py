"""The soak test finds the faults that it looks for."""

from __future__ import annotations

import os
import time
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


def test_a_recount_takes_no_memory_of_the_soak(
    soaked: soak.Soak, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(soak, "recount", lambda _: pytest.fail(f"in process {os.getpid()}"))
    soak.check(soaked, batches(soaked))
    assert "in process" in soaked.breaches["recount"]
    assert str(os.getpid()) not in soaked.breaches["recount"]


def test_a_recount_that_does_not_end_is_found(
    soaked: soak.Soak, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(soak, "recount", lambda _: time.sleep(60))
    monkeypatch.setattr(soak, "RECOUNT", 0.1)
    assert soak.recount_in_child(soaked.store) == "not finished within 0 seconds"


def test_the_pages_of_a_store_follow_its_sessions(soaked: soak.Soak) -> None:
    before = soaked.pages.present()
    for number in range(2000):
        soaked.store.add(key(number), Record(bytes(300)), idle=9, life=9)
    full = soaked.pages.present()
    assert 400_000 < full - before <= soaked.store.stats().used < soaked.pages.reserved
    soaked.store.clear()
    assert soaked.pages.present() < full / 2


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
    ("grown", "pages", "found"),
    [
        ([1.0] * 30, 1.0, []),
        ([20.0] * 30, 1.0, ["resident memory"]),
        ([0.5] * 20 + [0.9] * 10, 1.0, ["resident memory drifts"]),
        ([1.0] * 30, 2.5, ["pages > max_size"]),
    ],
)
def test_growing_memory_is_found(
    soaked: soak.Soak, grown: list[float], pages: float, found: list[str]
) -> None:
    rows: list[list[Any]] = [
        [60.0 * n, 0, int(g * (1 << 20)), 0, 0, 0, 0.0, int(pages * (1 << 20))]
        for n, g in enumerate(grown)
    ]
    soak.judge_growth(soaked, rows)
    assert list(soaked.breaches) == found


def test_the_percentile_is_right() -> None:
    assert soak.percentile(array("d", range(1000)), 0.999) == 999
    assert soak.percentile(array("d"), 0.999) == 0.0
