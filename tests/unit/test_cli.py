"""The command ``lembro``."""

from __future__ import annotations

import argparse
import http.client
import importlib
import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import closing, suppress
from pathlib import Path
from types import SimpleNamespace
from typing import Any, ClassVar, NamedTuple

import pytest
import shtab

import lembro
from lembro.cli import completion, main, parser
from lembro.demo import server as demo_server
from tests.support import ROOT
from tests.support.servers import HOST, free_port, serve

DEMO = [sys.executable, "-m", "lembro", "demo", "--port", "{port}"]


def ending(arguments: list[str]) -> int:
    with pytest.raises(SystemExit) as end:
        main(arguments)
    assert isinstance(end.value.code, int)
    return end.value.code


def test_the_version_is_printed(capsys: pytest.CaptureFixture[str]) -> None:
    assert ending(["--version"]) == 0
    assert capsys.readouterr().out == f"lembro {lembro.__version__}\n"


def test_without_a_command_the_help_is_printed(capsys: pytest.CaptureFixture[str]) -> None:
    assert main([]) == 0
    printed = capsys.readouterr()
    assert printed.out.startswith("usage: lembro")
    assert "how many sessions fit into a store" in printed.out
    assert printed.err == ""


def test_an_unknown_command_is_an_error(capsys: pytest.CaptureFixture[str]) -> None:
    assert ending(["serve"]) == 2
    assert "'serve'" in capsys.readouterr().err


@pytest.mark.parametrize(
    "arguments",
    [
        ["--port", "-1"],
        ["--port", "65536"],
        ["--port", "http"],
        ["--idle", "0"],
        ["--idle", "nan"],
        ["--idle", "1h"],
        ["--workers", "0"],
        ["--workers", "65"],
    ],
)
def test_an_invalid_argument_is_an_error(
    arguments: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert ending(["demo", *arguments]) == 2
    printed = capsys.readouterr().err
    assert arguments[0] in printed
    assert "invalid _" not in printed  # the name of an internal function


@pytest.mark.parametrize("missing", ["starlette", "uvicorn"])
def test_the_demo_without_its_extra_says_what_to_install(
    missing: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setitem(sys.modules, missing, None)  # as if it were not installed
    assert main(["demo"]) == 2
    message = f"lembro: the demo needs {missing}: pip install 'lembro[demo]'\n"
    assert capsys.readouterr().err == message


def test_the_demo_listens_on_this_machine_by_default(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    runs: list[tuple[Any, ...]] = []

    def run(host: str, port: int, *, idle_timeout: float, store: Any, workers: int) -> None:
        runs.append((host, port, idle_timeout, store, workers))

    monkeypatch.setattr(demo_server, "run", run)
    assert main(["demo"]) == 0
    assert main(["demo", "--host", "::1", "--port", "8001", "--idle", "10"]) == 0
    assert main(["demo", "--store", "sqlite:///x.db", "--workers", "4"]) == 0
    assert runs == [
        ("127.0.0.1", 8000, 120.0, None, 1),
        ("::1", 8001, 10.0, None, 1),
        ("127.0.0.1", 8000, 120.0, "sqlite:///x.db", 4),
    ]


@pytest.mark.parametrize(
    ("arguments", "error"),
    [
        (["--workers", "4"], "--workers 4 needs a store that the workers share"),
        (["--store", "memory:4M", "--workers", "4"], "--store must be a store outside of the proc"),
        (["--store", "rediss"], "the store's URL must begin with a scheme"),
    ],
)
def test_a_store_that_workers_cannot_share_is_an_error(
    arguments: list[str], error: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["demo", *arguments]) == 2
    assert f"lembro: {error}" in capsys.readouterr().err


def test_workers_share_sessions_that_survive_a_new_start(tmp_path: Path) -> None:
    argv = [*DEMO, "--store", f"sqlite:///{tmp_path / 'demo.db'}", "--workers", "2"]
    with serve(argv, ready="/static/icon.svg") as server:
        cookie = ask(server.port, "POST", "/login", body='{"name": "Ana"}').headers["set-cookie"]
        workers: set[str | None] = set()
        deadline = time.monotonic() + 20
        while len(workers) < 2 and time.monotonic() < deadline:
            answer = ask(server.port, "GET", "/me", cookie)
            assert json.loads(answer.text)["user"] == "Ana"
            workers.add(answer.headers["x-worker"])
        assert len(workers) == 2
        os.kill(server.pid, signal.SIGINT)
        while server.running and time.monotonic() < deadline:
            time.sleep(0.02)
        assert server.log == f"lembro demo: {server.url} (Ctrl-C ends it)\n"
    with serve(argv[:-2], ready="/static/icon.svg", port=server.port):
        answer = ask(server.port, "GET", "/me", cookie)
        assert json.loads(answer.text)["user"] == "Ana"
        assert answer.headers["x-worker"] not in workers


class Answer(NamedTuple):
    headers: http.client.HTTPMessage
    text: str


def ask(port: int, method: str, path: str, cookie: str = "", body: str = "") -> Answer:
    """Send a request on its own connection."""
    with closing(http.client.HTTPConnection(HOST, port, timeout=20)) as connection:
        connection.request(method, path, body, {"Cookie": cookie.partition(";")[0]})
        answer = connection.getresponse()
        return Answer(answer.headers, answer.read().decode())


def test_a_port_in_use_is_an_error_that_suggests_another(
    capsys: pytest.CaptureFixture[str],
) -> None:
    with socket.create_server((HOST, 0)) as other:
        port = other.getsockname()[1]
        assert main(["demo", "--port", str(port)]) == 2
    message = capsys.readouterr().err
    assert f"can't listen on 127.0.0.1, port {port} (address already in use)" in message
    assert f"lembro demo --port {port + 1}" in message


def test_a_port_in_use_under_make_suggests_a_make_command(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Make passes the port in another way, and the text to suggest in a variable."""
    makefile = (ROOT / "Makefile").read_text()
    name, words = re.findall(r"^demo: export (LEMBRO_\w+) := (.+)$", makefile, re.MULTILINE)[0]
    monkeypatch.setenv(name, words)
    with socket.create_server((HOST, 0)) as other:
        port = other.getsockname()[1]
        assert main(["demo", "--port", str(port)]) == 2
    assert capsys.readouterr().err.endswith(f"for example: make demo PORT={port + 1}\n")


def test_an_address_of_another_machine_is_an_error(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["demo", "--host", "192.0.2.1", "--port", str(free_port())]) == 2
    assert "can't listen on 192.0.2.1" in capsys.readouterr().err


def test_ctrl_c_ends_the_demo_with_open_streams() -> None:
    with (
        serve(DEMO, ready="/static/icon.svg") as server,
        socket.create_connection((HOST, server.port)) as page,
        socket.create_connection((HOST, server.port)) as stream,
    ):
        page.sendall(b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n")
        cookie = page.recv(65536).partition(b"set-cookie: ")[2].partition(b";")[0]
        assert cookie
        stream.sendall(b"GET /live HTTP/1.1\r\nHost: localhost\r\nCookie: " + cookie + b"\r\n\r\n")
        assert b"200 OK" in stream.recv(100)

        os.kill(server.pid, signal.SIGINT)

        deadline = time.monotonic() + 10
        while server.running and time.monotonic() < deadline:
            time.sleep(0.02)
        assert not server.running
        stream.settimeout(10)
        while last := stream.recv(65536):  # the response in flight arrived completely
            assert last.endswith(b"\r\n")
        assert server.log == f"lembro demo: {server.url} (Ctrl-C ends it)\n"


@pytest.mark.skipif(sys.platform == "win32", reason="Windows does not have these signals")
@pytest.mark.parametrize("name", ["SIGINT", "SIGTERM"])
def test_a_signal_ends_the_demo_without_an_error(name: str) -> None:
    demo = subprocess.Popen(
        [sys.executable, "-m", "lembro", "demo", "--port", str(free_port())],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        cwd=ROOT,
    )
    with demo:
        assert demo.stdout is not None
        line = demo.stdout.readline()  # no limit: it ends with the demo
        assert line.startswith("lembro demo: http://")
        port_is_open(demo.args)
        demo.send_signal(signal.Signals[name])
        assert demo.wait(20) == 0
        assert demo.stdout.read() == ""


def port_is_open(arguments: Any) -> None:
    """Wait until the demo responds, because uvicorn handles signals only from then on."""
    deadline = time.monotonic() + 20
    while time.monotonic() < deadline:
        with suppress(OSError), socket.create_connection((HOST, int(arguments[-1])), 1) as page:
            page.sendall(b"GET /static/icon.svg HTTP/1.0\r\nHost: localhost\r\n\r\n")
            if page.recv(10):
                return
    pytest.fail("the demo does not answer")


def test_make_runs_the_demo_without_a_shell() -> None:
    """A shell that receives Ctrl-C too would end with an error, which make would print."""
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    recipe = re.findall(r"^demo: \.venv.*\n((?:\t.*\n)+)", makefile, re.MULTILINE)
    assert recipe == ["\t@$(PY) -m lembro demo --port $(PORT)\n"]


def test_the_module_runs_as_a_command() -> None:
    run = subprocess.run(
        [sys.executable, "-m", "lembro", "--version"],
        capture_output=True,
        text=True,
        check=True,
        cwd=ROOT,
        timeout=60,
    )
    assert run.stdout.strip() == f"lembro {lembro.__version__}"


def test_importing_the_command_does_not_run_it() -> None:
    assert importlib.import_module("lembro.__main__").main is main


class _Worker:
    """A process of the demo that ends at once. The second one cannot start, if asked for."""

    interrupted = False
    made: ClassVar[list[_Worker]] = []

    def __init__(self, **_: Any) -> None:
        self.pid: int | None = None
        self.ended = 0
        self.made.append(self)

    def start(self) -> None:
        if self.interrupted and self is self.made[1]:
            raise KeyboardInterrupt
        self.pid = 1

    def join(self) -> None:
        self.ended += 1

    def terminate(self) -> None:
        self.ended += 1


@pytest.mark.parametrize("interrupted", [False, True])
def test_every_worker_of_the_demo_that_started_is_ended(
    monkeypatch: pytest.MonkeyPatch, interrupted: bool
) -> None:
    monkeypatch.setattr(_Worker, "interrupted", interrupted)
    monkeypatch.setattr(_Worker, "made", [])
    context = SimpleNamespace(Process=_Worker)
    monkeypatch.setattr("multiprocessing.get_context", lambda _: context)
    before = signal.getsignal(signal.SIGTERM)
    try:
        demo_server.serve_in_workers(2)
    finally:
        signal.signal(signal.SIGTERM, before)
    assert [worker.ended for worker in _Worker.made] == ([2, 0] if interrupted else [3, 3])


# -- completion and reference ----------------------------------------------------------------------


@pytest.mark.skipif(shutil.which("bash") is None, reason="this system has no bash")
def test_bash_completes_commands_and_options(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["completion", "bash"]) == 0
    script = f"""{capsys.readouterr().out}
    completed() {{
        COMP_WORDS=("$@"); COMP_CWORD=$(($# - 1)); COMPREPLY=()
        _shtab_lembro; echo "${{COMPREPLY[@]}}"
    }}
    completed lembro se
    completed lembro sessions rev
    completed lembro schema --dialect m
    completed lembro size LICEN
    """
    done = subprocess.run(
        ["bash", "-c", script], cwd=ROOT, capture_output=True, text=True, check=True, timeout=60
    )
    assert done.stdout.split("\n")[:4] == [
        "sessions",
        "revoke revoke-user",
        "mysql mariadb",
        "LICENSE",
    ]


@pytest.mark.parametrize("shell", ["zsh", "fish"])
def test_other_shells_have_a_completion(shell: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["completion", shell]) == 0
    printed = capsys.readouterr().out
    assert "revoke-user" in printed
    assert shtab.FILE[shell] == completion.FILES[shell]
    assert completion.FILES[shell].split()[0] in printed


def test_without_shtab_the_error_says_what_to_install(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setitem(sys.modules, "shtab", None)  # as if it were not installed
    assert main(["completion", "bash"]) == 2
    assert "pip install 'lembro[completion]'" in capsys.readouterr().err


def test_every_command_is_in_the_reference() -> None:
    page = (ROOT / "docs" / "reference" / "command-line.md").read_text(encoding="utf-8")
    listed = [" ".join(words) for words in commands_of(parser())]
    assert re.findall(r"^##+ lembro (.+)$", page, re.MULTILINE) == listed
    assert re.findall(r"^<!-- help: (.+) -->$", page, re.MULTILINE) == listed


def commands_of(whole: argparse.ArgumentParser) -> Iterator[list[str]]:
    for action in whole._actions:
        if isinstance(action, argparse._SubParsersAction):
            for name, part in action.choices.items():
                yield [name]
                yield from ([name, *rest] for rest in commands_of(part))
