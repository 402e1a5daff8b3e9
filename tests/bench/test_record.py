"""The record of small runs, and what the pages would show of it."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from bench import __main__ as command
from bench import child, pauses, record, speed, verdicts
from bench.store_peers import Cachebox, Cachetools
from tools import measured


def say(text: str) -> None:
    pass


@pytest.fixture(autouse=True)
def _artifacts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(verdicts, "ARTIFACTS", tmp_path)


def collected(name: str, details: Any) -> Any:
    """Return the record of a bench that has saved this result."""
    verdicts.save(name, False, [], details)
    return record.collected({}, quick=False)[0][name]


def million(title: str) -> Any:
    return child.run("bench.memory:million", {"title": title, "number": 500}, say)


def test_the_record_of_memory() -> None:
    titles = ["bare dict", "lembro", "cachetools TTLCache", "cachebox TTLCache"]
    run = {"cap": 1_000_000, "most": {"a": 1.014, "b": 1.0}}
    of = collected(
        "memory",
        {
            # In small processes, because the garbage collector visits all objects of this one.
            "million": {title: million(title) for title in titles},
            "halves": {"a": {"returned": 0.9}, "b": {"returned": 0.944}},
            "phases": {
                "lembro": run,
                "cachetools TTLCache": {**run, "most": {"a": 2.7}},
                "cachebox TTLCache": {**run, "most": {"a": 2.1}, "why": "given up"},
            },
            "truly": {"cachetools TTLCache": {**run, "most": {"a": 1.9}}},
            "small": {"most": {"a": 1.1}},
        },
    )
    assert of["worst"] == {
        "lembro": 1.01,
        "cachetools TTLCache": 2.7,
        "cachebox TTLCache": 2.1,
    }
    values = dict(measured.memory(of))
    assert values["cap"] == "1 MB"
    assert values["returned"] == "90 %"
    assert values["best"] == "2.7 (cachetools TTLCache)"  # the other one gave up
    assert values["best_of_whole_entries"] == "1.9 (cachetools TTLCache)"
    assert values["beyond_default"] == "0.4 MiB"
    assert "| cachetools TTLCache | 2.70 | 1.90 |" in values["table"]
    assert "| cachebox TTLCache, too slow for all phases | 2.10 |  |" in values["table"]


def test_the_record_of_pauses() -> None:
    run = pauses.measure("lembro", 2000, 100, 60.0, say)
    slow = {**run, "steps": {step: {"longest": 9.0} for step in pauses.STEPS}}
    few = {"number": 500, "steps": {pauses.STEPS[0]: {"longest": 1.0}}}
    of = collected(
        "pauses",
        {
            "best_of": 2,
            "runs": {
                "lembro": [run, run],
                "cachetools TTLCache": [slow, slow],
                "Beaker (memory)": [few, few],
            },
        },
    )
    values = dict(measured.pauses(of))
    assert values["number"] == "2,000"
    assert values["insert"].endswith(" ms")
    assert values["insert.best"].endswith(" of Beaker (memory)'s")
    assert values["evict.best"].endswith(" of cachetools TTLCache's")
    assert "| Beaker (memory), only 500 | 1,000 (" in values["table"]


def test_the_record_of_speed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(speed, "PEERS", (Cachetools, Cachebox))
    found = speed.measure(1000, 1, say)
    of = collected("speed", {"1000": found, "few": {**found, "number": 1}})
    assert of["number"] == 1000
    assert set(of["of_a_dict"]["lembro"]) == {"get", "again", "overwrite", "new"}
    values = dict(measured.speed(of))
    assert {*of["of_a_dict"]["lembro"], "touch_of_cachetools", "in_rust"} <= set(values)


def test_without_cachetools_there_is_no_ratio_to_it() -> None:
    found = {"number": 1, "times": {"bare dict": {}, "lembro": {}}}
    for times in found["times"].values():  # type: ignore[attr-defined]
        times |= {verb: [1.0] for verb in speed.VERBS}
    assert collected("speed", {"1": found})["touch_of_cachetools"] is None


# -- the command -----------------------------------------------------------------------------------


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, dict[str, Any]]]:
    """Collect which benches would be run."""
    asked: list[tuple[str, dict[str, Any]]] = []

    def bench(name: str) -> Any:
        return SimpleNamespace(main=lambda **arguments: asked.append((name, arguments)))

    monkeypatch.setattr("importlib.import_module", bench)
    return asked


def test_docs_runs_each_bench_that_the_pages_show(
    run: list[tuple[str, dict[str, Any]]], capsys: pytest.CaptureFixture[str]
) -> None:
    assert command.main(["--docs"]) == 0
    assert [name for name, _ in run] == [f"bench.{name}" for name in command.SHOWN]
    assert all(arguments == {"quick": False} for _, arguments in run)
    assert "python -m tools.measured" in capsys.readouterr().out
    assert set(record.SOURCES) - set(command.SHOWN) == {"soak_memory", "soak_sqlite"}


def test_docs_takes_no_names(run: list[tuple[str, dict[str, Any]]]) -> None:
    with pytest.raises(SystemExit):
        command.main(["--docs", "pauses"])
    assert run == []
