"""The soak test finds the faults that it looks for."""

from __future__ import annotations

import os
import time
from array import array
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import msgspec
import pytest

from bench import charts, soak, soak_stores, verdicts
from bench.data import key
from lembro import Record
from lembro.stores import SQLiteStore


@contextmanager
def soaking(place: soak_stores.Place) -> Iterator[soak.Soak]:
    made = soak.Soak(place, end=0.0)
    made.gate.set()
    soak.enter_logged_in(place)
    try:
        yield made
    finally:
        place.close()


@pytest.fixture
def memory() -> soak_stores.MemoryPlace:
    return soak_stores.MemoryPlace("1M", interval=360)


@pytest.fixture
def soaked(memory: soak_stores.MemoryPlace) -> Iterator[soak.Soak]:
    """A soak of a MemoryStore."""
    with soaking(memory) as made:
        yield made


@pytest.fixture(params=soak_stores.PLACES)
def any_soaked(request: pytest.FixtureRequest) -> Iterator[soak.Soak]:
    """A soak of each store."""
    with soaking(soak_stores.PLACES[request.param]("1M", interval=360)) as made:
        yield made


def batches(soaked: soak.Soak) -> list[soak.Worker]:
    """Run some traffic and a flood in this thread."""
    workers: list[soak.Worker] = [soak.Visitors(soaked, 0), soak.Visitors(soaked, 1)]
    for worker in workers:
        for _ in range(10):
            worker.batch()
        soaked.at_rest.release()
    return workers


def test_a_correct_store_passes(any_soaked: soak.Soak) -> None:
    soak.check(any_soaked, batches(any_soaked))
    assert any_soaked.breaches == {}
    assert any_soaked.checks == 1


@pytest.mark.parametrize("kind", soak_stores.PLACES)
def test_a_short_soak_runs_to_its_end(
    kind: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(verdicts, "ARTIFACTS", tmp_path)
    monkeypatch.setattr(soak, "CHECK", 0.2)
    monkeypatch.setattr(soak, "LAG", 60.0)  # this machine runs other tests
    monkeypatch.setattr(soak_stores, "OWN", 1 << 40)  # and so does this process
    assert soak.run(0.02, kind, "2M") == 0, capsys.readouterr().out
    found = verdicts.load(f"soak_{kind}")
    assert found["quick"]
    details = found["details"]
    assert details["operations"] > 100
    assert details["recounts"] > 1
    assert 0 < details["used"] <= 1 >= details["held"] > 0
    charts.soak(details, tmp_path / "soak.svg")
    assert (tmp_path / "soak.svg").stat().st_size > 5000


def test_a_wrong_sum_is_found(soaked: soak.Soak, memory: soak_stores.MemoryPlace) -> None:
    workers = batches(soaked)
    memory.store._parts.ledger.used += 1
    soak.check(soaked, workers)
    assert list(soaked.breaches) == ["recount"]


def test_a_wrong_number_of_sessions_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    with soaking(soak_stores.SQLitePlace("1M", interval=360)) as soaked:
        workers = batches(soaked)
        stats = soaked.place.store.stats()
        monkeypatch.setattr(
            SQLiteStore, "stats", lambda _: msgspec.structs.replace(stats, sessions=7)
        )
        soak.check(soaked, workers)
    assert "says 7 sessions" in soaked.breaches["recount"]


def test_a_recount_takes_no_memory_of_the_soak(
    soaked: soak.Soak, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(soak_stores, "recount", lambda _: pytest.fail(f"in process {os.getpid()}"))
    soak.check(soaked, batches(soaked))
    assert "in process" in soaked.breaches["recount"]
    assert str(os.getpid()) not in soaked.breaches["recount"]


def test_a_recount_that_does_not_end_is_found(
    soaked: soak.Soak, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(soak_stores, "recount", lambda _: time.sleep(60))
    monkeypatch.setattr(soak_stores, "RECOUNT", 0.1)
    assert soaked.place.recount() == "not finished within 0 seconds"


def test_the_pages_of_a_store_follow_its_sessions(memory: soak_stores.MemoryPlace) -> None:
    store, pages = memory.store, memory.pages
    before = pages.present()
    for number in range(2000):
        store.add(key(number), Record(bytes(300)), idle=9, life=9)
    full = pages.present()
    assert 400_000 < full - before <= store.stats().used < pages.reserved
    store.clear()
    assert pages.present() < full / 2
    store.close()


def test_a_missing_login_and_a_lost_write_are_found(soaked: soak.Soak) -> None:
    workers = batches(soaked)
    soaked.place.store.destroy(key(-1))
    soak.check(soaked, workers)
    assert list(soaked.breaches) == ["lost operation"]

    soaked.breaches.clear()
    soaked.place.store.add(key(-1), Record(bytes(8)), idle=9, life=9)
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
        ([1.0] * 30, 2.5, ["held > max_size"]),
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
