"""Run real servers in separate processes."""

from __future__ import annotations

import http.client
import os
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Final

from tests.support import ROOT

HOST: Final = "127.0.0.1"
_GRACE: Final = 5.0
_ATTEMPTS: Final = 3
_PORT_TAKEN: Final = ("address already in use", "errno 98", "errno 48")


class ServerFailed(Exception):
    """The server ended, or did not respond in time. The message ends with its output."""


class Server:
    """A server that answers HTTP."""

    def __init__(self, process: subprocess.Popen[bytes], port: int, log: Path) -> None:
        self.port = port
        self.url = f"http://{HOST}:{port}"
        self.pid = process.pid
        self._process = process
        self._log = log
        self._last_log: str | None = None

    @property
    def log(self) -> str:
        """All output so far, stdout and stderr. It stays available after the server has ended."""
        if self._last_log is not None:
            return self._last_log
        return self._log.read_text(encoding="utf-8", errors="replace")

    def _keep_log(self) -> None:
        self._last_log = self.log

    @property
    def running(self) -> bool:
        return self._process.poll() is None

    def __repr__(self) -> str:
        return f"<Server {self.url} pid={self.pid}>"


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind((HOST, 0))
        port: int = probe.getsockname()[1]
        return port


@contextmanager
def serve(
    argv: Sequence[str],
    *,
    env: Mapping[str, str] | None = None,
    ready: str = "/",
    timeout: float = 20.0,
    port: int | None = None,
    cwd: Path = ROOT,
) -> Iterator[Server]:
    """Run ``argv`` until the block ends; the block begins when ``ready`` responds with any status.

    ``{port}`` in an argument stands for the port: a free one on 127.0.0.1, unless ``port`` names
    one (to start a server again on the port of the last one). ``env`` is added to the environment
    of this process. At the end the server is asked to stop. If it does not stop within some
    seconds, it is killed together with its child processes.
    """
    deadline = time.monotonic() + timeout
    with tempfile.TemporaryDirectory(prefix="lembro-test-") as folder:
        for attempt in range(1, _ATTEMPTS + 1):
            chosen = free_port() if port is None else port
            log = Path(folder, f"log-{attempt}.txt")
            process = _start(argv, chosen, env, cwd, log)
            server = Server(process, chosen, log)
            try:
                try:
                    _wait(server, ready, deadline, timeout)
                except ServerFailed:
                    # Another process may have taken the port between our check and the server's
                    # bind.
                    taken = any(sign in server.log.lower() for sign in _PORT_TAKEN)
                    if taken and port is None and attempt < _ATTEMPTS:
                        continue
                    raise
                yield server
                return
            finally:
                _stop(process)
                server._keep_log()


def _start(
    argv: Sequence[str], port: int, env: Mapping[str, str] | None, cwd: Path, log: Path
) -> subprocess.Popen[bytes]:
    with log.open("wb") as out:
        return subprocess.Popen(
            [argument.replace("{port}", str(port)) for argument in argv],
            stdin=subprocess.DEVNULL,
            stdout=out,
            stderr=subprocess.STDOUT,
            cwd=cwd,
            env={**os.environ, "PYTHONUNBUFFERED": "1", **(env or {})},
            start_new_session=True,  # its own process group, and no Ctrl-C from the terminal
        )


def _wait(server: Server, path: str, deadline: float, timeout: float) -> None:
    patience = 0.5  # seconds for one request; doubled if the first response takes longer
    while server.running:
        left = deadline - time.monotonic()
        if left <= 0:
            raise ServerFailed(f"no answer within {timeout:g} s\n{server.log}")
        asked = time.monotonic()
        if _answers(server.port, path, min(left, patience)):
            if server.running:  # otherwise another process has responded
                return
            break
        if time.monotonic() - asked >= patience:
            patience *= 2
        time.sleep(0.02)
    raise ServerFailed(f"ended with code {server._process.returncode}\n{server.log}")


def _answers(port: int, path: str, timeout: float) -> bool:
    connection = http.client.HTTPConnection(HOST, port, timeout=timeout)
    try:
        connection.request("GET", path)
        connection.getresponse().read()
    except (OSError, http.client.HTTPException):
        return False
    finally:
        connection.close()
    return True


def _stop(process: subprocess.Popen[bytes]) -> None:
    process.terminate()
    try:
        process.wait(_GRACE)
    except subprocess.TimeoutExpired:
        process.kill()
    finally:
        # Its children are in its process group, which is empty once all of them have ended.
        with suppress(ProcessLookupError, PermissionError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait(timeout=60)
