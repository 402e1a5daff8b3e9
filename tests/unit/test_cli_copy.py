"""The command ``lembro copy``."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from lembro import Record, SessionManager
from lembro.cli import main
from lembro.stores import SQLiteStore

LIVES: dict[str, Any] = {"idle": 1000.0, "life": 5000.0}
COPIED = "copied {} sessions; {} were there already, and {} were larger"


@pytest.fixture
def urls(tmp_path: Path) -> tuple[str, str]:
    return f"sqlite:///{tmp_path}/old.db", f"sqlite:///{tmp_path}/new.db"


def copy(urls: tuple[str, str]) -> int:
    return main(["copy", "--from", urls[0], "--to", urls[1]])


def test_nobody_is_logged_out(
    urls: tuple[str, str], capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    options: Any = {"idle_timeout": 60, "absolute_timeout": 600, "max_sessions_per_user": None}
    old = SessionManager(urls[0], **options)
    with SQLiteStore(tmp_path / "old.db") as store:
        store.add(b"k" * 32, Record(b"x", "bob", None, None, 3600.0), **LIVES)
    ids = [old.create({"number": number}, user_id="ana") for number in range(600)]
    old.close()
    assert copy(urls) == 0
    assert COPIED.format(601, 0, 0) in capsys.readouterr().out
    new = SessionManager(urls[1], **options)
    assert [new.get(each) for each in ids] == [{"number": number} for number in range(600)]
    assert len(new.user_sessions("ana")) == 600
    new.destroy(ids[0])
    new.close()
    assert main(["copy", "--from", urls[0], "--to", urls[1], "--json"]) == 0
    assert capsys.readouterr().out == '{"copied":1,"present":600,"too_large":0}\n'
    with SQLiteStore(tmp_path / "new.db") as store:
        [(_, found)] = store.of_user("bob")
        assert 3600 <= found.age < 3700
        found = store.of_user("ana")[0][1]
        assert 0 < found.idle_left <= 60
        assert 60 < found.life_left <= 600


def test_a_session_that_is_too_large_is_skipped(
    urls: tuple[str, str], capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    with SQLiteStore(tmp_path / "old.db") as store:
        store.add(b"k" * 32, Record(b"x" * 5000), **LIVES)
        store.add(b"l" * 32, Record(b"x", "ana", None, bytes(16)), **LIVES)
    assert copy((urls[0], f"{urls[1]}?max_session_size=4K")) == 0
    assert COPIED.format(1, 0, 1) in capsys.readouterr().out
    with SQLiteStore(tmp_path / "new.db") as store:
        [(key, found)] = store.all()
        assert (key, found.user, found.reputation) == (b"l" * 32, "ana", bytes(16))


@pytest.mark.parametrize(
    ("source", "target", "code", "error"),
    [
        ("memory:1M", "sqlite:///x.db", 2, "--from must be a store outside of the process"),
        ("sqlite:///x.db", "memory:", 2, "--to must be a store outside of the process"),
        ("redsi://:secret@h", "sqlite:///x.db", 2, "got 'redsi:'. Did you mean 'redis:'?"),
        ("sqlite:///typo.db", "sqlite:///x.db", 2, "typo.db' of the store does not exist"),
        ("sqlite:///old.db", "sqlite:////no/such/folder/x.db", 3, "cannot be opened"),
    ],
)
def test_a_url_that_cannot_be_copied_is_an_error(
    source: str,
    target: str,
    code: int,
    error: str,
    capsys: pytest.CaptureFixture[str],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(tmp_path)
    with SQLiteStore("old.db"):
        pass
    assert copy((source, target)) == code
    assert not Path("typo.db").exists()
    printed = capsys.readouterr().err
    assert error in printed
    assert "secret" not in printed


def test_a_target_that_does_not_answer_is_an_error_even_without_sessions(
    urls: tuple[str, str], capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    with SQLiteStore(tmp_path / "old.db"):
        assert copy((urls[0], "redis://u:secret@localhost:1/0")) == 3
    err = capsys.readouterr().err
    assert err.startswith("lembro: redis://localhost:1/0: ")
    assert "secret" not in err
    assert "503" not in err  # which is what an application does
