"""The bench of metrics measures each way of the documentation."""

from __future__ import annotations

import pytest

from bench import metrics_cost, requests, serving


def test_each_way_is_compared_with_a_request_of_its_kind(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(serving, "VISITORS", 2)
    monkeypatch.setattr(requests, "WARM_UP", 3)
    monkeypatch.setattr(requests, "BATCH_SECONDS", 0.0)
    ratios = metrics_cost.measure(1)
    ways = {*metrics_cost.LIMITED, *metrics_cost.REFERENCE}
    assert {*ways, *metrics_cost.REFERENCE.values()} <= set(metrics_cost.WAYS)
    assert set(ratios) == {(w, a) for w in metrics_cost.WAYS for a in metrics_cost.ACTIONS}
    assert ratios[metrics_cost.UNMEASURED, "read"] == 1
    assert "not measured, read" in capsys.readouterr().out
