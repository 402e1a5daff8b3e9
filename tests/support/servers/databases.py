"""The base class of the private database servers of the tests, and functions for them."""

from __future__ import annotations

import itertools
import os
import pwd
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, Final

from tests.support.servers import HOST, free_port

PATIENCE: Final = 60.0  # seconds

_numbers = itertools.count(1)


def new_table() -> str:
    """Return the name of a table that no other test of this process uses."""
    return f"sessions{next(_numbers)}"


def connector_of(store: Any) -> Any:
    """Return the connections of a store in this process."""
    return store._process.get()  # no limit: it does not connect


async def loop_connector_of(aio: Any) -> Any:
    """Return the connections of a store in this event loop."""
    return await aio._loops.get()  # no limit: it does not wait for the server


def find_program(name: str, *folders: str) -> str | None:
    """Return the path of a program, which may be outside of the PATH."""
    for pattern in folders:
        for path in sorted(Path("/").glob(pattern.lstrip("/")), reverse=True):
            if os.access(path / name, os.X_OK):
                return str(path / name)
    return shutil.which(name)


def user_ids() -> tuple[int, int] | None:
    """Return the user and group to run a server as. Database servers refuse to run as root."""
    if os.geteuid() != 0:
        return None
    nobody = pwd.getpwnam("nobody")
    return nobody.pw_uid, nobody.pw_gid


def _runs(pid: int) -> bool:
    """Return whether a thread of a process still runs after a SIGSTOP."""
    with suppress(FileNotFoundError):  # a process or a thread that has ended
        for stat in Path(f"/proc/{pid}/task").glob("*/stat"):
            if stat.read_text().rpartition(")")[2].split()[0] not in "TtZX":
                return True
    return False


class DatabaseServer:
    """A server with its own folder, on a free port of 127.0.0.1, for one test process.

    A test that stops or kills it restores it afterwards.
    """

    name: str

    def __init__(self) -> None:
        self.folder = Path(tempfile.mkdtemp(prefix=f"lembro-{self.name}-"))
        self.port = free_port()
        self._process: subprocess.Popen[bytes] | None = None
        self._ids = user_ids()
        if self._ids is not None:
            os.chown(self.folder, *self._ids)

    def run(self, argv: Sequence[str]) -> None:
        """Run a program of the server to its end, as the user that the server runs as."""
        done = subprocess.run(
            argv,
            cwd=self.folder,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=PATIENCE,
            check=False,
            **self._as_user(),  # type: ignore[call-overload]
        )
        if done.returncode:
            raise RuntimeError(f"{argv[0]} failed: {done.stderr.decode(errors='replace')[-2000:]}")

    def spawn(self, argv: Sequence[str], answers: Callable[[], bool]) -> None:
        """Start the server, and wait until it answers."""
        with open(self.folder / "log", "ab") as log:
            self._process = subprocess.Popen(
                argv,
                cwd=self.folder,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
                **self._as_user(),  # type: ignore[call-overload]
            )
        deadline = time.monotonic() + PATIENCE
        while not answers():
            if self._process.poll() is not None or time.monotonic() > deadline:
                text = (self.folder / "log").read_text(errors="replace")[-2000:]
                raise RuntimeError(f"{self.name} did not start: {text}")
            time.sleep(0.02)

    def _as_user(self) -> dict[str, int]:
        return {} if self._ids is None else {"user": self._ids[0], "group": self._ids[1]}

    @property
    def pid(self) -> int:
        assert self._process is not None
        return self._process.pid

    def listens(self) -> bool:
        """Return whether something accepts connections on the port."""
        with suppress(OSError), socket.create_connection((HOST, self.port), timeout=1.0):
            return True
        return False

    def processes(self) -> list[int]:
        """Return the server's process and its children; none if it does not run."""
        if self._process is None or self._process.poll() is not None:
            return []
        children = Path(f"/proc/{self.pid}/task/{self.pid}/children").read_text(encoding="ascii")
        return [self.pid, *map(int, children.split())]

    def freeze(self) -> None:
        """Stop all processes of the server, as if the machine hung."""
        pids = self.processes()
        for pid in pids:
            os.kill(pid, signal.SIGSTOP)
        # Without waiting, a thread that is not scheduled soon enough could still answer.
        until = time.monotonic() + PATIENCE
        while any(map(_runs, pids)) and time.monotonic() < until:
            time.sleep(0.001)

    def thaw(self) -> None:
        """Let the processes of the server continue."""
        for pid in self.processes():
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGCONT)

    def stop(self, sign: int = signal.SIGKILL) -> None:
        """End the server, and wait for its end."""
        if self._process is None:
            return
        pids = self.processes()
        for pid in pids if sign == signal.SIGKILL else pids[:1]:
            with suppress(ProcessLookupError):
                os.kill(pid, sign)
                os.kill(pid, signal.SIGCONT)
        self._process.wait(PATIENCE)
        self._process = None

    def restore(self) -> None:
        """Let the server run again after a fault."""
        self.thaw()
        if not self.processes():
            self.start()

    def start(self) -> None:
        """Start the server, or start it again."""
        raise NotImplementedError

    def remove(self) -> None:
        """End the server and delete its folder."""
        self.stop()
        shutil.rmtree(self.folder, ignore_errors=True)
