"""A Set-Cookie header as Django keeps it in ``response.cookies``."""

from __future__ import annotations

from http.cookies import Morsel
from typing import Any, ClassVar


class _Cookie(Morsel[str]):
    """With Partitioned, which Python's own knows since 3.14."""

    _reserved: ClassVar[dict[str, str]] = {
        **Morsel._reserved,  # type: ignore[attr-defined]
        "partitioned": "Partitioned",
    }
    _flags: ClassVar[set[str]] = {*Morsel._flags, "partitioned"}  # type: ignore[attr-defined]


def set_cookie(response: Any, header: str) -> None:
    """Add the header to a response, where Django's test client and others look for it."""
    pair, *attributes = header.split("; ")
    name, _, value = pair.partition("=")
    cookie = _Cookie()
    cookie.set(name, value, value)
    for attribute in attributes:
        key, equals, content = attribute.partition("=")
        cookie[key.lower()] = content if equals else True
    response.cookies[name] = cookie
