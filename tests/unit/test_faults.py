"""The deliberate faults of `make faults`: each still applies, and each promise has one."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests.support import ROOT
from tools import faults
from tools.faults import PACKAGE, Fault, listed, parse

FAULTS = listed()


def test_there_are_many_faults() -> None:
    assert len(FAULTS) >= 60
    assert len({fault.promise for fault in FAULTS}) == len(FAULTS)


@pytest.mark.parametrize("fault", FAULTS, ids=lambda fault: fault.promise)
def test_a_fault_still_applies(fault: Fault) -> None:
    source = (ROOT / PACKAGE / fault.module).read_text(encoding="utf-8")
    changed = fault.changed(source)
    assert changed != source
    compile(changed, fault.module, "exec")


@pytest.mark.parametrize("fault", FAULTS, ids=lambda fault: fault.promise)
def test_the_tests_of_a_fault_exist(fault: Fault) -> None:
    assert fault.tests
    for test in fault.tests:
        path, _, name = test.partition("::")
        text = (ROOT / "tests" / path).read_text(encoding="utf-8")
        assert f"def {name.partition('[')[0]}(" in text or not name


def test_each_promise_has_a_fault() -> None:
    """The promises are those of the README, and the scorecard's rows that hold by default or by a
    call.
    """
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    table = readme.partition("## What it promises")[2].partition("\n## ")[0]
    promises = set(re.findall(r"^- \*\*(.+?)\.\*\*", table, re.MULTILINE))
    scorecard = (ROOT / "docs" / "security.md").read_text(encoding="utf-8")
    row = re.compile(r"^\| (\d\.\d\.\d) \|.+\| \*\*(?:default|call)\*\*", re.MULTILINE)
    rows = set(row.findall(scorecard))
    assert len(promises) >= 7
    assert len(rows) >= 15
    assert promises | rows <= {fault.promise.partition(":")[0] for fault in FAULTS}


def test_a_fault_applies_to_one_place_only() -> None:
    (fault,) = parse("Safe: x\na.py\n# why\n- a\n-     b\n+ c\nunit/test_a.py unit/test_b.py\n")
    assert fault == Fault("Safe: x", "a.py", "a\n    b", "c", ("unit/test_a.py", "unit/test_b.py"))
    assert fault.changed("xa\n    by") == "xcy"
    for source in ("", "a\n    b" * 2):
        with pytest.raises(ValueError, match=r"must be in a\.py once, found [02] times"):
            fault.changed(source)


def test_a_fault_needs_all_its_parts() -> None:
    with pytest.raises(ValueError, match="a fault has a promise, a file, a text and tests"):
        parse("Safe: x\na.py\n- a\n+ b")


@pytest.fixture
def clone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A repository with one module and one test."""
    module, test = tmp_path / PACKAGE / "module.py", tmp_path / "tests" / "test_module.py"
    for path in module, test:
        path.parent.mkdir(parents=True)
    (module.parent / "__init__.py").touch()
    module.write_text("ONE = 1\n")
    test.write_text(
        "import time\nfrom lembro.module import ONE\n"
        "def test_one():\n    while ONE == 3: time.sleep(1)\n    assert ONE == 1\n"
    )
    monkeypatch.setattr(faults, "ROOT", tmp_path)
    monkeypatch.setattr(faults, "RESULTS", tmp_path / ".artifacts" / "faults.json")
    return tmp_path


def fault_with(instead: str) -> Fault:
    return Fault("Safe: x", "module.py", "1", instead, ("test_module.py",))


def test_a_fault_is_noticed_if_a_test_fails(clone: Path) -> None:
    assert faults.attempt(fault_with("2"), ["test_module.py"]) == faults.NOTICED
    assert faults.attempt(fault_with("(1)"), ["test_module.py"]) == "passed"
    assert (clone / PACKAGE / "module.py").read_text() == "ONE = 1\n"


def test_a_run_that_times_out_is_not_noticed(clone: Path) -> None:
    assert faults.attempt(fault_with("3"), ["test_module.py"], 3.0).startswith("hung")


def test_a_fault_that_was_noticed_is_not_tried_again(
    clone: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    tried = []

    def attempt(fault: Fault, tests: tuple[str, ...]) -> str:
        tried.append(fault.instead)
        return faults.NOTICED if fault.instead == "2" else "passed"

    monkeypatch.setattr(faults, "attempt", attempt)
    chosen = [fault_with("2"), fault_with("(1)")]
    assert faults.try_all(chosen, 1, fresh=False) == 1
    assert "NOT NOTICED (passed): Safe: x" in capsys.readouterr().out
    assert faults.try_all(chosen, 1, fresh=False) == 1
    assert faults.try_all(chosen[:1], 1, fresh=False) == 0
    assert tried == ["2", "(1)", "(1)"]
    (clone / PACKAGE / "module.py").write_text("ONE = 1  # another text\n")
    assert faults.try_all(chosen[:1], 1, fresh=False) == 0
    assert faults.try_all(chosen[:1], 1, fresh=True) == 0
    assert tried[3:] == ["2", "2"]
