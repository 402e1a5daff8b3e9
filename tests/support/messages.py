"""The request of a client to an application in the same process, and the response."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any


@dataclass
class Request:
    """A request, byte by byte."""

    cookies: list[bytes] = field(default_factory=list)
    """The values of the Cookie headers."""
    https: bool = False
    path: str = "/"
    query: str = ""
    headers: list[tuple[bytes, bytes]] = field(default_factory=list)
    websocket: bool = False
    sending: Callable[[], Awaitable[None]] | None = None
    """Awaited whenever the application sends something."""


@dataclass
class Answer:
    """A response, and what else the application did."""

    status: int = 0
    headers: list[tuple[bytes, bytes]] = field(default_factory=list)
    body: bytes = b""
    error: BaseException | None = None
    """What the application raised into the server."""
    closed: tuple[int, str] | None = None
    """The code and reason with which a WebSocket was closed."""
    result: Any = None
    """The return value of the script."""

    def all(self, name: str) -> list[str]:
        """Return every header of this name."""
        wanted = name.lower().encode()
        return [value.decode("latin-1") for key, value in self.headers if key.lower() == wanted]

    def tokens(self, name: str) -> set[str]:
        """Return the elements of a comma-separated header, in lower case."""
        return {part.strip().lower() for value in self.all(name) for part in value.split(",")}

    @property
    def set_cookies(self) -> list[str]:
        return self.all("set-cookie")

    @property
    def sets_session(self) -> bool:
        """Whether the response issues a session cookie."""
        return any(value for _, value, _ in map(parse_set_cookie, self.set_cookies))

    @property
    def clears_session(self) -> bool:
        return any(not value for _, value, _ in map(parse_set_cookie, self.set_cookies))


def parse_set_cookie(header: str) -> tuple[str, str, dict[str, str]]:
    """Return name, value and attributes (in lower case) of a Set-Cookie header."""
    pair, *attributes = header.split(";")
    name, _, value = pair.partition("=")
    parsed = {}
    for attribute in attributes:
        key, _, content = attribute.strip().partition("=")
        parsed[key.lower()] = content
    return name.strip(), value.strip(), parsed
