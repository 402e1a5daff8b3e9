"""The mutants of a module, and the results of earlier runs."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.support import ROOT
from tools.mutant_results import Results
from tools.mutants import TESTS, listed, sampled
from tools.mutations import PACKAGE, Result, mutants_of


def changes(tmp_path: Path, source: str) -> list[str]:
    """Return the differences of two texts: before -> after."""
    path = tmp_path / "module.py"
    path.write_text(source)
    found = mutants_of("module.py", path)
    for mutant in found:
        mutant.compile()
    return [f"{mutant.scope or 'module'}: {mutant.before} -> {mutant.after}" for mutant in found]


def test_conditions_numbers_and_statements_are_changed(tmp_path: Path) -> None:
    source = '''
"""A docstring."""
from x import y
LIMIT: int = 3

class Box:
    def put(self, n: int = 1) -> bool:
        """A docstring."""
        assert n > 1
        if n < LIMIT and self.open:
            self.n += n
            return True
        raise ValueError(f"{n} is 2 much")
'''
    assert changes(tmp_path, source) == [
        "module: LIMIT: int = 3 -> LIMIT: int = 4",
        "module: def put(self, n: int=1) -> bool: -> def put(self, n: int=2) -> bool:",
        "Box.put: if n < LIMIT and self.open: -> if not (n < LIMIT and self.open):",
        "Box.put: if n < LIMIT and self.open: -> if n < LIMIT or self.open:",
        "Box.put: if n < LIMIT and self.open: -> if n <= LIMIT and self.open:",
        "Box.put: self.n += n -> pass",
        "Box.put: self.n += n -> self.n -= n",
        "Box.put: return True -> return None",
        "Box.put: return True -> return False",
        "Box.put: raise ValueError(f'{n} is 2 much') -> pass",
    ]


def test_two_equal_lines_have_different_names(tmp_path: Path) -> None:
    source = "def f(x):\n    g(x)\n    h(x)\n    g(x)\n"
    assert changes(tmp_path, source) == [
        "f: g(x) -> pass",
        "f: h(x) -> pass",
        "f: g(x) -> pass  # 2",
    ]


def test_a_mutant_has_one_change(tmp_path: Path) -> None:
    path = tmp_path / "module.py"
    path.write_text("def f(a, b):\n    return a + (a < b)\n")
    results = []
    for mutant in mutants_of("module.py", path):
        names: dict[str, object] = {}
        exec(mutant.compile(), names)
        f = names["f"]
        assert callable(f)
        results.append((f(1, 2), f(2, 2)))
    assert results == [(None, None), (0, 2), (2, 3)]


def test_each_survivor_of_the_list_has_its_reason() -> None:
    reasons = listed()
    for name, reason in reasons.items():
        where, before, after = name.split("\n")
        assert where.partition(".py: ")[0] in TESTS
        assert before.startswith("- ")
        assert after.startswith("+ ")
        assert reason, name


@pytest.mark.parametrize("module", TESTS)
def test_the_tests_of_a_module_exist(module: str) -> None:
    assert (PACKAGE / f"{module}.py").is_file()
    assert TESTS[module]
    for test in TESTS[module]:
        assert (ROOT / test).is_file()


@pytest.mark.parametrize("folder", ["_core", "_http", "_runtime", "migrate", "stores/memory"])
def test_every_module_of_these_folders_has_mutants(folder: str) -> None:
    found = {path.stem for path in (PACKAGE / folder).glob("*.py")} - {"__init__", "audit"}
    assert found == {Path(module).name for module in TESTS if str(Path(module).parent) == folder}


def test_a_sample_is_the_same_for_a_seed() -> None:
    mutants = mutants_of("_core/merge.py", PACKAGE / "_core" / "merge.py")
    sample = sampled(mutants, 30, "a")
    assert 0 < len(sample) < len(mutants)
    assert sampled(mutants[::-1], 30, "a") == sample[::-1]
    assert sampled(mutants, 30, "b") != sample
    assert sampled(mutants, 100, "a") == mutants
    assert sampled(mutants, 0, "a") == []


def test_a_result_counts_until_its_texts_change(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    texts = {"a.py": "1", "b.py": "1"}
    monkeypatch.setattr("tools.mutant_results._digest_of_file", lambda path: texts.get(path, "m"))
    killed, survived = mutants_of("_core/merge.py", PACKAGE / "_core" / "merge.py")[:2]
    tests, path = ("a.py", "b.py"), tmp_path / "results"
    results = Results(path)
    assert results.get(killed, tests) is None
    results.add(Result(killed, survived=False, by="a.py::test"), tests)
    results.add(Result(survived, survived=True, by=""), tests)
    again = Results(path)
    assert again.get(killed, tests) == Result(killed, survived=False, by="a.py::test")
    assert again.get(survived, tests) == Result(survived, survived=True, by="")
    texts["b.py"] = "2"  # another test, which may notice the survivor
    assert again.get(killed, tests) == Result(killed, survived=False, by="a.py::test")
    assert again.get(survived, tests) is None
    texts["a.py"] = "2"
    assert again.get(killed, tests) is None
    assert Results(path, fresh=True).get(survived, tests) is None
