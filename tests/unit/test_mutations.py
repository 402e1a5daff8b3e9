"""What `make mutants` makes of a module."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.support import ROOT
from tools.mutants import TESTS, listed
from tools.mutations import mutants_of


def changes(tmp_path: Path, source: str) -> list[str]:
    """Where something is other than it was: before -> after."""
    path = tmp_path / "module.py"
    path.write_text(source)
    found = mutants_of("module.py", path)
    for mutant in found:
        mutant.compile()
    return [f"{mutant.scope or 'module'}: {mutant.before} -> {mutant.after}" for mutant in found]


def test_conditions_numbers_and_statements(tmp_path: Path) -> None:
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


def test_the_same_line_twice_has_two_names(tmp_path: Path) -> None:
    source = "def f(x):\n    g(x)\n    h(x)\n    g(x)\n"
    assert changes(tmp_path, source) == [
        "f: g(x) -> pass",
        "f: h(x) -> pass",
        "f: g(x) -> pass  # 2",
    ]


def test_a_mutant_is_the_module_with_one_thing_wrong(tmp_path: Path) -> None:
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
def test_its_tests_are_there(module: str) -> None:
    assert (ROOT / "src" / "lembro" / f"{module}.py").is_file()
    for test in TESTS[module].split():
        assert (ROOT / "tests" / test).is_file()
