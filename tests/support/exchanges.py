"""Requests and responses without a framework, for tests of the code that all integrations share."""

from __future__ import annotations

from lembro import Session, SessionManager
from lembro.integrations._adapter import ErrorResponse, Exchange, encoded, runner_of


class PlainExchange(Exchange):
    """A request that consists of a Cookie header and a scheme."""

    __slots__ = ("_cookies", "_https")

    def __init__(
        self, manager: SessionManager, cookies: str | None = None, *, https: bool = False
    ) -> None:
        self.runner = runner_of(manager)
        self._cookies = cookies
        self._https = https
        self.session = Session(self)

    def cookie_headers(self) -> list[bytes]:
        return encoded(self._cookies)

    def https(self) -> bool:
        return self._https

    def client(self) -> str:
        return "127.0.0.1"


class PlainResponse:
    """A response that consists of a status and header lines."""

    def __init__(self, status: int = 200, **headers: str) -> None:
        self._status = status
        self.headers = {name.replace("_", "-"): [value] for name, value in headers.items()}
        self.error: ErrorResponse | None = None
        """The response that has replaced this one."""

    @property
    def cookies(self) -> list[str]:
        """The Set-Cookie headers."""
        return self.headers.get("Set-Cookie", [])

    @property
    def cookie(self) -> str:
        """The name and the value of the first cookie."""
        return self.cookies[0].partition(";")[0]

    def status(self) -> int:
        return self._status

    def lines(self, name: str) -> list[str]:
        return self.headers.get(name, [])

    def set(self, name: str, value: str) -> None:
        self.headers[name] = [value]

    def add(self, name: str, value: str) -> None:
        self.headers.setdefault(name, []).append(value)

    def replace(self, error: ErrorResponse) -> None:
        self.error = error
