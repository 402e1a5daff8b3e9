"""Ten thousand simulated visitors without cookies, so that each request begins a session."""

from __future__ import annotations

import asyncio
import time
from typing import Any, Final

from starlette.types import ASGIApp

from lembro import MemoryStore

from .visitors import REGULARS, Regulars, Visitor

TOTAL: Final = 10_000
A_SECOND: Final = 1_250
AT_A_TIME: Final = 20  # requests of a slice; after it, other requests are served

HEADERS: Final = {
    "host": "127.0.0.1",
    "user-agent": "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko)"
    " Chrome/140.0.0.0 Safari/537.36",
    "referer": "https://shopping.example/compare?category=coffee&sort=price&page=3",
    "accept-language": "en-US,en;q=0.9",
}
QUERY: Final = "utm_source=compare&utm_medium=cpc&utm_campaign=autumn&offer={}"


class Bots:
    """Sends bots, one run at a time. A run works in small slices, between other requests."""

    def __init__(self, store: MemoryStore, regulars: Regulars) -> None:
        self._store = store
        self._regulars = regulars
        self._task: asyncio.Task[None] | None = None
        self._sent = 0
        self._peak = 0
        self._evicted = 0
        self._seconds = 0.0
        self._lost = self._lost_as_newcomers = 0

    @property
    def running(self) -> bool:
        return self._task is not None and not self._task.done()

    def send(self, app: ASGIApp) -> bool:
        """Start a run. Return False if one is running already."""
        if self.running:
            return False
        self._task = asyncio.create_task(self._run(app))
        return True

    async def stop(self) -> None:
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)

    def report(self) -> dict[str, Any] | None:
        """Return the progress of the run, or its result; None before the first run."""
        if self._task is None:
            return None
        return {
            "running": self.running,
            "sent": self._sent,
            "total": TOTAL,
            "peak": self._peak,
            "evicted": self._evicted,
            "seconds": self._seconds,
            "regulars": REGULARS,
            "lost": self._lost,
            "lost_as_newcomers": self._lost_as_newcomers,
        }

    async def _run(self, app: ASGIApp) -> None:
        self._sent = self._peak = self._evicted = 0
        evicted_before = self._store.stats().evicted
        regulars = self._regulars
        lost_before = regulars.lost, regulars.lost_as_newcomers
        began = time.monotonic()
        while self._sent < TOTAL:
            due = min(TOTAL, int(A_SECOND * (time.monotonic() - began)) + 1)
            for number in range(self._sent, min(due, self._sent + AT_A_TIME)):
                await Visitor(app, HEADERS).get("/", QUERY.format(number))
                stats = self._store.stats()
                self._sent = number + 1
                self._peak = max(self._peak, stats.used)
                self._evicted = stats.evicted - evicted_before
            self._seconds = time.monotonic() - began
            await asyncio.sleep(0.01)
        await regulars.come_back_all()
        self._lost = regulars.lost - lost_before[0]
        self._lost_as_newcomers = regulars.lost_as_newcomers - lost_before[1]
