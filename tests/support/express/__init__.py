"""Express with the real session stores (``server.js``), which shares sessions with Python."""

from __future__ import annotations

import http.client
import itertools
import json
import subprocess
from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from functools import cache
from typing import Any, Final, NamedTuple

from tests.support import ROOT, require_or_skip
from tests.support.servers import HOST, serve

SERVER: Final = ROOT / "tests" / "support" / "express" / "server.js"
PACKAGES: Final = ROOT / ".artifacts" / "express" / "node_modules"
PATIENCE: Final = 20.0  # seconds


class Answer(NamedTuple):
    """A response of Express or of Python."""

    status: int
    set_cookies: list[str]
    text: str

    @property
    def json(self) -> Any:
        return json.loads(self.text)

    @property
    def session(self) -> Any:
        """The data of the session, without ``cookie`` and ``lembro``."""
        data = self.json["session"]
        return data and {key: data[key] for key in data if key not in ("cookie", "lembro")}


@cache
def node() -> str:
    """Return the path of a node that runs the packages, or skip the test."""
    found = subprocess.run(
        ["sh", str(ROOT / "tools" / "express.sh"), "find"],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
        cwd=ROOT,
    )
    return found.stdout.strip() or require_or_skip("no Node 20.19 or newer on this machine")


def environment() -> dict[str, str]:
    """Return the environment in which Node finds the packages, or skip the test."""
    if not (PACKAGES.parent / "installed.json").is_file():
        require_or_skip(f"no npm packages in {PACKAGES.parent} (sh tools/express.sh ensure)")
    return {"NODE_PATH": str(PACKAGES), "NODE_ENV": "test"}


class Express:
    """An Express application, whose sites have a store each."""

    def __init__(self, port: int) -> None:
        self.port = port
        self._connection = self._connect()
        self._numbers = itertools.count(1)

    def _connect(self) -> http.client.HTTPConnection:
        return http.client.HTTPConnection(HOST, self.port, timeout=PATIENCE)

    def mount(self, store: Mapping[str, Any], **session: Any) -> ExpressSite:
        """Add a site, and return it.

        Args:
            store: Its ``kind``, which is a name of ``stores`` in ``server.js``, and its options.
            session: The options of express-session.
        """
        path = f"/site{next(self._numbers)}"
        body = {"path": path, "store": dict(store), "session": session}
        answer = self.ask("/mount", body)
        assert answer.status == 200, answer.text
        return ExpressSite(self, path)

    def ask(
        self, path: str, body: object = None, cookie: str = "", headers: Mapping[str, str] = {}
    ) -> Answer:
        """Send a request: a POST with the body as JSON, or a GET without one."""
        send(self._connection, path, body, cookie, headers)
        return received(self._connection)

    def close(self) -> None:
        self._connection.close()

    @contextmanager
    def held(self, path: str, body: object = None, cookie: str = "") -> Iterator[list[Answer]]:
        """Send a request whose handler waits, with its session loaded, until the block ends.

        The list has the response after the block.
        """
        name = str(next(self._numbers))
        connection = self._connect()
        answers: list[Answer] = []
        try:
            send(connection, f"{path}?hold={name}", body, cookie)
            self.ask(f"/held/{name}")
            yield answers
            self.ask(f"/release/{name}")
            answers.append(received(connection))
        finally:
            connection.close()


class ExpressSite:
    """One site of an Express application."""

    def __init__(self, express: Express, path: str) -> None:
        self._express = express
        self._path = path

    def ask(
        self, path: str, body: object = None, cookie: str = "", headers: Mapping[str, str] = {}
    ) -> Answer:
        return self._express.ask(self._path + path, body, cookie, headers)

    def held(
        self, path: str, body: object = None, cookie: str = ""
    ) -> AbstractContextManager[list[Answer]]:
        return self._express.held(self._path + path, body, cookie)


def send(
    connection: http.client.HTTPConnection,
    path: str,
    body: object,
    cookie: str,
    headers: Mapping[str, str] = {},
) -> None:
    sent = dict(headers)
    if cookie:
        sent["Cookie"] = cookie
    if body is None:
        connection.request("GET", path, headers=sent)
    else:
        sent["Content-Type"] = "application/json"
        connection.request("POST", path, json.dumps(body), sent)


def received(connection: http.client.HTTPConnection) -> Answer:
    response = connection.getresponse()
    text = response.read().decode()
    return Answer(response.status, response.headers.get_all("set-cookie") or [], text)


@contextmanager
def express() -> Iterator[Express]:
    """Run Express until the block ends."""
    command = [node(), "--no-deprecation", str(SERVER), "{port}"]
    with serve(command, env=environment()) as server:
        express = Express(server.port)
        yield express
        express.close()
