"""A mixed load on an application with several workers, and the promises that must hold under it.

    python -m tests.servers.scale [--seconds 60] [--server NAME ...] [--store NAME ...] [--kill]

The check knows only HTTP. Three kinds of users act at the same time, in rounds:

* many requests change one session, and rotate its ID: no change is lost;
* requests change sessions while these are ended: no session comes back;
* a user logs in many times at once: the number of sessions never exceeds the limit.

``--kill`` kills a worker with SIGKILL every second meanwhile. Then a request without a response may
or may not have been performed.
"""

from __future__ import annotations

import argparse
import http.client
import json
import os
import random
import signal
import sqlite3
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager, suppress
from functools import partial
from itertools import count
from pathlib import Path
from typing import Any, Final, NamedTuple

from tests.servers.commands import ASGI_SERVERS, WSGI_SERVERS, running
from tests.servers.count import AT_LIMIT, LIMIT
from tests.support.servers import HOST, Server, postgres
from tests.support.servers.redis import serve as serve_redis

WORKERS: Final = 4
MOST: Final = 3  # sessions of a user
TIMEOUT: Final = 30.0  # seconds

SERVERS: Final[dict[str, Any]] = {
    "uvicorn": ASGI_SERVERS["uvicorn"],
    "gunicorn": [*WSGI_SERVERS["gunicorn"][:-2], "--threads", "4"],
}
AT_MOST: Final = {"uvicorn": "oldest", "gunicorn": "refuse"}
"""What happens at a login above the limit, under each server."""

_numbers = count(1)


# -- stores ----------------------------------------------------------------------------------------


@contextmanager
def sqlite() -> Iterator[str]:
    """Yield the URL of a file. At the end, check that the file is intact."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "sessions.db")
        yield f"sqlite:///{path}?timeout=10"
        with closing(sqlite3.connect(path)) as database:
            assert database.execute("pragma integrity_check").fetchone() == ("ok",)


@contextmanager
def redis() -> Iterator[str]:
    with serve_redis() as server:
        yield f"{server.url}?timeout=10"


@contextmanager
def postgresql() -> Iterator[str]:
    server = postgres.shared()
    yield server.url(server.new_database(), timeout=10)


@contextmanager
def memory() -> Iterator[str]:
    yield "memory:16M"


STORES: Final[dict[str, Callable[[], Any]]] = {
    "sqlite": sqlite,
    "redis": redis,
    "postgresql": postgresql,
    "memory": memory,
}


# -- a client --------------------------------------------------------------------------------------


class Answer(NamedTuple):
    status: int
    """The status, or 0 if the connection was lost before the response."""
    value: Any


class Browser:
    """A client with a cookie. Each request has its own connection, so that any worker answers.

    Args:
        port: The port of the application.
        cookie: The cookie to begin with.
    """

    def __init__(self, port: int, cookie: str = "") -> None:
        self.cookie = cookie
        self.seen = {cookie} - {""}
        """All cookies that it has had."""
        self._port = port

    def ask(self, path: str) -> Answer:
        """GET a path that shows something, or POST to one that changes something."""
        method = "GET" if path.startswith(("/me", "/user/", "/worker")) else "POST"
        headers = {"Cookie": self.cookie} if self.cookie else {}
        with closing(http.client.HTTPConnection(HOST, self._port, timeout=TIMEOUT)) as connection:
            try:
                connection.request(method, path, headers=headers)
                answer = connection.getresponse()
                text = answer.read()
            except (OSError, http.client.HTTPException):
                return Answer(0, None)
        for header in answer.headers.get_all("set-cookie", ()):
            self.cookie = header.partition(";")[0]
            if self.cookie.endswith("="):  # it was deleted
                self.cookie = ""
            else:
                self.seen.add(self.cookie)
        return Answer(answer.status, json.loads(text) if answer.status == 200 else text)

    def must(self, path: str) -> Any:
        """Ask until there is a response, and return its value."""
        deadline = time.monotonic() + TIMEOUT
        while (answer := self.ask(path)).status in (0, 503) and time.monotonic() < deadline:
            time.sleep(0.02)
        assert answer.status == 200, (path, answer)
        return answer.value


# -- the load --------------------------------------------------------------------------------------


class Load:
    """Rounds of requests, each of which ends with a check.

    Args:
        port: The port of the application.
        refuses: Whether a login above the limit is refused. Otherwise the oldest session ends.
        loses: Whether a request may get no response.
    """

    def __init__(self, port: int, *, refuses: bool, loses: bool = False) -> None:
        self._port = port
        self._refuses = refuses
        self._loses = loses
        self._ended: list[str] = []
        self.counts: Counter[str] = Counter()
        """How many requests each kind of users has sent, and how many got no response."""

    def await_workers(self, number: int) -> None:
        """Wait until this number of processes answers."""
        seen: set[int] = set()
        deadline = time.monotonic() + 2 * TIMEOUT
        while len(seen) < number:
            assert time.monotonic() < deadline, f"only {len(seen)} workers answer"
            seen.update(at_once(*[partial(self._browser().must, "/worker")] * 8))

    def run(self, seconds: float) -> None:
        """Let all kinds of users act for this number of seconds, at least for one round each."""
        deadline = time.monotonic() + seconds
        rounds = (self.change_one_session, self.end_sessions, self.log_in_too_often)

        def repeat(round_: Callable[[], None]) -> None:
            while True:
                round_()
                self.counts[round_.__name__] += 1
                if time.monotonic() >= deadline:
                    return

        at_once(*(partial(repeat, each) for each in rounds))
        self._check_ended(self._ended)

    def change_one_session(self) -> None:
        """Change and rotate one session by many requests. Each change must be kept."""
        user, first = f"changer-{next(_numbers)}", self._browser()
        first.must(f"/login/{user}")
        first.must("/count")
        counted, lost, lock = 1, 0, threading.Lock()
        added: set[int] = set()
        maybe_added: set[int] = set()

        def change(number: int) -> None:
            nonlocal counted, lost
            browser = self._browser(first.cookie)
            for step in range(12):
                item = number * 1000 + step
                paths = "/count", f"/cart/{item}", "/me", "/rotate" if number < 2 else "/count"
                path, before = paths[step % 4], counted
                status, value = self._ask(browser, path)
                with lock:
                    if path == "/count":
                        counted += status == 200
                        lost += status != 200
                    elif path.startswith("/cart"):
                        (added if status == 200 else maybe_added).add(item)
                if path == "/me" and status == 200:
                    assert value["user"] == user, "a session was lost"
                    assert value["data"]["count"] >= before, "a read did not see an earlier write"

        at_once(*(partial(change, number) for number in range(6)))
        seen = first.must("/me")
        assert seen["user"] == user, "a session was lost"
        cart: list[int] = seen["data"]["cart"]
        assert counted <= seen["data"]["count"] <= counted + lost, "a count was lost"
        assert len(cart) == len(set(cart)), "a change was made twice"
        assert added <= set(cart) <= added | maybe_added, "a change was lost"
        assert all(seen["data"][f"item-{item}"] == item for item in cart), "a change was lost"
        first.must("/logout")

    def end_sessions(self) -> None:
        """Change two sessions of a user while one or both are ended. They must not come back."""
        user, over = f"leaver-{next(_numbers)}", threading.Event()
        phone, laptop = devices = self._browser(), self._browser()
        for device in devices:
            device.must(f"/login/{user}")
        seen = [set(device.seen) for device in devices]

        def change(number: int) -> None:
            which = number % 2
            browser = self._browser(max(seen[which]))
            for step in count():
                last = over.is_set()
                self._ask(browser, ("/count", "/rotate", f"/cart/{step}")[(step + number) % 3])
                seen[which].update(browser.seen)
                if last:
                    return

        def end() -> int:
            """End one or both sessions. Return how many are left."""
            time.sleep(random.uniform(0.01, 0.1))  # the others begin
            try:
                kind = random.choice(("/logout", "/logout-everywhere", f"/revoke/{user}"))
                phone.must(kind)
                left = int(kind == "/logout")
                assert laptop.must(f"/user/{user}") == left
                return left
            finally:
                over.set()

        *_, left = at_once(*(partial(change, number) for number in range(4)), end)
        assert laptop.must(f"/user/{user}") == left, "a session came back"
        assert laptop.must("/me")["user"] == (user if left else None)
        ended = seen[0] if left else seen[0] | seen[1]
        self._check_ended(ended)
        self._ended += random.sample(sorted(ended), min(3, len(ended)))
        phone.must(f"/revoke/{user}")

    def log_in_too_often(self) -> None:
        """Log in many times at once. The number of sessions must never exceed the limit."""
        user, over = f"hoarder-{next(_numbers)}", threading.Event()
        browsers = [self._browser() for _ in range(12)]

        def log_in(number: int) -> list[int]:
            return [self._ask(each, f"/login/{user}").status for each in browsers[number::4]]

        def watch() -> list[int]:
            counted = []
            while not over.is_set():
                counted.append(self._browser().must(f"/user/{user}"))
            return counted

        def log_in_all() -> list[int]:
            try:
                found = at_once(*(partial(log_in, number) for number in range(4)))
                return [status for each in found for status in each]
            finally:
                over.set()

        statuses, found = at_once(log_in_all, watch)
        assert max(found) <= MOST, "the limit was exceeded"
        assert browsers[0].must(f"/user/{user}") == MOST
        inside = sum(each.must("/me")["user"] == user for each in browsers)
        lost = sum(status in (0, 503) for status in statuses)
        assert MOST - lost <= inside <= MOST
        if self._refuses:
            assert MOST - lost <= statuses.count(200) <= MOST
        browsers[0].must(f"/revoke/{user}")

    # -- within ------------------------------------------------------------------------------------

    def _browser(self, cookie: str = "") -> Browser:
        return Browser(self._port, cookie)

    def _ask(self, browser: Browser, path: str) -> Answer:
        answer = browser.ask(path)
        self.counts["requests"] += 1
        if answer.status in (0, 503):
            self.counts["without a response"] += 1
            assert self._loses, (path, answer)
        return answer

    def _check_ended(self, cookies: Iterable[str]) -> None:
        for cookie in cookies:
            assert self._browser(cookie).must("/me")["user"] is None, "a session came back"


def at_once(*calls: Callable[[], Any]) -> list[Any]:
    """Call functions in threads, and return their results."""
    with ThreadPoolExecutor(len(calls)) as pool:
        return [each.result(timeout=10 * TIMEOUT) for each in [pool.submit(call) for call in calls]]


# -- the check -------------------------------------------------------------------------------------


def check(server: str, store: str, seconds: float, *, kills: bool = False) -> Counter[str]:
    """Put an application under load, and return the counts of the load.

    Raises:
        AssertionError: A promise was broken.
    """
    with STORES[store]() as url:
        workers = 1 if store == "memory" else WORKERS
        argv = [*SERVERS[server], "--workers", str(workers)]
        limit = {LIMIT: str(MOST), AT_LIMIT: AT_MOST[server]}
        with running(argv, LEMBRO_STORE=url, **limit) as process:
            load = Load(process.port, refuses=AT_MOST[server] == "refuse", loses=kills)
            load.await_workers(workers)
            over = threading.Event()
            killer = threading.Thread(target=kill_workers, args=(process, over, load))
            if kills:
                killer.start()
            try:
                load.run(seconds)
            finally:
                over.set()
                if kills:
                    killer.join(timeout=3 * TIMEOUT)
        return load.counts


def kill_workers(server: Server, over: threading.Event, load: Load) -> None:
    """Kill a worker every second, or as soon as the server has replaced the last one."""
    children = Path(f"/proc/{server.pid}/task/{server.pid}/children")
    while not over.wait(1.0):
        load.await_workers(WORKERS)
        workers = [
            pid
            for pid in children.read_text(encoding="ascii").split()
            if b"resource_tracker" not in Path(f"/proc/{pid}/cmdline").read_bytes()
        ]
        with suppress(ProcessLookupError):
            os.kill(int(random.choice(workers)), signal.SIGKILL)
            load.counts["killed workers"] += 1


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.servers.scale")
    parser.add_argument("--seconds", type=float, default=60.0, help="for each server and store")
    parser.add_argument("--server", action="append", choices=SERVERS, help="default: all")
    parser.add_argument("--store", action="append", choices=STORES, help="default: all")
    parser.add_argument("--kill", action="store_true", help="kill workers meanwhile")
    given = parser.parse_args()
    for server in given.server or SERVERS:
        for store in given.store or STORES:
            if given.kill and store == "memory":
                continue  # its sessions would be lost
            counts = check(server, store, given.seconds, kills=given.kill)
            print(f"{server}, {store}: {', '.join(f'{n} {name}' for name, n in counts.items())}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
