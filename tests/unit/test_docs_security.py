"""The claims and the scorecard of docs/security.md: complete, and each named test exists."""

from __future__ import annotations

import ast
import re
from base64 import urlsafe_b64decode
from functools import cache
from pathlib import Path

import pytest

from lembro import SessionOptions
from lembro.ids import new_id
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


def claims_of(heading: str) -> tuple[list[str], dict[str, str]]:
    """The claims of a section, which begin its list items, and the tests of each in its table."""
    section = TEXT.partition(f"\n## {heading}\n")[2].partition("\n## ")[0]
    text, _, table = section.partition("<!-- claims -->")
    tests = dict(re.findall(r"^\| (.+?) \| (`.+?) \|$", table, re.MULTILINE))
    return re.findall(r"^- \*\*(.+?)\.?\*\*", text, re.MULTILINE), tests


def test_each_claim_about_ids_and_cookies_names_its_tests() -> None:
    claims, tests = claims_of("How session IDs are made, sent and stored")
    assert len(claims) > 5
    assert claims == list(tests)
    assert all(_TEST.search(named) for named in tests.values())


def test_each_limit_that_lembro_answers_for_names_its_tests() -> None:
    limits, tests = claims_of("What lembro does not protect from")
    nothing_to_test = {"Access to the process's memory", "Guessed passwords, weak second factors"}
    assert [limit for limit in limits if limit not in nothing_to_test] == list(tests)
    assert all(_TEST.search(named) for named in tests.values())


def test_the_numbers_of_the_scorecard_are_the_defaults() -> None:
    cells = {number: lembro for number, _, lembro in rows("lembro")}
    options = SessionOptions()
    day = 24 * 3600
    assert options.at_max_sessions == "oldest"
    assert f"by default {options.max_sessions_per_user}, and the oldest" in cells["7.1.2"]
    assert options.idle_timeout == day
    assert "`idle_timeout`, 1 day" in cells["7.3.1"]
    assert f"`absolute_timeout`, {(options.absolute_timeout or 0) / day:.0f} days" in cells["7.3.2"]
    assert f"{len(urlsafe_b64decode(new_id() + '=')) * 8} bits" in cells["7.2.3"]


def test_the_others_have_the_same_rows_and_say_how_it_was_checked() -> None:
    ours = verdicts()
    others = rows("others")
    assert [row[0] for row in others] == [n for n in REQUIREMENTS if n not in EVERYBODYS_OWN]
    for number, lembro, *cells in others:
        assert lembro.split(",")[0] == ours[number]
        assert len(cells) == 4
        for cell in cells:
            assert re.search(r" · (ran|read)$", cell), (number, cell)
