"""The commands ``lembro sessions`` and ``lembro ping``, over real stores."""

from __future__ import annotations

import io
import json
import signal
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from math import inf
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from lembro import ConfigError, Record, StoreError
from lembro._core import codec
from lembro._core.user_sessions import CACHE_ENTRY
from lembro.cli import exits, main, output
from lembro.ids import handle_for
from lembro.stores import SQLiteStore, from_url
from lembro.stores.urls import VARIABLE
from tests.support.servers import free_port, mariadb, mongo, postgres, redis
from tests.support.servers.databases import new_table

LIVES: dict[str, Any] = {"idle": 3600.0, "life": 86400.0}
META: codec.Meta = {"device": b"Firefox on Linux", "ip": b"203.0.113.9"}
OLD, NEW, OTHER = b"\xfb" * 32, b"n" * 32, b"o" * 32
HANDLE = handle_for(OLD)  # it begins with a hyphen
DATA = {"cart": [1, (2, 3)], "map": {None: 1, True: {4}}}


class Done(NamedTuple):
    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        return json.loads(self.out)

    @property
    def lines(self) -> list[Any]:
        return [json.loads(line) for line in self.out.splitlines()]


def url_of(kind: str, folder: Path) -> str:
    """Return the URL of an empty store, with a deadline that suits a busy machine."""
    match kind:
        case "redis":
            return f"{redis.shared().url}?prefix={redis.new_prefix()}&timeout=10"
        case "postgresql":
            return f"{postgres.shared().url()}?table={new_table()}&timeout=10"
        case "mysql":
            return f"{mariadb.shared().url()}?table={new_table()}&timeout=10"
        case "mongodb":
            return f"{mongo.shared().url}?collection={mongo.new_collection()}&timeout=10"
    return f"sqlite:///{folder}/sessions.db"


@pytest.fixture
def command(capsys: pytest.CaptureFixture[str]) -> Any:
    """Return a function that runs a command."""

    def run(*words: str) -> Done:
        try:
            code: Any = main(list(words))
        except SystemExit as end:
            code = end.code
        out, err = capsys.readouterr()
        return Done(code, str(out), str(err))

    return run


def fill(url: str) -> Any:
    """Return the store of a URL, with two sessions of a user and one of a visitor."""
    store = from_url(url)
    store.add(OLD, Record(codec.encode(META, DATA), "ana", None, None, 7200.0), **LIVES)
    store.add(NEW, Record(codec.encode({}, {"n": 1}), "ana"), idle=3600.0, life=inf)
    store.add(OTHER, Record(codec.encode({}, {"secret": 1})), idle=60.0, life=inf)
    return store


def multiply(folder: Path, number: int) -> None:
    """Copy each record of the file, many times, under other keys."""
    rows = sqlite3.connect(folder / "sessions.db")
    columns = [row[1] for row in rows.execute("pragma table_info(lembro_sessions)")][2:]
    names = ", ".join(columns)
    rows.execute(
        f"with recursive n(i) as (select 1 union all select i + 1 from n where i < {number}) "
        f"insert into lembro_sessions (skey, {names}) select randomblob(32), {names} "
        f"from lembro_sessions, n"
    )
    rows.commit()
    rows.close()


@pytest.fixture
def empty(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[SQLiteStore]:
    """Return an empty store, which the environment names."""
    url = url_of("sqlite", tmp_path)
    monkeypatch.setenv(VARIABLE, url)
    with SQLiteStore(tmp_path / "sessions.db") as store:
        yield store


@pytest.fixture(params=["sqlite", "redis", "postgresql"])
def store(
    request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Any]:
    """Return a store of each kind with three sessions, which the environment names."""
    url = url_of(request.param, tmp_path)
    monkeypatch.setenv(VARIABLE, url)
    store = fill(url)
    yield store
    store.close()


# -- what each command does ------------------------------------------------------------------------


def test_list_prints_each_session_without_its_data(store: Any, command: Any) -> None:
    done = command("sessions", "list")
    head, *rows = sorted(done.out.splitlines(), key=lambda line: not line.startswith("HANDLE"))
    assert head.split("  ")[0] == "HANDLE"
    assert {row.split()[0] for row in rows} == set(map(handle_for, (OLD, NEW, OTHER)))
    [old] = [row for row in rows if row.startswith(HANDLE)]
    assert "2h 0m" in old
    assert old.endswith("203.0.113.9  Firefox on Linux  ana")
    assert "secret" not in done.out
    lines = command("sessions", "list", "--json").lines
    [line] = [line for line in lines if line["handle"] == handle_for(OTHER)]
    assert 0 < line.pop("expires_in") <= 60
    assert 0 <= line.pop("age") < 60
    expected = {"user_id": None, "ends_in": None, "device": "", "address": ""}
    assert line == {"handle": handle_for(OTHER), **expected}
    assert len(lines) == 3


def test_list_of_a_user_begins_with_the_oldest(store: Any, command: Any) -> None:
    done = command("sessions", "list", "--user", "ana", "--json")
    assert [line["handle"] for line in done.lines] == [HANDLE, handle_for(NEW)]


def test_show_prints_one_session_with_its_data(store: Any, command: Any) -> None:
    done = command("sessions", "show", HANDLE)
    assert done.out.startswith(f"handle      {HANDLE}\nuser        ana\nage         2h 0m\n")
    data = {"cart": [1, [2, 3]], "map": {"null": 1, "true": [4]}}
    assert json.loads(done.out.partition("\n\n")[2]) == data
    done = command("sessions", "show", HANDLE, "--json")
    assert done.json["data"] == data
    assert done.json["size"] == len(codec.encode(META, DATA))


def test_revoke_ends_one_session(store: Any, command: Any) -> None:
    assert command("sessions", "revoke", HANDLE) == Done(
        0, f"ended the session {HANDLE} of the user ana\n", ""
    )
    assert store.get(OLD) is None
    done = command("sessions", "revoke", HANDLE)
    assert (done.code, done.out) == (1, "")
    assert done.err.startswith(f"lembro: no session has the handle {HANDLE}.")
    assert command("sessions", "revoke", handle_for(OTHER), "--json").json["user_id"] is None
    assert store.length() == 1


def test_revoke_user_ends_all_sessions_of_a_user(store: Any, command: Any) -> None:
    done = command("sessions", "revoke-user", "ana", "--json")
    assert done.json["user_id"] == "ana"
    assert set(done.json["handles"]) == {HANDLE, handle_for(NEW)}
    assert [key for key, _ in store.all()] == [OTHER]
    store.add(NEW, Record(b"x", "bob"), **LIVES)
    assert command("sessions", "revoke-user", "bob").out == "ended 1 session of the user bob\n"


def test_export_prints_everything_about_a_user(store: Any, command: Any) -> None:
    done = command("sessions", "export", "--user", "ana")
    assert done.json["user_id"] == "ana"
    old, new = done.json["sessions"]
    assert old["began_at"] < new["began_at"] <= done.json["exported_at"] < old["expires_at"]
    assert (old["device"], old["address"]) == ("Firefox on Linux", "203.0.113.9")
    assert old["data"]["cart"] == [1, [2, 3]]
    assert (new["data"], new["ends_at"]) == ({"n": 1}, None)


def test_stats_counts_the_sessions(store: Any, command: Any) -> None:
    assert "sessions  3\n" in command("sessions", "stats").out
    done = command("sessions", "stats", "--json")
    assert done.json["sessions"] == 3
    assert done.json["used"] > 0
    assert done.json["store"] == repr(store)[1:-1]


def test_ping_prints_the_time_of_an_answer(store: Any, command: Any) -> None:
    done = command("ping")
    assert done.out.startswith(f"{repr(store)[1:-1]} answers in ")
    assert command("ping", "--json").json["seconds"] < 10
    assert "secret" not in done.out


@pytest.mark.parametrize("kind", ["mysql", "mongodb"])
def test_the_commands_work_over_other_servers(kind: str, command: Any, tmp_path: Path) -> None:
    url = url_of(kind, tmp_path)
    store = fill(url)
    named = "--store", url
    assert len(command("sessions", "list", *named, "--json").lines) == 3
    assert command("sessions", "show", HANDLE, *named, "--json").json["user_id"] == "ana"
    assert command("sessions", "revoke", HANDLE, *named).code == 0
    assert command("sessions", "revoke-user", "ana", *named).code == 0
    assert command("sessions", "purge", *named).code == 0
    assert command("sessions", "stats", *named, "--json").json["sessions"] == 1
    assert command("ping", *named).code == 0
    store.close()


def test_purge_removes_the_expired_sessions(command: Any, tmp_path: Path) -> None:
    url = url_of("sqlite", tmp_path)
    with SQLiteStore(tmp_path / "sessions.db", clock=lambda: 1000.0) as store:
        for number in range(3):
            store.add(bytes([number]) * 32, Record(b"x"), idle=1.0, life=1.0)
    multiply(tmp_path, 500)
    assert command("sessions", "purge", "--store", url).out == "removed 1,503 expired sessions\n"
    assert command("sessions", "purge", "--store", url, "--json").json == {"removed": 0}


# -- records that are unusual ----------------------------------------------------------------------


def test_an_empty_store_is_no_error(empty: Any, command: Any) -> None:
    assert command("sessions", "list") == Done(0, "", "lembro: the store has no sessions\n")
    assert command("sessions", "list", "--json") == Done(0, "", "")


@pytest.mark.parametrize(
    "words",
    [("list", "--user"), ("revoke-user",), ("export", "--user"), ("list", "--json", "--user")],
)
def test_a_user_without_sessions_has_its_own_exit_code(
    words: tuple[str, ...], empty: Any, command: Any
) -> None:
    done = command("sessions", *words, "bob")
    assert done == Done(1, "", "lembro: the user 'bob' has no sessions\n")


def test_data_that_cannot_be_read_are_reported(empty: Any, command: Any) -> None:
    empty.add(OLD, Record(b"\x07?", "ana"), **LIVES)
    assert command("sessions", "list").code == 0
    done = command("sessions", "show", HANDLE, "--json")
    assert done.json["data"] is None
    assert done.err.startswith("lembro: the data cannot be read: the record has an unknown format")


def test_the_entries_of_a_cache_are_not_listed(empty: Any, command: Any) -> None:
    empty.add(OLD, Record(CACHE_ENTRY + b"x"), **LIVES)
    assert command("sessions", "list", "--json").out == ""
    assert command("sessions", "revoke", HANDLE).code == 1


def test_hostile_text_cannot_control_the_terminal(empty: Any, command: Any) -> None:
    meta: codec.Meta = {"device": b"\x1b[2J" * 50, "ip": b"\n"}
    empty.add(OLD, Record(codec.encode(meta, {"x": "\x1b[2J"}), "\x1b[31m\n"), **LIVES)
    for words in (["list"], ["list", "--json"], ["show", HANDLE], ["revoke", HANDLE]):
        done = command("sessions", *words)
        assert done.out
        assert done.out.replace("\n", "").isprintable()
    assert "\x1b" not in command("sessions", "revoke-user", "\x1b").err


def test_json_escapes_characters_that_control_a_terminal(empty: Any, command: Any) -> None:
    texts = ["\x7f", "\x9b31m", "\u202e", "\U000e0001", "\u00e9\U0001f36a"]
    meta: codec.Meta = {"device": "\x9b31m".encode()}
    empty.add(OLD, Record(codec.encode(meta, {"x": texts, "\x9b": 1}), "\x9b31m"), **LIVES)
    for words in (
        ["list", "--json"],
        ["show", HANDLE],
        ["show", HANDLE, "--json"],
        ["export", "--user", "\x9b31m"],
    ):
        assert command("sessions", *words).out.replace("\n", "").isprintable()
    done = command("sessions", "show", HANDLE, "--json")
    assert done.json["data"] == {"x": texts, "\x9b": 1}
    assert "\u00e9\U0001f36a" in done.out


@pytest.mark.parametrize("encoding", ["ascii", "latin-1", "cp1252"])
def test_json_is_valid_in_every_encoding(encoding: str, monkeypatch: pytest.MonkeyPatch) -> None:
    raw = io.BytesIO()
    monkeypatch.setattr(sys, "stdout", io.TextIOWrapper(raw, encoding=encoding))
    output.print_json({"cart": "\u00e9\U0001f36a"})
    sys.stdout.flush()
    assert json.loads(raw.getvalue().decode(encoding)) == {"cart": "\u00e9\U0001f36a"}


def test_an_error_of_a_server_cannot_control_the_terminal(
    capsys: pytest.CaptureFixture[str],
) -> None:
    def fail() -> int:
        raise StoreError("the server answers: \x1b[2J\n\x9b31m")

    assert exits.run(fail) == 3
    assert capsys.readouterr().err == "lembro: the server answers: \\x1b[2J \\x9b31m\n"


def test_a_session_that_ends_meanwhile_is_not_found(
    empty: Any, command: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    empty.add(OLD, Record(b"x", "ana"), **LIVES)
    monkeypatch.setattr(SQLiteStore, "destroy", lambda self, key, expected=None: None)
    assert command("sessions", "revoke", HANDLE).code == 1


# -- wrong commands and failing stores -------------------------------------------------------------


@pytest.mark.parametrize(
    ("words", "error"),
    [
        (["show", "abc"], "must be a handle of 12 characters"),
        (["revoke", "x" * 43], "a session ID is a secret: do not type it"),
        (["list", "x" * 43], "unrecognized arguments: ..."),
        (["list", "--user", ""], "must be a user ID of 1 to 256 bytes"),
        (["list", "--user", "\udcff"], "must be a user ID in UTF-8"),
        (["list", "--stor=redis://:hunter2@h"], "unrecognized arguments: --stor=redis://..."),
        (["redis://:hunter2@h"], "invalid choice: 'redis://..."),
        (["list", "--store", "redsi://:hunter2@h"], "got 'redsi:'. Did you mean 'redis:'?"),
        (["list", "--store", "redis://:hunter2@h/0?timeot=1"], "has no parameter 'timeot'"),
        (["list", "--store", "memory:4M"], "--store must be a store outside of the process"),
        (["list", "--store", "sqlite:///no.db"], "no.db' of the store does not exist"),
        (["list"], "no store is given. Set LEMBRO_STORE"),
    ],
)
def test_a_wrong_command_is_an_error_without_a_secret(
    words: list[str], error: str, command: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv(VARIABLE, raising=False)
    done = command("sessions", *words)
    assert (done.code, done.out) == (2, "")
    assert error in done.err
    assert "hunter2" not in done.err
    assert "x" * 43 not in done.err


def test_an_error_of_the_environment_names_the_variable(
    command: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(VARIABLE, "redsi://:hunter2@h")
    done = command("ping")
    assert done.err.startswith(
        "lembro: the environment variable LEMBRO_STORE: the store's URL must"
    )
    assert "hunter2" not in done.err
    monkeypatch.setenv(VARIABLE, "memory:4M")
    assert "LEMBRO_STORE must be a store outside of the process" in command("ping").err


@pytest.mark.parametrize("words", [["ping"], ["sessions", "stats"], ["sessions", "export"]])
@pytest.mark.parametrize("scheme", ["redis", "postgresql", "mysql", "mongodb"])
def test_a_server_that_does_not_answer_is_one_line(
    words: list[str], scheme: str, command: Any
) -> None:
    if words[-1] == "export":
        words = [*words, "--user", "ana"]
    done = command(*words, "--store", f"{scheme}://ana:hunter2@127.0.0.1:{free_port()}/0")
    assert (done.code, done.out) == (3, "")
    assert done.err.startswith(f"lembro: {scheme}://127.0.0.1:")
    assert done.err.count("\n") == 1
    assert "hunter2" not in done.err


def test_a_password_that_the_server_rejects_is_a_failure_of_the_store(command: Any) -> None:
    url = redis.shared().url.replace("redis://", "redis://:hunter2@")
    done = command("ping", "--store", url)
    assert done.code == 3
    assert "rejects the credentials" in done.err
    assert "hunter2" not in done.err


def test_a_warning_of_the_store_is_printed(command: Any) -> None:
    server = redis.RedisServer(maxmemory="100mb", maxmemory_policy="allkeys-lru")
    try:
        done = command("ping", "--store", f"{server.url}?timeout=10")
    finally:
        server.remove()
    assert done.code == 0
    assert "maxmemory-policy is allkeys-lru" in done.err


# -- the output ------------------------------------------------------------------------------------


def test_a_long_list_is_printed_while_it_is_read(
    empty: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = fill("sqlite:///" + empty.path).get(OLD)
    read = most = 0

    def many(_: Any) -> Iterator[Any]:
        nonlocal read
        for read in range(1, 1001):  # noqa: B007 - the output counts
            yield OLD, found

    class Lines(io.StringIO):
        printed = 0

        def write(self, text: str) -> int:
            nonlocal most
            self.printed += text.count("\n")
            most = max(most, read - self.printed)
            return len(text)

    monkeypatch.setattr(SQLiteStore, "all", many)
    lines = Lines()
    monkeypatch.setattr(sys, "stdout", lines)
    assert main(["sessions", "list"]) == 0
    assert (read, lines.printed) == (1000, 1001)
    assert most <= output.FIRST_ROWS + 1


@pytest.fixture
def long_list(tmp_path: Path) -> Iterator[subprocess.Popen[str]]:
    """Return a command whose output is longer than a pipe. Its first line was read."""
    with SQLiteStore(tmp_path / "sessions.db") as store:
        store.add(OLD, Record(b"x", "ana" * 40), **LIVES)
    multiply(tmp_path, 1500)
    url = url_of("sqlite", tmp_path)
    argv = [sys.executable, "-m", "lembro", "sessions", "list", "--store", url]
    pipes: Any = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
    # A shell starts a background job, such as the tests, with SIGINT ignored.
    handler = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        process = subprocess.Popen(argv, **pipes)
    finally:
        signal.signal(signal.SIGINT, handler)
    with process:
        assert process.stdout is not None
        assert process.stdout.readline().startswith("HANDLE")  # no limit: the process has one
        yield process


def test_a_reader_that_ends_is_no_error(long_list: Any) -> None:
    long_list.stdout.close()
    assert long_list.wait(30) == 141
    assert long_list.stderr.read() == ""


def test_ctrl_c_ends_a_command_with_one_line(long_list: Any) -> None:
    long_list.send_signal(signal.SIGINT)
    _, err = long_list.communicate(timeout=30)
    assert (long_list.returncode, err) == (130, "lembro: interrupted\n")


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="only Linux has /dev/full")
def test_output_that_cannot_be_written_is_an_error() -> None:
    with open("/dev/full", "w", encoding="ascii") as full:
        done = subprocess.run(
            [sys.executable, "-m", "lembro", "schema", "--dialect", "postgresql"],
            stdout=full,
            stderr=subprocess.PIPE,
            text=True,
            timeout=60,
            check=False,
        )
    assert done.returncode == 3
    assert done.stderr == "lembro: [Errno 28] No space left on device\n"


def test_a_letter_that_the_terminal_lacks_is_escaped(monkeypatch: pytest.MonkeyPatch) -> None:
    raw = io.BytesIO()
    monkeypatch.setattr(sys, "stdout", io.TextIOWrapper(raw, encoding="ascii"))

    def command() -> int:
        print("\u00e9")
        return 0

    assert exits.run(command) == 0
    assert raw.getvalue() == b"\\xe9\n"


def test_an_unexpected_error_is_shown_and_is_not_taken_for_a_missing_session(
    capsys: pytest.CaptureFixture[str],
) -> None:
    def wrong() -> int:
        raise ConfigError("lembro: wrong")

    assert exits.run(wrong) == 2
    assert capsys.readouterr().err == "lembro: wrong\n"
    assert exits.run(lambda: 1 // 0) == 3
    assert "ZeroDivisionError" in capsys.readouterr().err


def test_a_closed_output_is_no_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stdout", None)
    monkeypatch.setattr(sys, "stderr", None)

    def command() -> int:
        print(sys.stdout.encoding, sys.stderr.isatty())
        return 0

    assert exits.run(command) == 0
    sys.stdout.close()
    sys.stderr.close()


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_progress_is_shown_on_a_terminal_and_removed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(output, "_PAUSE", 0.0)
    terminal = Terminal()
    monkeypatch.setattr(sys, "stderr", terminal)
    with output.Progress("sessions", 2) as progress:
        assert list(progress.over("ab")) == ["a", "b"]
    with output.Progress("sessions read") as progress:
        progress.add(1234)
    assert terminal.getvalue() == (
        "\r1 of 2 (50 %) sessions\r2 of 2 (100 %) sessions\r" + " " * 23 + "\r"
        "\r1,234 sessions read\r" + " " * 19 + "\r"
    )


def test_progress_is_not_shown_elsewhere(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(output, "_PAUSE", 0.0)
    with output.Progress("sessions") as progress:
        progress.add(1)
    assert capsys.readouterr().err == ""


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (-1, "0s"),
        (59.9, "59s"),
        (60, "1m 0s"),
        (90_061, "1d 1h"),
        (inf, "never"),
    ],
)
def test_a_duration_has_its_two_largest_units(seconds: float, text: str) -> None:
    assert output.duration(seconds) == text
