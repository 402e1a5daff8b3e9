"""Let several visits wait for each other."""

from __future__ import annotations

import threading
from typing import Protocol

import anyio


class Meeting(Protocol):
    """A visit that calls ``meet`` waits there until all others have called it."""

    async def meet(self) -> None: ...


class TaskMeeting:
    """A meeting of tasks in one event loop."""

    def __init__(self, parties: int) -> None:
        self._missing = parties
        self._complete = anyio.Event()

    async def meet(self) -> None:
        self._missing -= 1
        if not self._missing:
            self._complete.set()
        with anyio.fail_after(10):
            await self._complete.wait()


class ThreadMeeting:
    """A meeting of threads."""

    def __init__(self, parties: int) -> None:
        self._barrier = threading.Barrier(parties, timeout=10)

    async def meet(self) -> None:
        self._barrier.wait(10)
