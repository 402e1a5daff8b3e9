"""What the core says to a driver: a flow yields calls of the store, and is sent their results."""

from __future__ import annotations

from collections.abc import Generator
from typing import TYPE_CHECKING, Any, NamedTuple, TypeVar

if TYPE_CHECKING:
    from ..migrate.source import Source

T = TypeVar("T")


class Call(NamedTuple):
    """A verb of the store, to be called; or of what is named instead: a cookie of old, which its
    reader is to look at."""

    verb: str
    args: tuple[Any, ...]
    keywords: dict[str, Any] = {}  # noqa: RUF012 - never written to
    of: Source | None = None


Flow = Generator[Call, Any, T]
