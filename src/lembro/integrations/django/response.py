"""A response of Django, for lembro's adapter."""

from __future__ import annotations

from http.cookies import Morsel
from typing import Any, ClassVar

from django.http import HttpResponse

from ..._http.headers import vary_with_cookie
from .._adapter import ErrorResponse


class DjangoResponse:
    """A response of Django. After :meth:`replace`, ``response`` is the error response."""

    __slots__ = ("response",)

    def __init__(self, response: Any) -> None:
        self.response: Any = response

    def status(self) -> int:
        """Return the status code."""
        status: int = self.response.status_code
        return status

    def lines(self, name: str) -> list[str]:
        """Return all lines of a header, of which Django keeps at most one."""
        headers = self.response.headers
        return [headers[name]] if name in headers else []

    def set(self, name: str, value: str) -> None:
        """Replace a header."""
        self.response.headers[name] = value

    def add(self, name: str, value: str) -> None:
        """Add a Set-Cookie header to ``response.cookies``, which the test client reads."""
        _set_cookie(self.response, value)

    def replace(self, error: ErrorResponse) -> None:
        """Replace the response with an error."""
        closers = self.response._resource_closers
        self.response = replacement(error)
        self.response._resource_closers.extend(closers)


def replacement(error: ErrorResponse) -> Any:
    """Make the response for an error."""
    return HttpResponse(error.body, status=error.status, headers=error.text_headers)


def add_vary(response: Any) -> None:
    """Add ``Vary: Cookie`` to a response."""
    headers = response.headers
    # The public way to read and set the header takes a tenth of the time of a request that reads.
    held = getattr(headers, "_store", None)
    if held is not None and "vary" not in held:
        held["vary"] = ("Vary", "Cookie")
        return
    value = vary_with_cookie(DjangoResponse(response).lines("Vary"))
    if value is not None:
        headers["Vary"] = value


class _Cookie(Morsel[str]):
    """A cookie that may be Partitioned, which http.cookies supports since Python 3.14."""

    _reserved: ClassVar[dict[str, str]] = {
        **Morsel._reserved,  # type: ignore[attr-defined]
        "partitioned": "Partitioned",
    }
    _flags: ClassVar[set[str]] = {*Morsel._flags, "partitioned"}  # type: ignore[attr-defined]


def _set_cookie(response: Any, header: str) -> None:
    pair, *attributes = header.split("; ")
    name, _, value = pair.partition("=")
    cookie = _Cookie()
    cookie.set(name, value, value)
    for attribute in attributes:
        key, equals, content = attribute.partition("=")
        given: Any = content if equals else True
        cookie[key.lower()] = int(content) if key == "Max-Age" else given  # an int, as Django's
    before = response.cookies.get(name)
    if before is not None and not before.value:  # this removes it from another domain or path
        response.cookies[f"{name} {len(response.cookies)}"] = response.cookies.pop(name)
    response.cookies[name] = cookie
