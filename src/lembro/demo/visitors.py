"""Simulated visitors, which call the application in this process, as a server would."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Mapping
from itertools import cycle
from typing import Any, Final

from starlette.types import ASGIApp, Message

REGULARS: Final = 60
KNOWN_AFTER: Final = 11.0  # seconds; at 10 a visitor reaches the next tier


class Visitor:
    """A visitor that sends fixed headers and keeps its cookie."""

    def __init__(self, app: ASGIApp, headers: Mapping[str, str]) -> None:
        self.app: Final = app
        self._headers = [(name.encode(), value.encode()) for name, value in headers.items()]
        self.cookie: bytes = b""

    async def get(self, path: str, query: str = "") -> int:
        return await self._request("GET", path, query)

    async def post(self, path: str, data: object) -> int:
        return await self._request("POST", path, body=json.dumps(data).encode())

    async def _request(self, method: str, path: str, query: str = "", body: bytes = b"") -> int:
        status = 0

        async def receive() -> Message:
            return {"type": "http.request", "body": body, "more_body": False}

        async def send(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                for name, value in message["headers"]:
                    if name == b"set-cookie":
                        self.cookie = value.partition(b";")[0]

        scope: dict[str, Any] = {
            "type": "http",
            "asgi": {"version": "3.0", "spec_version": "2.4"},
            "http_version": "1.1",
            "method": method,
            "scheme": "http",
            "path": path,
            "raw_path": path.encode(),
            "query_string": query.encode(),
            "root_path": "",
            "headers": [*self._headers, *([(b"cookie", self.cookie)] if self.cookie else [])],
            "client": ("127.0.0.1", 0),
            "server": ("127.0.0.1", 0),
        }
        await self.app(scope, receive, send)
        return status


class Regular(Visitor):
    """A visitor that comes back, and notes whether its session is still there."""

    def __init__(self, app: ASGIApp) -> None:
        super().__init__(app, {"host": "127.0.0.1", "user-agent": "Mozilla/5.0 (a regular)"})
        self.began: float = time.monotonic()
        self.seen: float = self.began

    async def come_back(self) -> bool:
        """Visit again. Return whether the session of the last visit was found."""
        before = self.cookie
        await self.get("/")
        return self.cookie == before


class Regulars:
    """Visitors with cookies that come back every few seconds, a third of them logged in."""

    def __init__(self, come_back_after: float) -> None:
        self._pause = come_back_after / REGULARS
        self._all: list[Regular] = []
        self.lost: int = 0
        """How often a visitor who was known found its session lost."""
        self.lost_as_newcomers: int = 0
        """How often a visitor who was not known for long found its session lost."""

    async def run(self, app: ASGIApp) -> None:
        for number in range(REGULARS):
            regular = Regular(app)
            await regular.get("/")
            if number % 3 == 0:
                await regular.post("/login", {"name": f"Regular {number}"})
            self._all.append(regular)
        for regular in cycle(self._all):  # pragma: no branch - it has no end
            await asyncio.sleep(self._pause)
            await self._come_back(regular)

    async def come_back_all(self) -> None:
        """Let all of them visit again now."""
        for regular in self._all:
            await self._come_back(regular)

    async def _come_back(self, regular: Regular) -> None:
        if not await regular.come_back():
            if regular.seen - regular.began < KNOWN_AFTER:
                self.lost_as_newcomers += 1
            else:
                self.lost += 1
        regular.seen = time.monotonic()
