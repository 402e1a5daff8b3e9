"""The benches of the store run on a small number of sessions, and report the right values."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from bench import child, memory, pauses, speed, survivors, threads, verdicts
from bench.contenders import OURS, PEERS, Cachetools, Contender
from bench.data import decode, encode, key, name, session
from bench.pauses import histogram
from bench.store_peers import Cachebox, Cachelib, Moka, Theine
from bench.verdicts import Verdict, verdict_table
from lembro import MemoryStore


def say(text: str) -> None:
    pass


def test_the_session_is_the_one_of_the_targets() -> None:
    for n in (0, 7, 999_999):
        assert 280 <= len(encode(session(n))) <= 320
    assert session(1) != session(2)
    assert len(key(1)) == 32
    assert len(name(1)) == 43


# A process has only one set of Django's settings; the bench runs in its own process.
HERE = [cls for cls in (*OURS, *PEERS) if not cls.title.startswith("Django")]


@pytest.mark.parametrize("cls", HERE, ids=lambda cls: cls.title)
def test_a_contender_stores_and_returns_values(cls: type[Contender]) -> None:
    try:
        contender = cls(None, 100)
    except ImportError:
        return  # a peer may be missing, which the bench reports
    ids = [contender.ident(n) for n in range(3)]
    contender.fill(ids, [contender.value(session(n)) for n in range(3)])
    changed = [session(n, visits=1) for n in range(3)]
    contender.overwrite_all(ids, changed, contender.payloads(ids))
    held = contender.load(ids[1])
    data = decode(held) if isinstance(held, bytes) else held
    assert data["user_id"] == session(1)["user_id"]
    assert data["visits"] == 1
    contender.get_all(ids)
    contender.remove_all(ids)
    assert not contender.load(ids[1])
    contender.close()


def test_the_memory_of_a_store_is_measured() -> None:
    result = memory.million("lembro", 1000, say)
    assert result["held"] == 1.0
    assert result["counted"] > 32  # at least the size of its key
    phases = memory.phases("lembro", 1 << 20, 60.0, say)
    assert len(phases["samples"]) == memory.LOOKS * len(phases["bounds"])
    assert max(phases["counted"]) <= 1.0


@pytest.mark.parametrize("cls", [Cachetools, Cachebox, Moka, Theine, Cachelib])
def test_the_bytes_of_an_entry_count_against_the_bound(cls: Any) -> None:
    def held(entry: int) -> int:
        try:
            contender = cls(30_000, 0, entry=entry)
        except ImportError:
            pytest.skip(f"{cls.title} is not installed")
        ids = [contender.ident(n) for n in range(200)]
        contender.fill(ids, [bytes(300)] * 200)
        found = sum(contender.load(at) is not None for at in ids)
        contender.close()
        return found

    assert held(300) < held(0) <= 120


def test_a_peer_that_gave_up_is_not_the_best() -> None:
    def run(most: float, **more: str) -> Any:
        return {"most": {"a": most}, **more}

    shifting = {"lembro": run(1.01), "quick": run(3.0), "slow": run(1.5, why="given up")}
    truly = {"quick": run(1.9)}
    verdict, _ = memory.judge_phases(shifting, truly, run(1.0), 100_000_000)
    assert verdict.got == 1.01
    assert verdict.peer == "3.00 x quick; with entries counted 1.90 x quick"


def test_each_store_has_the_same_number_of_runs(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    run = pauses.measure("lembro", 2000, 100, 60.0, say)
    asked: list[str] = []

    def measured(function: str, arguments: Any, say: Any) -> Any:
        asked.append(arguments["title"])
        return run

    monkeypatch.setattr(child, "run", measured)
    monkeypatch.setattr(verdicts, "ARTIFACTS", tmp_path)
    pauses.main(quick=True)
    assert set(Counter(asked).values()) == {pauses.RUNS}
    assert verdicts.load("pauses")["details"]["best_of"] == pauses.RUNS


def test_half_of_the_sessions_expire() -> None:
    assert memory.halves("lembro", 1000, "every second", say)["grown"] >= 0


def test_the_pauses_of_a_store_are_measured() -> None:
    found = pauses.measure("lembro", 2000, 100, 60.0, say)
    assert found["evicted"] >= 100
    steps = found["steps"]
    assert set(steps) == {*pauses.STEPS, pauses.MEANWHILE}
    assert steps["evicting set"]["calls"] == 100
    assert sum(steps["insert while growing"]["histogram"].values()) == 2000


def test_the_surviving_sessions_are_counted() -> None:
    found = survivors.measure(30_000, say)
    assert found["alive"] == survivors.USERS
    assert found["evicted"] + found["left"] == 30_000
    assert [verdict.met for verdict in survivors.judge(found)] == [True] * 3


def test_no_operation_of_a_thread_is_lost(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(threads, "SESSIONS", 50)
    found = threads.measure(1000, 1, say)
    assert found["lost"] == 0
    assert found["checked"] == 2000


def test_a_lost_operation_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    class Forgetful(MemoryStore):
        def set(self, key: bytes, record: Any, *, expected: bytes, idle: float) -> Any:
            found = super().set(key, record, expected=expected, idle=idle)
            super().set(key, type(record)(expected), expected=record.payload, idle=idle)
            return found

    monkeypatch.setattr(threads, "SESSIONS", 50)
    monkeypatch.setattr(threads, "MemoryStore", Forgetful)
    assert threads.measure(1000, 1, say)["lost"] > 0


def test_the_ratio_is_the_median_of_the_rounds() -> None:
    times = {"ours": {"get": [2.0, 30.0, 3.0]}, "bare": {"get": [1.0, 1.0, 1.0]}}
    assert speed.quotient(times, "ours", "bare", "get") == 3.0


def test_a_child_without_a_package_reports_it() -> None:
    with pytest.raises(child.MissingError, match="no_such_package"):
        child.run("no_such_package:measure", {}, say)


def test_a_child_returns_a_result_and_prints() -> None:
    printed: list[str] = []
    arguments = {"title": "lembro", "number": 600}
    result = child.run("bench.memory:million", arguments, printed.append)
    assert result["number"] == 600
    assert printed


def test_verdicts_compare_with_the_targets(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    good, bad = Verdict("a", 2, 1, 1.5, " x"), Verdict("b", 80, 95, 70, " %", at_least=True)
    assert (good.met, good.aim_met, bad.met) == (True, False, False)
    assert "1 of 2 targets are met" in verdict_table([good, bad])
    monkeypatch.setattr(verdicts, "ARTIFACTS", tmp_path)
    verdicts.save("x", True, [good], {"k": 1})
    assert verdicts.load("x")["verdicts"][0]["met"]
    assert verdicts.load("y") is None


def test_the_histogram_counts() -> None:
    assert histogram([1e-6, 1e-6, 1e-3]) == {"0": 2, "40": 1}
