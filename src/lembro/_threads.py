"""Calls a blocking function from an event loop."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")


async def in_thread(function: Callable[[], T]) -> T:
    """Call a blocking function in a worker thread, under asyncio, or trio where anyio is there."""
    try:
        from anyio import to_thread  # noqa: PLC0415 - an optional dependency
    except ImportError:
        return await asyncio.to_thread(function)
    return await to_thread.run_sync(function)
