"""The scorecard of docs/security.md is complete, and each test that it names exists."""

from __future__ import annotations

import ast
import re
from functools import cache
from pathlib import Path

import pytest

from tests.support import ROOT

V7 = {1: 3, 2: 4, 3: 2, 4: 5, 5: 3, 6: 2}
"""The number of requirements in each section of chapter V7 of ASVS 5.0.0."""
REQUIREMENTS = [f"7.{section}.{number + 1}" for section, n in V7.items() for number in range(n)]
REQUIREMENTS += [f"3.3.{number}" for number in range(1, 6)]
EVERYBODYS_OWN = {"7.1.1", "7.1.2", "7.1.3", "7.4.4", "7.6.1", "7.6.2"}
"""The requirements that no package can decide."""

TEXT = (ROOT / "docs" / "security.md").read_text(encoding="utf-8")
PAGES = sorted((ROOT / "docs").rglob("*.md"))
_TEST = re.compile(r"`([\w/]+\.py)::(\w+)`")


def rows(scorecard: str) -> list[list[str]]:
    """The rows of the tables between the marks of a scorecard."""
    [text] = re.findall(
        rf"<!-- scorecard: {scorecard} -->(.*?)<!-- /scorecard -->", TEXT, re.DOTALL
    )
    lines = [line for line in text.splitlines() if re.match(r"\| \d", line)]
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in lines]


@cache
def names_in(path: str) -> set[str]:
    tree = ast.parse((ROOT / "tests" / path).read_text(encoding="utf-8"))
    kinds = (ast.FunctionDef, ast.AsyncFunctionDef)
    return {node.name for node in ast.walk(tree) if isinstance(node, kinds)}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_each_test_that_a_page_names_exists(page: Path) -> None:
    named = _TEST.findall(page.read_text(encoding="utf-8"))
    missing = [f"{path}::{name}" for path, name in named if name not in names_in(path)]
    assert not missing


def test_the_page_names_tests() -> None:
    assert len(_TEST.findall(TEXT)) > 20


def test_every_requirement_has_its_row() -> None:
    assert [row[0] for row in rows("lembro")] == REQUIREMENTS


def verdicts() -> dict[str, str]:
    found = {}
    for number, _, lembro in rows("lembro"):
        verdict = re.match(r"\*\*(default|call|application)\*\*", lembro)
        assert verdict is not None, number
        found[number] = verdict[1]
    return found


def test_a_verdict_that_holds_names_its_tests() -> None:
    shown = rows("tests")
    assert all(re.sub(_TEST, "", tests).strip(" ,") == "" for _, tests in shown)
    numbers = [number for number, _ in shown]
    holds = {number for number, verdict in verdicts().items() if verdict != "application"}
    assert numbers == sorted(set(numbers), key=REQUIREMENTS.index)
    assert holds <= set(numbers)


def test_the_other_libraries_have_the_same_rows_and_a_source() -> None:
    ours = verdicts()
    others = rows("others")
    assert [row[0] for row in others] == [n for n in REQUIREMENTS if n not in EVERYBODYS_OWN]
    for number, lembro, *cells in others:
        assert lembro.split(",")[0] == ours[number]
        assert len(cells) == 4
        for cell in cells:
            assert re.search(r" · (ran|read)$", cell), (number, cell)
