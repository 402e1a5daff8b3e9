"""A task that stops waiting for its turn leaves nothing to the garbage collector."""

from __future__ import annotations

import asyncio
import gc
import weakref

from lembro._core.turns import Turns


def test_a_cancelled_task_is_freed_at_once() -> None:
    async def scenario() -> bool:
        turns = Turns()
        await turns.aacquire()
        task = asyncio.ensure_future(turns.aacquire())
        await asyncio.sleep(0)
        task.cancel()
        await asyncio.wait([task])
        alive = weakref.ref(task)
        del task
        return alive() is None

    gc.collect()
    gc.disable()
    try:
        assert asyncio.run(scenario())
    finally:
        gc.enable()
