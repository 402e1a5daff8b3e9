"""The bench of the throughput over a shared store."""

from __future__ import annotations

import pytest

from bench import served, workers
from bench.served import BARE


def test_the_growth_is_compared_with_that_of_the_bare_application() -> None:
    rates = {
        BARE: {"unused": {1: 100.0, 2: 150.0, 4: 200.0}},
        "Redis": {"read": {1: 10.0, 2: 15.0, 4: 18.0}, "modified": {1: 10.0, 2: 10.0, 4: 10.0}},
    }
    found = workers.judge(rates)
    assert [(each.measure.partition(":")[0], each.got, each.met) for each in found] == [
        ("Redis, read", 0.9, True),
        ("Redis, modified", 0.5, False),
    ]


def test_each_number_of_workers_is_measured(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(workers, "WORKERS", (2,))
    monkeypatch.setattr(served, "BATCH_SECONDS", 0.0)
    rates = workers.measure({BARE: ""}, 1)
    assert rates[BARE]["unused"][2] > 0
