"""The bench of the frameworks runs, and judges as it should."""

from __future__ import annotations

from importlib import import_module

import pytest

from bench.frameworks import FRAMEWORKS, report
from bench.peers import ACTIONS


@pytest.mark.parametrize("name", FRAMEWORKS)
def test_everybody_serves(name: str) -> None:
    framework = import_module(f"bench.frameworks.{name}")
    contenders = framework.contenders()
    assert contenders[0].library == "bare"
    assert {"lembro", framework.REFERENCE} <= {contender.library for contender in contenders}
    assert set(framework.BAR) <= set(ACTIONS)
    for contender in contenders:
        assert contender.batch(1) > 0


def test_a_verdict() -> None:
    added = {("lembro", a): 1.0 for a in ACTIONS} | {("other", a): 4.0 for a in ACTIONS}
    text = report(added, "other", {"read": 4, "modified": 5})
    assert "1/4 met" in text
    assert "1/5 MISSED" in text


def test_nothing_is_required_and_theirs_costs_nothing() -> None:
    added = {("lembro", a): 1.0 for a in ACTIONS} | {("other", a): 4.0 for a in ACTIONS}
    added["other", "unused"] = -0.1
    text = report(added, "other", {})
    assert "theirs: nothing" in text
    assert "1/4.0" in text
    assert "required" not in text
