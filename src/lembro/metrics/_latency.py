"""Measure how long the verbs of a store take, in histograms that are cheap to fill."""

from __future__ import annotations

import threading
from bisect import bisect_left
from collections.abc import Callable, Iterator
from itertools import accumulate
from time import perf_counter
from typing import Any, Final

from ._fork import new_lock_after_fork

BOUNDS: Final = (
    *(0.000_005, 0.000_025, 0.000_1, 0.000_5),
    *(0.001, 0.002_5, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0),
)
"""The upper bounds of the buckets in seconds: from a MemoryStore to a server that hangs."""

MOST_PENDING: Final = 1000  # durations that are not in a histogram yet

Verb = Callable[..., Any]


class Latency:
    """A watcher that fills a histogram for each verb, and counts the errors.

    A call only appends its duration to a list. The histograms are filled when they are read, or
    when the list is long. So the cost of a call is a third of that of a histogram of
    prometheus_client.
    """

    def __init__(self) -> None:
        self._pending: dict[str, list[float]] = {}
        self._cells: dict[str, list[float]] = {}  # the buckets, the one above them, and the sum
        self._errors: dict[tuple[str, str], int] = {}
        self._lock = threading.Lock()
        new_lock_after_fork(self)

    def watched(self, name: str, verb: Verb) -> Verb:
        """Return a function that calls a verb, and measures it."""
        pending = self._pending_of(name)
        append = pending.append

        def call(*args: Any, **keywords: Any) -> Any:
            begun = perf_counter()
            try:
                return verb(*args, **keywords)
            except Exception as error:
                self._note(name, error)
                raise
            finally:
                append(perf_counter() - begun)
                if len(pending) > MOST_PENDING:
                    self._fill(name)

        return call

    def awaited(self, name: str, verb: Verb) -> Verb:
        """Return a coroutine function that awaits a verb, and measures it."""
        pending = self._pending_of(name)
        append = pending.append

        async def call(*args: Any, **keywords: Any) -> Any:
            begun = perf_counter()
            try:
                return await verb(*args, **keywords)
            except Exception as error:
                self._note(name, error)
                raise
            finally:
                append(perf_counter() - begun)
                if len(pending) > MOST_PENDING:
                    self._fill(name)

        return call

    def histograms(self) -> Iterator[tuple[str, list[tuple[str, float]], float]]:
        """Yield the name of each verb that was called, its cumulative buckets, and its sum."""
        bounds = [*map(str, BOUNDS), "+Inf"]
        for name in self._pending:
            *buckets, total = self._fill(name)
            if any(buckets):
                yield name, list(zip(bounds, accumulate(buckets), strict=True)), total

    def errors(self) -> dict[tuple[str, str], int]:
        """Return the number of errors, by verb and class of the error."""
        with self._lock:
            return dict(self._errors)

    def _pending_of(self, name: str) -> list[float]:
        self._cells[name] = [0] * (len(BOUNDS) + 1) + [0.0]
        return self._pending.setdefault(name, [])

    def _fill(self, name: str) -> list[float]:
        """Fill the histogram of a verb with what is pending. Return a copy of its cell."""
        pending, cell = self._pending[name], self._cells[name]
        with self._lock:
            taken = pending[:]
            del pending[: len(taken)]  # another thread may append meanwhile
            for seconds in taken:
                cell[bisect_left(BOUNDS, seconds)] += 1
                cell[-1] += seconds
            return cell[:]

    def _note(self, name: str, error: Exception) -> None:
        key = name, type(error).__name__
        with self._lock:
            self._errors[key] = self._errors.get(key, 0) + 1
