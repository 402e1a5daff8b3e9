"""What the core says to a driver: a flow yields calls of the store, and is sent their results."""

from __future__ import annotations

from collections.abc import Generator
from typing import Any, NamedTuple, TypeVar

T = TypeVar("T")


class Call(NamedTuple):
    """A verb of the store, to be called."""

    verb: str
    args: tuple[Any, ...]
    keywords: dict[str, Any] = {}  # noqa: RUF012 - never written to


Flow = Generator[Call, Any, T]
