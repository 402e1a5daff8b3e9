"""Run a call in an event loop, or in a thread that may block."""

from __future__ import annotations

import sys
from collections.abc import Callable, Coroutine
from typing import Any, TypeVar

T = TypeVar("T")


def in_asyncio() -> bool:
    """Return whether an event loop of asyncio runs in this thread."""
    asyncio: Any = sys.modules.get("asyncio")  # if it is not imported, no loop of it runs
    return asyncio is not None and asyncio._get_running_loop() is not None


def in_event_loop() -> bool:
    """Return whether an event loop runs in this thread, which must not block then."""
    if in_asyncio():
        return True
    trio: Any = sys.modules.get("trio")
    if trio is None:
        return False
    try:
        trio.lowlevel.current_task()
    except RuntimeError:
        return False
    return True


async def in_thread(function: Callable[[], T]) -> T:
    """Call a blocking function in a worker thread, under asyncio, or with anyio also under trio."""
    try:
        from anyio import to_thread  # noqa: PLC0415 - optional
    except ImportError:
        import asyncio  # noqa: PLC0415 - loaded where it is used

        return await asyncio.to_thread(function)
    return await to_thread.run_sync(function)


def is_coroutine_function(function: object) -> bool:
    """Return whether a call of ``function`` has to be awaited."""
    import inspect  # noqa: PLC0415 - slow to import

    return inspect.iscoroutinefunction(function)


class LoopBridge:
    """Runs coroutines of an event loop for worker threads that wait for them."""

    __slots__ = ("_loop",)

    def __init__(self) -> None:
        self._loop: Any = None

    def note_loop(self) -> None:
        """Remember the asyncio loop that runs in this thread, if one does."""
        asyncio: Any = sys.modules.get("asyncio")
        loop = None if asyncio is None else asyncio._get_running_loop()
        if loop is not None:
            self._loop = loop

    def run(self, function: Callable[[], Coroutine[Any, Any, T]]) -> T:
        """Await ``function()`` on the application's loop, and wait for it in this thread.

        Raises:
            RuntimeError: no event loop is known that could run it.
        """
        anyio: Any = sys.modules.get("anyio")
        if anyio is not None:
            from anyio import from_thread  # noqa: PLC0415

            started = False

            async def noted() -> T:
                nonlocal started
                started = True
                return await function()

            try:
                return from_thread.run(noted)  # a thread that anyio started knows its loop
            except RuntimeError:
                if started or self._loop is None:  # function() itself failed, or no loop is known
                    raise
        loop = self._loop
        if loop is None or not loop.is_running():
            raise RuntimeError("no event loop runs that could await it")
        import asyncio  # noqa: PLC0415

        return asyncio.run_coroutine_threadsafe(function(), loop).result()
