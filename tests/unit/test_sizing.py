"""``lembro size``: its output is true for a real store."""

from __future__ import annotations

import functools
import io
import json
import re
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pytest

from lembro import MemoryStore, SessionManager, size
from lembro._core import codec
from lembro.cli import capacity as sizing
from lembro.cli import main
from tests.support import ROOT

SAMPLE: dict[str, Any] = {
    "user_id": 12345,
    "name": "Ana Silva",
    "basket": "b5c1f7a1e0c94f3c8a3de23c2f1d77aa",
    "cart": [{"sku": "A-1001", "n": 1, "price": 1290}],
}
PAYLOAD = codec.encode({}, SAMPLE)
FILL = functools.cache(sizing.fill)


def rows(lines: list[str]) -> dict[str, list[str]]:
    """Return the cells of each row by its name."""
    found = {}
    for line in lines[1:]:
        name, *cells = [cell for cell in line.split("  ") if cell]
        found[name.strip()] = [cell.strip() for cell in cells]
    return found


def asked(
    *arguments: str,
    given: bytes,
    monkeypatch: pytest.MonkeyPatch,
) -> int:
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(given)))
    return main(["size", *arguments])


@pytest.fixture(autouse=True)
def filled_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Fill each store once only, because that takes most of the time."""
    monkeypatch.setattr(sizing, "fill", FILL)


# -- how many fit ----------------------------------------------------------------------------------


@pytest.mark.parametrize("user", [None, "user-1234"])
def test_the_number_of_sessions_is_what_an_application_can_store(user: str | None) -> None:
    store = MemoryStore("1M", clock=lambda: 0.0)
    manager = SessionManager(store)
    fewest = 10_000
    for n in range(6000):
        manager.create(SAMPLE, None if user is None else f"{n:09}")
        if n > 4000:
            fewest = min(fewest, store.length())
    store.close()
    fit = sizing.fill(PAYLOAD, 1 << 20, user)
    assert fit is not None
    assert fit.sessions == pytest.approx(fewest, rel=0.04)
    assert fit.used <= 1 << 20
    assert fit.each * fit.sessions == pytest.approx(fit.used, rel=0.01)


def test_a_larger_store_holds_proportionally_more() -> None:
    small, large = sizing.fill(PAYLOAD, 1 << 21), sizing.fill(PAYLOAD, 1 << 22)
    assert small is not None
    assert large is not None
    assert small.in_store_of(1 << 22) == pytest.approx(large.sessions, rel=0.04)


def test_a_session_of_a_user_takes_the_user_id_more() -> None:
    # The store has 2 MiB. In a smaller one, a whole segment is as large as the short user IDs.
    [nobody, short, long] = [
        sizing.fill(PAYLOAD, 1 << 21, user) for user in (None, "n" * 9, "n" * 200)
    ]
    assert nobody is not None
    assert short is not None
    assert long is not None
    assert nobody.each < short.each
    assert long.each - short.each == pytest.approx(191, abs=20)


@pytest.mark.parametrize(
    ("count", "payload", "filled", "user"),
    [
        pytest.param(1, PAYLOAD, 1 << 20, None, id="one"),
        pytest.param(500, PAYLOAD, 1 << 20, None, id="some"),
        pytest.param(500, PAYLOAD, 1 << 20, "user-1234", id="some who are logged in"),
        pytest.param(5, b"x" * 9000, 1 << 20, None, id="large ones"),
        pytest.param(3600, PAYLOAD, 1 << 20, None, id="many"),
    ],
)
def test_a_store_of_the_computed_size_holds_the_sessions(
    count: int, payload: bytes, filled: int, user: str | None
) -> None:
    whole = sizing.fill(payload, filled, user)
    assert whole is not None
    needed = size.parse(sizing.size_for(count, payload, whole, user))
    held = sizing.fill(payload, needed, user)
    assert held is not None
    assert held.sessions >= count
    least = max(1 << 16, 16 * len(payload), count * whole.each)
    assert needed < 1.35 * least  # two digits, rounded up


@pytest.mark.parametrize(
    ("number", "printed"),
    [
        (65_536, "64K"),
        (65_537, "65K"),
        (999 * 1024, "1000K"),
        (1_023_999, "1000K"),
        (1_024_001, "1M"),
        (7_321_180, "7M"),
        (7_350_000, "7.1M"),
        (100 << 20, "100M"),
        ((100 << 20) + 1, "110M"),
        (1 << 30, "1G"),
        (370 << 30, "370G"),
    ],
)
def test_a_size_is_rounded_up(number: int, printed: str) -> None:
    assert sizing._rounded_up(number) == printed
    assert size.parse(printed) >= number


def test_a_session_that_is_too_large_does_not_fit() -> None:
    assert sizing.fill(b"x" * 5000, 1 << 16) is None


# -- the output ------------------------------------------------------------------------------------


def test_the_table_has_a_column_for_each_kind_of_session(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sizing, "FILLED", 1 << 20)
    lines = list(sizing.report(SAMPLE))
    assert lines[0].split() == ["anonymous", "logged", "in"]
    table = rows(lines)
    assert list(table) == [
        "encoded",
        "stored",
        *(f"fit into {each}" for each in ("4M", "16M", "64M", "256M", "1G")),
    ]
    assert table["encoded"] == [f"{len(PAYLOAD)} bytes"] * 2
    fits = [sizing.fill(PAYLOAD, 1 << 20, user) for user in (None, sizing.USER)]
    assert table["stored"] == [f"{fit.each} bytes" for fit in fits if fit]
    for fit, printed in zip(fits, table["fit into 4M"], strict=True):
        assert fit is not None
        # rounded to two digits
        fitting = fit.in_store_of(4 << 20)
        assert 0 <= fitting - int(printed.replace(",", "")) < fitting / 10
    assert len({len(line) for line in lines}) == 1  # lines of equal length


def test_a_large_session_fits_only_into_a_large_store() -> None:
    lines = list(sizing.report({"text": "x" * 1_000_000}, [4 << 20, 64 << 20]))
    table = rows(lines[:-1])
    assert table["fit into 4M"] == ["too large", "too large"]
    assert table["fit into 64M"] == ["62", "62"]
    assert "max_session_size" in lines[-1]


def test_the_size_for_a_number_of_sessions(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sizing, "FILLED", 1 << 18)
    table = rows(list(sizing.report(SAMPLE, [1 << 18], counts=[20_000, 5])))
    assert list(table) == ["encoded", "stored", "fit into 256K", "20,000 need", "5 need"]
    assert table["5 need"] == ["64K", "64K"]
    for user, printed in zip((None, sizing.USER), table["20,000 need"], strict=True):
        whole = sizing.fill(PAYLOAD, 1 << 18, user)
        assert whole is not None
        assert printed == sizing.size_for(20_000, PAYLOAD, whole, user)
    assert list(rows(list(sizing.report(SAMPLE, [], counts=[9])))) == [
        "encoded",
        "stored",
        "9 need",
    ]


def test_a_few_large_sessions_need_a_store_that_accepts_their_size() -> None:
    lines = list(sizing.report({"text": "x" * 100_000}, [], counts=[3]))
    for printed in rows(lines[:-1])["3 need"]:
        assert 16 * 100_000 < size.parse(printed) < 16 * 110_000
    assert "max_session_size" in lines[-1]


def test_the_command_with_a_number_of_sessions(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sizing, "FILLED", 1 << 18)
    file = tmp_path / "session.json"
    file.write_text(json.dumps(SAMPLE), encoding="utf-8")
    assert main(["size", "--sessions", "20000", "--sessions", "5,000", str(file)]) == 0
    printed = capsys.readouterr().out.splitlines()
    assert printed == list(sizing.report(SAMPLE, [], counts=[20_000, 5000]))
    assert main(["size", "--sessions", "500", "--max-size", "64K", str(file)]) == 0
    printed = capsys.readouterr().out.splitlines()
    assert printed == list(sizing.report(SAMPLE, [1 << 16], counts=[500]))


def test_the_command_prints_json(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sizing, "FILLED", 1 << 18)
    command = ["--json", "--max-size", "256K", "--max-size", "64K", "--sessions", "500"]
    text = json.dumps({"text": "x" * 5000}).encode()
    assert asked(*command, given=text, monkeypatch=monkeypatch) == 0
    [line] = capsys.readouterr().out.splitlines()
    found = json.loads(line)
    table = rows(list(sizing.report(json.loads(text), [1 << 18, 1 << 16], counts=[500]))[:-1])
    assert table["fit into 64K"] == ["too large", "too large"]
    assert found == {
        "encoded": number(table["encoded"][0]),
        "stored": named(map(number, table["stored"])),
        "fit": [
            {"max_size": 1 << 18, "sessions": named(map(int, table["fit into 256K"]))},
            {"max_size": 1 << 16, "sessions": named([None, None])},
        ],
        "need": [{"sessions": 500, "max_size": named(map(size.parse, table["500 need"]))}],
    }


def named(pair: Iterable[int | None]) -> dict[str, int | None]:
    return dict(zip(("anonymous", "logged_in"), pair, strict=True))


def test_the_command_prints_the_table(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    text = json.dumps(SAMPLE)
    file = tmp_path / "session.json"
    file.write_text(text, encoding="utf-8")
    command = ["--max-size", "1M", "--max-size", "64k", "--user", "x" * 40]
    assert main(["size", str(file), *command]) == 0
    output = capsys.readouterr()
    assert output.out.splitlines() == list(sizing.report(SAMPLE, [1 << 20, 1 << 16], "x" * 40))
    assert output.err == ""
    for stdin in ([], ["-"]):
        assert asked(*stdin, *command, given=text.encode(), monkeypatch=monkeypatch) == 0
        assert capsys.readouterr() == output


# -- errors ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("given", "reason"),
    [
        (b"", "the sample is empty; give a session"),
        (b" \n", "the sample is empty; give a session"),
        (b'{"a": ', "the sample must be JSON ("),
        (b'{"a": NaN}', "the sample must be JSON ("),
        (b"\xff\xfe", "the sample must be JSON ("),
        (b'{"a": "\xff"}', "the sample must be JSON ("),
        (b'{"a": 1} {"b": 2}', "the sample must be JSON ("),
        (b"[1]", "got a list"),
        (b'"cart"', "got a string"),
        (b"17", "got a number"),
        (b"true", "got a boolean"),
        (b"null", "got null"),
        (b"{}", "an empty session is not stored"),
        (b'{"a":' * 110 + b"1" + b"}" * 110, "nested at most 100 levels deep"),
        (b'{"a":' * 100_000 + b"1" + b"}" * 100_000, "nested"),
    ],
)
def test_an_input_that_is_no_session_is_an_error(
    given: bytes,
    reason: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert asked(given=given, monkeypatch=monkeypatch) == 2
    output = capsys.readouterr()
    assert output.out == ""
    assert output.err.startswith("lembro: standard input: ")
    assert reason in output.err


def test_a_file_that_cannot_be_read_is_an_error(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["size", str(tmp_path / "no.json")]) == 2
    assert main(["size", str(tmp_path)]) == 2
    first, second = capsys.readouterr().err.splitlines()
    assert first == f"lembro: can't read {tmp_path / 'no.json'} (no such file or directory)"
    assert second.startswith(f"lembro: can't read {tmp_path} (")


@pytest.mark.parametrize(
    ("argument", "reason"),
    [
        (["--max-size", "4k"], "at least 64 KiB"),
        (["--max-size", "plenty"], "a size must be a whole number of bytes"),
        (["--sessions", "0"], "1 to 1,000,000,000"),
        (["--sessions", "many"], "1 to 1,000,000,000"),
        (["--sessions", "1000000001"], "1 to 1,000,000,000"),
        (["--user", ""], "1 to 256 bytes"),
        (["--user", "x" * 257], "1 to 256 bytes"),
    ],
)
def test_an_invalid_argument_is_an_error(
    argument: list[str], reason: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit, match="2"):
        main(["size", *argument])
    message = capsys.readouterr().err
    assert argument[0] in message
    assert reason in message


def test_the_table_has_five_sizes() -> None:
    assert [size.pretty(each) for each in sizing.SIZES] == ["4M", "16M", "64M", "256M", "1G"]


# -- the page --------------------------------------------------------------------------------------


def test_the_table_of_the_page_is_the_output_of_the_command() -> None:
    page = (ROOT / "docs" / "sizing.md").read_text(encoding="utf-8")
    [sample] = re.findall(r"```json\n(.*?)```", page, re.DOTALL)
    tables = re.findall(r"```text\n(.*?)```", page, re.DOTALL)
    data = sizing.read(sample.encode())
    asked_for: list[list[str]] = [
        list(sizing.report(data)),
        list(sizing.report(data, [], counts=[20_000])),
    ]
    for table, lines in zip(tables, asked_for, strict=True):
        documented, told = rows(table.splitlines()), rows(lines)
        assert documented.keys() == told.keys()
        assert documented["encoded"] == told["encoded"]
        for name in told.keys() - {"encoded"}:  # tables differ slightly between versions of Python
            for one, other in zip(documented[name], told[name], strict=True):
                assert number(one) == pytest.approx(number(other), rel=0.11), name


def number(cell: str) -> int:
    cell = cell.removesuffix(" bytes").replace(",", "")
    return int(cell) if cell.isdecimal() else size.parse(cell)
