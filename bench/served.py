"""The time that a session adds to a request under uvicorn, with 16 connections.

Each library has a server process, and one client sends requests to all of them in turns. Between
two requests of a visitor are those of 1,999 others, and the work of the server. So the processor's
caches are as cold as in production. The time is the processor's, of the whole server process.
"""

from __future__ import annotations

import platform
import select
import selectors
import socket
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from functools import partial
from itertools import cycle, islice
from time import process_time
from typing import Any, Final

from bench import peers, requests
from bench.peers import ACTIONS, LOGIN, ASGIApp
from bench.report import table
from bench.requests import by_library
from bench.serving import OTHERS, VISITORS, Clock, Contender, check_status, with_others
from bench.verdicts import Verdict, ahead, save, verdict_table

CONNECTIONS: Final = 16
BATCH_SECONDS: float = 0.1  # of the processor
ROUNDS: Final = {"quick": 10, "full": 60}
BARE: Final = "bare"
CPU: Final = "/cpu"
PATIENCE: Final = 60.0  # seconds
UVICORN: Final[dict[str, Any]] = {
    "lifespan": "off",
    "access_log": False,
    "log_level": "warning",
    "timeout_keep_alive": 600,  # seconds: each server waits while the others are measured
}

AIMS: Final = {"unused": 1.0, "read": 0.5, "modified": 0.6}
"""For each action, the part of the best other library's time that lembro aims at."""

HEAD: Final = (
    "GET {path} HTTP/1.1\r\nHost: 127.0.0.1\r\n"
    "User-Agent: Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101\r\n"
    "Accept: text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8\r\n"
    "Accept-Language: en-GB,en;q=0.5\r\nAccept-Encoding: gzip, deflate, br, zstd\r\n"
    "Cookie: {cookie}\r\n\r\n"
)


def main(*, quick: bool) -> list[Verdict]:
    rounds = ROUNDS["quick" if quick else "full"]
    python = f"{platform.python_implementation()} {platform.python_version()}"
    print(
        f"{python}; uvicorn, {CONNECTIONS} connections, {VISITORS:,} visitors; "
        "added microseconds of the processor a request\n"
    )
    added = measure(rounds)
    rows: list[list[str] | None] = [
        [library, *(f"{times[action]:.1f}" for action in ACTIONS)]
        for library, times in added.items()
    ]
    print(table(["", *ACTIONS], rows) + "\n")
    verdicts = ahead("uvicorn", added, AIMS)
    print(verdict_table(verdicts))
    details = {"visitors": VISITORS, "connections": CONNECTIONS, "rounds": rounds, "asgi": added}
    save("served", quick, verdicts, details)
    return verdicts


# -- measuring -------------------------------------------------------------------------------------


def measure(rounds: int) -> dict[str, dict[str, float]]:
    """Return library -> action -> microseconds of the processor, more than the bare application."""
    with ExitStack() as stack:
        servers = [stack.enter_context(serving(library)) for library in (BARE, *peers.ASGI)]
        contenders = [
            Contender(server.library, action, partial(server.burst, action))
            for server in servers
            for action in (ACTIONS if server.library != BARE else ACTIONS[:1])
        ]
        return by_library(requests.measure("uvicorn", contenders, rounds, BATCH_SECONDS))


@dataclass
class Server:
    """A server process, the connections to it, and the requests of its visitors."""

    library: str
    port: int
    sockets: list[socket.socket] = field(default_factory=list)
    requests: dict[str, Iterator[bytes]] = field(default_factory=dict)

    def connect(self) -> None:
        for _ in range(CONNECTIONS):
            sock = socket.create_connection(("127.0.0.1", self.port), timeout=PATIENCE)
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            self.sockets.append(sock)
        cookies = [OTHERS] * VISITORS
        if self.library != BARE:
            cookies = [self._log_in() for _ in range(VISITORS)]
        for action in ACTIONS:
            found = [_request(f"/{action}", cookie) for cookie in cookies]
            if self.library != BARE:
                check_status(self.library, action, _status(self._ask(found[0])))
            self.requests[action] = cycle(found)

    def burst(self, action: str, count: int, clock: Clock | None = None) -> float:
        """Send requests. Return the seconds, by default those of the server's processor."""
        clock = clock or self._cpu
        start = clock()
        with selectors.DefaultSelector() as selector:
            for sock in self.sockets:
                selector.register(sock, selectors.EVENT_READ)
            left = islice(self.requests[action], count)
            for sock, request in zip(self.sockets, left, strict=False):
                sock.sendall(request)
            answered = 0
            while answered < count:
                ready = selector.select(PATIENCE)
                if not ready:
                    raise SystemExit(f"{self.library} stopped answering; the bench is broken")
                for key, _ in ready:
                    asked: Any = key.fileobj
                    check_status(self.library, action, _status(_answer(asked)))
                    answered += 1
                    request = next(left, b"")
                    if request:
                        asked.sendall(request)
        return clock() - start

    def _log_in(self) -> str:
        answer = self._ask(_request(f"/{LOGIN}", OTHERS)).decode("latin-1")
        lines = [line.partition(": ") for line in answer.split("\r\n")]
        return with_others(value for name, _, value in lines if name.lower() == "set-cookie")

    def _cpu(self) -> float:
        return float(self._ask(_request(CPU, OTHERS)).rpartition(b"\r\n\r\n")[2])

    def _ask(self, request: bytes) -> bytes:
        sock = self.sockets[0]
        sock.sendall(request)
        return _answer(sock)


def _request(path: str, cookie: str) -> bytes:
    return HEAD.format(path=path, cookie=cookie).encode()


def _answer(sock: socket.socket) -> bytes:
    """Return a whole response, which a server may send in parts."""
    answer = b""
    while True:
        received = sock.recv(65536)
        if not received:
            raise SystemExit("the server closed a connection; the bench is broken")
        answer += received
        head, end, body = answer.partition(b"\r\n\r\n")
        if end and len(body) == int(head.lower().partition(b"content-length: ")[2].split()[0]):
            return answer


def _status(answer: bytes) -> int:
    return int(answer.split(b" ", 2)[1])


@contextmanager
def serving(library: str, module: str = "bench.served", *arguments: str) -> Iterator[Server]:
    """Start a server: a module whose first line of output is its port."""
    command = [sys.executable, "-m", module, library, *arguments]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            if not select.select([process.stdout], [], [], PATIENCE)[0]:
                raise SystemExit(f"the server of {library} did not start; the bench is broken")
            port = process.stdout.readline()  # no limit: there is something to read
            server = Server(library, int(port))
            server.connect()
            yield server
            for sock in server.sockets:
                sock.close()
        finally:
            process.terminate()
            process.wait(timeout=PATIENCE)


# -- in the server process -------------------------------------------------------------------------


def site(apps: Mapping[str, ASGIApp]) -> ASGIApp:
    """Return an application whose paths are the actions, and the time of its processor."""
    by_path = {f"/{action}": app for action, app in apps.items()}

    async def app(scope: Any, receive: Any, send: Any) -> None:
        path = scope["path"]
        if path != CPU:
            await by_path[path](scope, receive, send)
            return
        body = f"{process_time():.6f}".encode()
        headers = [(b"content-length", str(len(body)).encode())]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await send({"type": "http.response.body", "body": body})

    return app


def serve(arguments: Sequence[str]) -> None:
    """Serve an application on a free port, which the first line of the output names."""
    import uvicorn

    listener = socket.create_server(("127.0.0.1", 0))
    print(listener.getsockname()[1], flush=True)
    library = arguments[0]
    apps = {"unused": peers.bare_asgi} if library == BARE else peers.ASGI[library]()
    config = uvicorn.Config(site(apps), **UVICORN)
    uvicorn.Server(config).run(sockets=[listener])


if __name__ == "__main__":
    serve(sys.argv[1:])
