"""A clock that a bench sets, and that can measure the time between two reads of it."""

from __future__ import annotations

from time import perf_counter, thread_time


class Watch:
    """A clock that ``forward`` advances, in seconds.

    A store that works in slices reads its clock at the beginning of each. While ``record`` is a
    list, each read appends the time since the last one: seconds of processor time of this thread
    and of real time.
    """

    def __init__(self) -> None:
        self.now = 1_000_000.0
        self.record: list[tuple[float, float]] | None = None
        self._cpu = self._wall = 0.0

    def __call__(self) -> float:
        if self.record is not None:
            self.lap()
        return self.now

    def forward(self, seconds: float) -> None:
        self.now += seconds

    def start(self) -> None:
        self.record = []
        self._cpu, self._wall = thread_time(), perf_counter()

    def lap(self) -> None:
        assert self.record is not None
        cpu, wall = thread_time(), perf_counter()
        self.record.append((cpu - self._cpu, wall - self._wall))
        self._cpu, self._wall = thread_time(), perf_counter()

    def stop(self) -> list[tuple[float, float]]:
        self.lap()
        record, self.record = self.record, None
        return record or []
