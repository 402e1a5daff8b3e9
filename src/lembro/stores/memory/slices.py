"""Long work in slices: they hold the lock for about half a millisecond each, so that verbs of other
threads run in between. Purging, reducing and clearing work this way."""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import Final, Protocol

from ...events import Event
from .linked_lists import NONE
from .parts import Parts

SLICE: Final = 0.0005  # seconds that a slice holds the lock
BATCH: Final = 16  # steps of a slice between two readings of the clock
REST: Final = 0.001  # seconds between two slices of the thread, so that other threads run first


class Sliced(Protocol):
    """The part of a store that this module uses."""

    _parts: Parts
    _pending: list[Event]

    @property
    def _lock(self) -> AbstractContextManager[None]: ...
    def _now(self) -> float: ...
    def _emit_pending(self) -> None: ...


def run(store: Sliced, step: Callable[[float], int], batch: int = BATCH) -> int:
    """Repeat a step under the lock, for the time of a slice or until it returns NONE.

    Returns:
        The sum of what the steps returned, or NONE if the first one returned that.
    """
    total, steps = 0, 0
    with store._lock:
        now = store._now()
        end = time.perf_counter() + SLICE
        while (count := step(now)) != NONE:
            total += count
            steps += 1
            if not steps % batch and time.perf_counter() > end:
                break
    if store._pending:
        store._emit_pending()
    return total if steps else NONE


def purge(store: Sliced, limit: int | None, rest: float) -> int:
    """Purge and compact, with ``rest`` seconds between the slices. Return how many expired."""
    parts = store._parts
    with store._lock:
        parts.wheel.collect(store._now())
    total, sweep_step = 0, parts.sweep.limited(limit)
    while (count := run(store, sweep_step)) != NONE:
        total += count
        time.sleep(rest)
    steps = (parts.compaction.shrink_step, parts.compaction.compact_step)
    for step in (*steps, parts.adoption.marks.expire_step):
        while run(store, step, 1) != NONE:
            time.sleep(rest)
    return total


def repeat(store: Sliced, step: Callable[[float], int], batch: int = BATCH) -> int:
    """Repeat a step until it returns NONE. Return the sum of what it returned before."""
    total = 0
    while (count := run(store, step, batch)) != NONE:
        total += count
        time.sleep(0)
    return total
