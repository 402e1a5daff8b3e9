"""The bench of express compares both managers, in each kind of application."""

from __future__ import annotations

from pathlib import Path

import pytest

from bench import express, requests, serving, verdicts


def test_both_managers_are_compared(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(serving, "VISITORS", 2)
    monkeypatch.setattr(requests, "WARM_UP", 3)
    monkeypatch.setattr(requests, "BATCH_SECONDS", 0.0)
    monkeypatch.setattr(verdicts, "ARTIFACTS", tmp_path)
    monkeypatch.setattr(express, "ROUNDS", {"quick": 1, "full": 1})
    found = express.main(quick=True)
    pairs = [(colour, action) for colour in express.COLOURS for action in express.ACTIONS]
    assert [verdict.measure for verdict in found] == [
        f"{c}: {a}, of RedisStore's" for c, a in pairs
    ]
    details = verdicts.load("express")["details"]
    assert {f"{c}, {clock}" for c, _ in pairs for clock in express.CLOCKS} < set(details)
    assert "WSGI, CPU time" in capsys.readouterr().out
