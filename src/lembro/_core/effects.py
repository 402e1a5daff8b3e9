"""Calls to the store, and the flows that yield them and are sent their results.

A flow is a generator, so the core does no I/O and knows neither threads nor event loops.
``_runtime/drivers.py`` performs the calls. A function that needs no call returns None instead of a
flow.
"""

from __future__ import annotations

from collections.abc import Awaitable, Generator
from typing import Any, Protocol, TypeVar

import msgspec

T = TypeVar("T")


class LegacySource(Protocol):
    """A reader of legacy cookies (``migrate/source.py``)."""

    def read(self, value: bytes) -> Any:
        """Read a legacy cookie."""
        ...

    def aread(self, value: bytes) -> Awaitable[Any]:
        """Read a legacy cookie, in an event loop."""
        ...


class Call(msgspec.Struct):
    """A call of one verb, of the store or of a legacy source (``of``).

    It is a Struct, because one is made for each call, and a NamedTuple takes four times as long.
    """

    verb: str
    args: tuple[Any, ...]
    keywords: dict[str, Any] = {}
    of: Any = None  # a LegacySource


Flow = Generator[Call, Any, T]


def run_flow(flow: Flow[T] | None) -> Flow[T | None]:
    """Run one flow within another; None is a flow without calls."""
    return None if flow is None else (yield from flow)
