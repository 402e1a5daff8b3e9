"""A MemoryStore with a snapshot keeps its sessions over the restarts of each real server."""

from __future__ import annotations

import os
import signal
import sys
import threading
import time
from collections.abc import Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any, Final

import httpx
import pytest

from tests.support import NOT_MEASURED, ROOT
from tests.support.servers import HOST, Server, free_port, serve

RESTARTS: Final = int(os.environ.get("LEMBRO_RESTARTS", "1"))
PATIENCE: Final = 30.0
SNAPSHOT: Final = "LEMBRO_TEST_SNAPSHOT"
"""The environment variable with the path of the snapshot."""

_APP: Final = "tests.servers.restart_app"
_MODULE: Final = [sys.executable, "-m"]
_FLASK: Final = [*_MODULE, "flask", "--app", f"{_APP}:flask", "run", "-h", HOST, "-p", "{port}"]
_DJANGO: Final = [*_MODULE, "tests.servers.django_manage", "runserver", HOST + ":{port}"]
SERVERS: Final[dict[str, Sequence[str]]] = {
    "uvicorn": [*_MODULE, "uvicorn", f"{_APP}:asgi", "--host", HOST, "--port", "{port}"],
    "hypercorn": [*_MODULE, "hypercorn", "--bind", HOST + ":{port}", f"{_APP}:asgi"],
    "granian": [
        *(*_MODULE, "granian", "--interface", "asgi"),
        *("--host", HOST, "--port", "{port}", f"{_APP}:asgi"),
    ],
    "gunicorn": [*_MODULE, "gunicorn", "--threads", "4", "-b", HOST + ":{port}", f"{_APP}:wsgi"],
    "waitress": [*_MODULE, "waitress", "--host", HOST, "--port", "{port}", f"{_APP}:wsgi"],
    "flask run": _FLASK,
    "runserver --noreload": [*_DJANGO, "--noreload"],
}


def started(name: str, folder: Path, port: int | None = None) -> AbstractContextManager[Server]:
    """Run a server, with its snapshot in a folder."""
    env = {
        SNAPSHOT: str(folder / "sessions.bin"),
        "PYTHONPATH": f"{ROOT}:{ROOT / 'src'}",
        **NOT_MEASURED,
    }
    return serve(SERVERS[name], env=env, timeout=60, port=port)


class Client:
    """A client that writes all the time, with one session, and logs others in and out."""

    def __init__(self, port: int) -> None:
        self.url = f"http://{HOST}:{port}"
        self.writer = httpx.Client(base_url=self.url, timeout=PATIENCE)
        self.writer.post("/login/writer").raise_for_status()
        self.ended: list[str] = []
        self.faults: list[str] = []
        self.confirmed = 0
        self._done = threading.Event()
        self._thread = threading.Thread(target=self._run)
        self._thread.start()

    def __enter__(self) -> None:
        pass

    def wait_for(self, writes: int) -> None:
        """Wait until this number of further writes was confirmed."""
        end, deadline = self.confirmed + writes, time.monotonic() + PATIENCE
        while self.confirmed < end and not self.faults:
            assert time.monotonic() < deadline
            time.sleep(0.01)

    def __exit__(self, *error: object) -> None:
        self._done.set()
        self._thread.join(PATIENCE)
        assert not self._thread.is_alive()
        self.writer.close()

    def _run(self) -> None:
        number = 0
        while not self._done.is_set():
            number += 1
            try:
                self._write()
                if number % 8 == 0:
                    self._log_in_and_out(number)
            except httpx.TransportError:  # the server restarts
                time.sleep(0.005)

    def _write(self) -> None:
        answer = self.writer.post("/count")
        if answer.status_code == 503:  # the process ends
            return
        if answer.status_code != 200 or answer.json() <= self.confirmed:
            self.faults.append(f"{answer.status_code} {answer.text} after {self.confirmed}")
            self._done.set()
        else:
            self.confirmed = answer.json()

    def _log_in_and_out(self, number: int) -> None:
        with httpx.Client(base_url=self.url, timeout=PATIENCE) as other:
            if other.post(f"/login/other-{number}").status_code == 200:
                session_id = other.cookies["sid"]
                if other.post("/logout").status_code == 200:
                    self.ended.append(session_id)


def me(port: int, session_id: str) -> Any:
    answer = httpx.get(
        f"http://{HOST}:{port}/me", headers={"Cookie": f"sid={session_id}"}, timeout=PATIENCE
    )
    answer = answer.raise_for_status().json()
    return answer["user"] if isinstance(answer, dict) else answer[0]


@pytest.mark.parametrize("name", SERVERS)
def test_a_restart_under_load_loses_nothing(name: str, tmp_path: Path) -> None:
    """Nobody is logged out, no logout is undone, and no committed write is lost."""
    port = free_port()
    with started(name, tmp_path, port) as server:
        quiet = httpx.post(f"{server.url}/login/quiet").cookies["sid"]
        client = Client(port)
        client.wait_for(20)
    with client:
        for _ in range(RESTARTS):
            with started(name, tmp_path, port) as server:
                client.wait_for(20)
                assert me(port, quiet) == "quiet"
                assert {me(port, each) for each in client.ended[-10:]} == {None}
            assert "Traceback" not in server.log
            assert client.faults == []


_COPY: Final = "restart_app"
RELOADERS: Final[dict[str, Sequence[str]]] = {
    "uvicorn --reload": [*_MODULE, "uvicorn", f"{_COPY}:asgi", "--port", "{port}", "--reload"],
    "flask run --debug": [
        *_MODULE,
        "flask",
        "--app",
        f"{_COPY}:flask",
        "run",
        "-p",
        "{port}",
        "--debug",
    ],
    "runserver": _DJANGO,
}


@pytest.mark.parametrize("name", RELOADERS)
def test_nobody_is_logged_out_when_a_file_is_saved(name: str, tmp_path: Path) -> None:
    saved = tmp_path / f"{_COPY}.py"
    source = Path(__file__).with_name(saved.name).read_text()
    saved.write_text(source)
    # Without watchdog, which takes half a minute to watch all installed packages.
    (tmp_path / "watchdog.py").touch()
    env = {
        **NOT_MEASURED,
        SNAPSHOT: str(tmp_path / "sessions.bin"),
        "LEMBRO_TEST_RELOADS": str(saved),
        # Flask's reloader looks at each file of each folder on the path.
        "PYTHONPATH": f"{ROOT}:{ROOT / 'src'}" if name == "runserver" else str(ROOT / "src"),
    }
    with (
        serve(RELOADERS[name], env=env, cwd=tmp_path, timeout=PATIENCE) as server,
        httpx.Client(base_url=server.url) as client,
    ):
        client.post("/login/ada").raise_for_status()
        session_id = client.cookies["sid"]
        first = client.get("/process").raise_for_status().json()
        again, deadline = 0.0, time.monotonic() + PATIENCE
        while _process(server) in {first, None}:
            now = time.monotonic()
            assert now < deadline, server.log
            if now > again:  # the reloader may not watch the file yet
                saved.write_text(f"{source}\n# {now}\n")
                again = now + 4.0
            time.sleep(0.05)
        assert me(server.port, session_id) == "ada"


def _process(server: Server) -> int | None:
    """Return the ID of the process that answers, or None while no process answers."""
    try:
        answer = httpx.get(f"{server.url}/process", timeout=PATIENCE)
        return int(answer.json()) if answer.status_code == 200 else None
    except httpx.TransportError:
        return None


def test_a_logout_is_not_undone_when_the_server_is_killed(tmp_path: Path) -> None:
    with started("waitress", tmp_path) as server:
        ids = [httpx.post(f"{server.url}/login/{user}").cookies["sid"] for user in "ab"]
    with started("waitress", tmp_path) as server:
        assert [me(server.port, each) for each in ids] == ["a", "b"]
        os.kill(server.pid, signal.SIGKILL)
    with started("waitress", tmp_path) as server:
        assert [me(server.port, each) for each in ids] == ["a", "b"]
        httpx.post(f"{server.url}/logout", headers={"Cookie": f"sid={ids[0]}"}).raise_for_status()
        os.kill(server.pid, signal.SIGKILL)
    with started("waitress", tmp_path) as server:
        assert me(server.port, ids[0]) is None


def test_of_two_processes_that_overlap_only_the_first_uses_the_file(tmp_path: Path) -> None:
    with started("waitress", tmp_path) as first:
        session_id = httpx.post(f"{first.url}/login/a").cookies["sid"]
        with started("waitress", tmp_path) as second:
            assert me(second.port, session_id) is None
            httpx.post(f"{second.url}/login/b").raise_for_status()
        assert "another process uses it" in second.log
        assert me(first.port, session_id) == "a"
    with started("waitress", tmp_path) as third:
        assert me(third.port, session_id) == "a"
