"""The measured numbers of the README and the docs come from the record of the benches.

The text near a number names the bench that measures it.
"""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest

from bench import pauses, verdicts
from bench import record as records
from lembro import cli
from tests.support import ROOT
from tools import measured

RECORD = records.load()
VALUES = measured.values_of(RECORD)
PAGES = measured.pages()
DECISIONS = [page for page in PAGES if page.parent.name == "adr"]
OTHERS = [page for page in PAGES if page not in DECISIONS]


def named(page: Path) -> str:
    return str(page.relative_to(ROOT))


@pytest.mark.parametrize("page", PAGES, ids=named)
def test_a_page_shows_the_number_of_the_record(page: Path) -> None:
    text = page.read_text(encoding="utf-8")
    wrong = [
        f"{name}: {shown.strip()!r}, and the record has {VALUES[name]!r}"
        for name, shown in measured.MARK.findall(text)
        if shown.strip() != VALUES[name]
    ]
    assert not wrong, f"run `python -m tools.measured`: {wrong}"
    assert text == measured.filled(text, VALUES)
    assert text.count("<!-- measured") == len(measured.MARK.findall(text))


def test_every_number_of_the_record_is_on_a_page() -> None:
    shown = {name for page in PAGES for name, _ in measured.MARK.findall(page.read_text("utf-8"))}
    assert set(VALUES) - shown == set()


@pytest.mark.parametrize("page", PAGES, ids=named)
def test_a_mark_does_not_begin_a_line_of_a_paragraph(page: Path) -> None:
    """Markdown would treat the whole line as HTML."""
    for match in measured.MARK.finditer(page.read_text(encoding="utf-8")):
        before = match.string[: match.start()]
        assert before.endswith("\n\n") if before.endswith("\n") else before, match[1]
        assert ("\n" in match[2]) is before.endswith("\n"), match[1]


# -- the bench is named ----------------------------------------------------------------------------


def sections(text: str) -> list[str]:
    """Return the parts of a page between its headings of the second level."""
    return re.split(r"^## ", text, flags=re.MULTILINE)


def benches_named(text: str) -> set[str]:
    """Return the benches in the commands of a text."""
    commands = re.findall(r"`make\s+bench\s+ARGS=(?:\"([^\"]*)\"|([\w-]+))", text)
    commands += [(words, "") for words in re.findall(r"`python -m bench ([\w -]+)`", text)]
    soaks = re.findall(r"`make soak [^`]*`", text)
    soaked = {f"soak_{'sqlite' if 'sqlite' in soak else 'memory'}" for soak in soaks}
    return soaked | {word for command in commands for word in " ".join(command).split()}


@pytest.mark.parametrize("page", OTHERS, ids=named)
def test_the_bench_of_each_number_is_named_near_it(page: Path) -> None:
    for section in sections(page.read_text(encoding="utf-8")):
        wanted = {name.partition(".")[0] for name, _ in measured.MARK.findall(section)}
        assert wanted <= benches_named(section), section[:60]


# -- no number without a mark ----------------------------------------------------------------------

UNITS = (
    "µs|us|ms|ns|%|per cent|[KMG]i?B|microseconds?|milliseconds?|times|bytes (?:a|per)|per second"
)
NUMBER = re.compile(
    rf"(?<![\w./-])(?:1/\d[\d.]*|\d[\d.,]*(?: (?:to|and) \d[\d.,]*)?\s?(?:{UNITS})(?!\w)|\d+\.\d+)"
    r"(?![\d.]*\d)"
)
NOT_MEASURED = {
    "docs/deploy/health.md": {"80 %": "the limit of an alert"},
    "docs/deploy/kubernetes.md": {"1.30": "a version of Kubernetes"},
    "docs/express.md": {"20.19": "a version of Node"},
    "docs/flood.md": {"4 KiB": "a constant: failures/test_82 fills the store with larger ones"},
    "docs/memory.md": {
        "9 KiB": "a constant: unit/memory/test_ledger.py compares it",
        "1.3 times": "a constant: the addresses that are reserved",
        "4 MB": "the default of max_size",
    },
    "docs/options.md": {
        "64 KiB": "a constant: the smallest max_size",
        "1 MiB": "a constant: the default of max_session_size",
    },
    "docs/sizing.md": {
        "4 MB": "a constant of the command",
        "1 MiB": "a constant: the default of max_session_size",
    },
    "docs/sqlite.md": {
        "1 MiB": "a constant: the default of max_session_size",
        "4 MiB": "a constant: the longest log",
        "32 KiB": "a constant of SQLite",
    },
    "README.md": {"1 MiB": "a constant: the default of max_session_size"},
    "docs/stability.md": {"3.11": "a version", "3.14": "a version"},
    "docs/mongodb.md": {
        "5.0": "a version",
        "1 MiB": "the default of max_session_size",
        "15 MiB": "a constant: the largest max_session_size",
    },
    "docs/redis.md": {
        "6.2": "a version",
        "7.2": "a version",
        "1 MiB": "the default of max_session_size",
    },
    "docs/postgresql.md": {"1 MiB": "the default of max_session_size"},
    "docs/sql.md": {"10.11": "a version"},
    "docs/security.md": {"7.1": "a chapter of the ASVS", "7.6": "a chapter of the ASVS"},
}
"""Numbers that look measured, by page, with the reason why they are not."""

NOT_PROSE = re.compile(
    r"^```.*?^```"  # code
    r"|^    .*?$"
    r"|`[^`]*`"
    r"|\]\([^)\s]*\)"  # the target of a link
    r"|<!-- (numbers|scorecard: others) -->.*?<!-- /\w+ -->"  # made by other scripts
    r"|\b(?:C?Python|Django|lembro|cachelib|msgspec|since|before|lowest) \d+\.\d+\+?"  # versions
    rf"|(?<![\d.])0\.[12]\b(?!\.\d|\s?(?:{UNITS}))"  # versions of lembro
    r"|\b4 KB\b"  # the limit of browsers for a cookie
    r"|\d+\.\d+\.\d+",
    re.MULTILINE | re.DOTALL,
)


def measured_numbers(text: str) -> list[str]:
    """Find the numbers in prose that look measured, outside of the marks."""
    prose = NOT_PROSE.sub(" ", measured.MARK.sub(" ", text))
    return [" ".join(match[0].split()) for match in NUMBER.finditer(prose)]


@pytest.mark.parametrize("page", OTHERS, ids=named)
def test_no_measured_number_is_without_a_mark(page: Path) -> None:
    exempt = NOT_MEASURED.get(named(page), {})
    found = measured_numbers(page.read_text(encoding="utf-8"))
    assert [number for number in found if number not in exempt] == []


@pytest.mark.parametrize("page", DECISIONS, ids=named)
def test_a_decision_with_measured_numbers_names_their_source(page: Path) -> None:
    text = page.read_text(encoding="utf-8")
    limits = {"64 times"}  # a constant of decision 14
    if set(measured_numbers(text)) - limits:
        assert re.search(r"`(?:python -m|make) bench|\bmeasured\s+once\b|`tests/\S+\.py", text)


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("It takes 0.18 ms.", ["0.18 ms"]),
        ("It takes 2.7 to 4.3\ntimes as much.", ["2.7 to 4.3 times"]),
        ("lembro 0.9 (1/14 of it)", ["1/14"]),
        ("99.8 % of all, and 102 bytes a session", ["99.8 %", "102 bytes a"]),
        ("growth was 1.01, the worst", ["1.01"]),
        ("It takes `0.18 ms`, [a link](x/0.18) and Python 3.11.", []),
        ("```\n0.18 ms\n```\n", []),
        ("<!-- measured: a.b -->0.18 ms<!-- /measured -->", []),
        ("release 8.0.2, in 0.1. And 7 days.", []),
    ],
)
def test_a_number_that_looks_measured_is_found(text: str, found: list[str]) -> None:
    assert measured_numbers(text) == found


# -- times have their ratio ------------------------------------------------------------------------

TIME = re.compile(r"\d (?:µs|ms)$")
SENTENCE = re.compile(r"[.;|](?=\s)")


@pytest.mark.parametrize("page", OTHERS, ids=named)
def test_a_time_in_a_sentence_has_its_ratio(page: Path) -> None:
    text = page.read_text(encoding="utf-8")
    for sentence in SENTENCE.split(text):
        marks = dict(measured.MARK.findall(sentence))
        times = [name for name, value in marks.items() if TIME.search(value)]
        for name in times:
            assert any(other.startswith(f"{name}.") for other in marks), (name, sentence)


# -- the page about sizes --------------------------------------------------------------------------


def test_the_tables_of_sizes_are_the_output_of_the_command(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    text = (ROOT / "docs" / "sizing.md").read_text(encoding="utf-8")
    [session] = re.findall(r"```json\n(.*?)```", text, re.DOTALL)
    (tmp_path / "session.json").write_text(session, encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    commands = re.findall(r"^    lembro (size .*)$", text, re.MULTILINE)
    tables = re.findall(r"```text\n(.*?)```", text, re.DOTALL)
    for arguments, table in zip(commands, tables, strict=True):
        assert cli.main(arguments.split()) == 0
        assert capsys.readouterr().out == table


# -- the tool --------------------------------------------------------------------------------------


def test_ratios_are_computed_from_the_record() -> None:
    assert measured.ratio(1, 33.4) == "1/33"
    assert measured.ratio(6.2, 1) == "6.2 times"
    assert measured.ratio(1, 4) == "1/4.0"
    assert measured.ratio(-0.1, 4) == "nothing"
    assert measured.ratio(1, 0) == "theirs: nothing"
    assert measured.against(1, 2, "Beaker") == "1/2.0 of Beaker's"
    assert [measured.number(value) for value in (1234.5, 12.6, 1.26, 0.126, 0)] == [
        "1,234",
        "13",
        "1.3",
        "0.13",
        "0",
    ]
    assert measured.between([1.23, 1.24]) == "1.2"
    assert measured.between([1.2, 4.36]) == "1.2 to 4.4"


def test_a_value_of_several_lines_has_its_own_lines() -> None:
    text = "<!-- measured: a.b -->?<!-- /measured -->"
    filled = measured.filled(text, {"a.b": "| x |\n| - |"})
    assert filled == "<!-- measured: a.b -->\n\n| x |\n| - |\n\n<!-- /measured -->"
    assert measured.filled(filled, {"a.b": "2"}) == text.replace("?", "2")
    assert measured.filled(text, {"c.d": "2"}) == text  # the bench did not run
    with pytest.raises(KeyError):
        measured.filled(text, {"a.c": "2"})


def test_each_pause_is_compared_with_its_own_best_peer() -> None:
    """cachebox evicts fastest, and another library inserts fastest."""
    of = json.loads(json.dumps(RECORD["pauses"]))
    longest = {"insert while growing": 1.0, "evicting set": 1.0, "purge step": 1.0}
    of["longest"] = {
        "lembro": {**longest, pauses.MEANWHILE: 2.0},
        "cachetools TTLCache": {**longest, "insert while growing": 9.0, "purge step": 8.0},
        "cachebox TTLCache": {"insert while growing": 4.0, "evicting set": 0.5},
    }
    of["number"] = dict.fromkeys(of["longest"], 1000) | {"cachebox TTLCache": 250}
    values = dict(measured.pauses(of))
    assert values["insert.best"] == "1/4.0 of cachebox TTLCache's"
    assert values["evict.best"] == "2.0 times cachebox TTLCache's"
    assert values["meanwhile.cachetools"] == "1/4.0"
    assert "cachebox TTLCache, only 250" in values["table"]


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A project with one page, whose record has one bench."""
    (tmp_path / "docs").mkdir()
    page = "It does <!-- measured: threads.quotient -->?<!-- /measured --> of it.\n"
    (tmp_path / "README.md").write_text(page, encoding="utf-8")
    monkeypatch.setattr(measured, "ROOT", tmp_path)
    monkeypatch.setattr(verdicts, "ARTIFACTS", tmp_path / "bench")
    monkeypatch.setattr(records.load, "__defaults__", (tmp_path / "results.json",))
    monkeypatch.setattr(records.save, "__defaults__", (tmp_path / "results.json",))
    return tmp_path


def test_the_last_results_are_written_into_the_pages(
    project: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    verdicts.save("threads", True, [], {"quotient": 0.9123, "lost": 0})
    assert measured.main([]) == 0
    assert "threads: its last run was a quick one" in capsys.readouterr().out
    assert "?" in (project / "README.md").read_text(encoding="utf-8")


def test_a_quick_run_is_marked_as_one(project: Path) -> None:
    verdicts.save("threads", True, [], {"quotient": 0.9123, "lost": 0})
    (project / "README.md").write_text(
        "<!-- measured: threads.about -->?<!-- /measured -->", encoding="utf-8"
    )
    assert measured.main(["--quick"]) == 0
    assert "a quick run" in (project / "README.md").read_text(encoding="utf-8")
    assert measured.main(["--check"]) == 0


def test_a_page_that_differs_from_the_record_is_reported(
    project: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    verdicts.save("threads", False, [], {"quotient": 0.9123, "lost": 0})
    assert measured.main([]) == 0
    page = project / "README.md"
    assert ">0.91<" in page.read_text(encoding="utf-8")
    page.write_text(page.read_text(encoding="utf-8").replace("0.91", "0.99"), encoding="utf-8")
    assert measured.main(["--check"]) == 1
    assert "README.md: differs from the record" in capsys.readouterr().out
    assert ">0.99<" in page.read_text(encoding="utf-8")


# -- the record ------------------------------------------------------------------------------------


def test_the_record_has_every_bench_and_its_machine() -> None:
    assert set(RECORD) == set(records.SOURCES) == set(measured.BENCHES)
    for of in RECORD.values():
        assert all(key in of for key in records.ABOUT)
    assert records.PATH.stat().st_size < 20_000


def test_the_record_keeps_results_that_were_not_measured_again(project: Path) -> None:
    before: Any = {"flood": {"quick": False}}
    record, left = records.collected(before, quick=False)
    assert record == before
    assert len(left) == len(records.SOURCES)


def test_numbers_are_rounded_to_three_digits() -> None:
    assert [records.significant(value) for value in (1234.6, 0.12345, 0.0)] == [1230.0, 0.123, 0.0]
