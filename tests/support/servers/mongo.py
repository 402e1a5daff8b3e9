"""A server for MongoStore: SecantusDB, which speaks MongoDB's protocol as a replica set of one."""

from __future__ import annotations

import atexit
import importlib.util
import itertools
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import Any, Final

import pymongo
from pymongo.errors import ConnectionFailure

from lembro.stores import MongoStore
from tests.support import require_or_skip
from tests.support.servers import HOST, free_port
from tests.support.servers.process import ServerProcess

PATIENCE: Final = 30.0  # seconds

_numbers = itertools.count(1)


class MongoServer(ServerProcess):
    """A server on a free port of 127.0.0.1, which the test may stop, kill and start again."""

    def __init__(self, *options: str) -> None:
        if importlib.util.find_spec("secantus") is None:
            require_or_skip("no SecantusDB on this machine (pip install secantusdb)")
        self.folder = Path(tempfile.mkdtemp(prefix="lembro-mongo-"))
        self.port = free_port()
        self._options = options
        self._process: subprocess.Popen[bytes] | None = None
        try:
            self.start()
        except BaseException:
            self.remove()
            raise

    def start(self) -> None:
        """Start the server, and wait until it answers."""
        argv = [sys.executable, "-m", "secantus", "--host", HOST, "--port", str(self.port)]
        argv += ["--storage-path", str(self.folder / "data"), *self._options]
        with open(self.folder / "log", "ab") as log:
            self._process = subprocess.Popen(
                argv,
                cwd=self.folder,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        deadline = time.monotonic() + PATIENCE
        while not self._answers():
            if self._process.poll() is not None or time.monotonic() > deadline:
                raise RuntimeError((self.folder / "log").read_text(errors="replace")[-2000:])
            time.sleep(0.05)

    def _answers(self) -> bool:
        try:
            with self.client(serverSelectionTimeoutMS=200) as client:
                return bool(client.admin.command("ping")["ok"])
        except ConnectionFailure:
            return False

    @property
    def url(self) -> str:
        return f"mongodb://{HOST}:{self.port}/test"

    def client(self, **options: Any) -> pymongo.MongoClient[Any]:
        return pymongo.MongoClient(self.url, **options)


@contextmanager
def serve(*options: str) -> Iterator[MongoServer]:
    """Run a server until the block ends."""
    server = MongoServer(*options)
    try:
        yield server
    finally:
        server.remove()


@cache
def shared() -> MongoServer:
    """Return the shared server of this test process, for tests that do not stop it."""
    server = MongoServer()
    atexit.register(server.remove)
    return server


def new_collection() -> str:
    """Return the name of a collection that no other test uses."""
    return f"test_{os.getpid()}_{next(_numbers)}"


def new_store(**options: Any) -> MongoStore:
    """Return a store on the shared server, with a collection of its own."""
    return MongoStore(shared().url, **{"collection": new_collection(), "timeout": 10.0, **options})
