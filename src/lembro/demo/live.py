"""Send the store's statistics to each open page, four times a second."""

from __future__ import annotations

import asyncio
import json
import time
from collections import deque
from collections.abc import AsyncIterator
from contextlib import suppress
from typing import Any, Final

from lembro import Session, SessionGone, SessionManager, StoreError
from lembro.dashboard.samples import sample_of

from .bots import Bots

EVERY: Final = 0.25  # seconds
WINDOW: Final = 60  # seconds


class Live:
    """Samples the store's statistics at intervals, and keeps the last minute for pages that open.

    Args:
        manager: The manager of the store.
        bots: The simulated visitors, if the demo has them.
    """

    def __init__(self, manager: SessionManager, bots: Bots | None = None) -> None:
        self._manager = manager
        self._bots = bots
        self._began = time.monotonic()
        self._samples: deque[dict[str, Any]] = deque(maxlen=int(WINDOW / EVERY) + 1)
        self._stopping = asyncio.Event()

    async def run(self) -> None:
        while True:
            with suppress(StoreError):
                self._samples.append(await self._sample())
            await asyncio.sleep(EVERY)

    def stop(self) -> None:
        """End all streams, so that the server can end."""
        self._stopping.set()

    async def events(self, session: Session) -> AsyncIterator[str]:
        """Yield the events of one page, until it closes, its session ends, or the server stops.

        After the end of its session, the page connects again with its new cookie.
        """
        last = -1.0
        while not self._stopping.is_set():
            samples = [sample for sample in self._samples if sample["at"] > last]
            last = samples[-1]["at"] if samples else last
            you = await seen(session)
            bots = None if self._bots is None else self._bots.report()
            message = {"you": you, "samples": samples, "bots": bots}
            yield f"data: {json.dumps(message)}\n\n"
            if you is None:
                return
            with suppress(TimeoutError):
                await asyncio.wait_for(self._stopping.wait(), EVERY)

    async def _sample(self) -> dict[str, Any]:
        at = round(time.monotonic() - self._began, 3)
        return {"at": at, **sample_of(await self._manager.astats())}


async def seen(session: Session) -> dict[str, Any] | None:
    """Return the data that other tabs and browsers may change; None without a stored session."""
    try:
        await session.areload()
        if session.is_new:
            return None
        return {"user": session.user_id, "counted": session.get("counted", 0)}
    except SessionGone:
        return None
