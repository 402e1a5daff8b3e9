"""A clock that is turned by hand, and that can take the time between two looks at it."""

from __future__ import annotations

from time import perf_counter, thread_time


class Watch:
    """Seconds, moved on by ``forward``.

    A store that works in slices looks at its clock at the beginning of each. While ``record`` is a
    list, each look appends what has passed since the last one: seconds of processor time of this
    thread and of real time.
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
