"""What the core says to a driver: a flow yields calls to the store and is sent their results.

A flow is a generator, so the core does no I/O and knows neither threads nor event loops.
``_runtime/drivers.py`` performs the calls. A function that may have nothing to ask returns None
instead of a flow.
"""

from __future__ import annotations

from collections.abc import Awaitable, Generator
from typing import Any, Protocol, TypeVar

import msgspec

T = TypeVar("T")


class LegacySource(Protocol):
    """Whoever reads legacy cookies (``migrate/source.py``)."""

    def read(self, value: bytes) -> Any:
        """Read a legacy cookie."""
        ...

    def aread(self, value: bytes) -> Awaitable[Any]:
        """Read a legacy cookie, in an event loop."""
        ...


class Call(msgspec.Struct):
    """A verb of the store to call, or of a legacy source (``of``). (A Struct is made in a quarter
    of the time of a NamedTuple, and one is made for each call.)"""

    verb: str
    args: tuple[Any, ...]
    keywords: dict[str, Any] = {}
    of: Any = None  # a LegacySource


Flow = Generator[Call, Any, T]


def run_flow(flow: Flow[T] | None) -> Flow[T | None]:
    """Run one flow within another; None is a flow that has nothing to ask."""
    return None if flow is None else (yield from flow)
