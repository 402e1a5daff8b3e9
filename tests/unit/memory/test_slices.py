"""Long work in slices, on a clock that the steps advance."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import SimpleNamespace
from typing import Any

import pytest

from lembro.stores.memory import slices
from lembro.stores.memory.linked_lists import NONE


class Store:
    """What ``slices`` uses of a store, and notes of what it did."""

    def __init__(self) -> None:
        self.did: list[Any] = []
        self._parts: Any = None
        self._pending: list[Any] = []

    @property
    @contextmanager
    def _lock(self) -> Iterator[None]:
        self.did.append("lock")
        yield
        self.did.append("unlock")

    def _now(self) -> float:
        return 7.0

    def _emit_pending(self) -> None:
        self.did.append("events")
        self._pending.clear()


@pytest.fixture
def store(monkeypatch: pytest.MonkeyPatch) -> Store:
    made = Store()
    monkeypatch.setattr("time.sleep", made.did.append)
    return made


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> SimpleNamespace:
    """``seconds`` is the time, and ``read`` counts how often it was asked for."""
    made = SimpleNamespace(seconds=0.0, read=0)

    def perf_counter() -> float:
        made.read += 1
        return float(made.seconds)

    monkeypatch.setattr("time.perf_counter", perf_counter)
    return made


def steps(*counts: int) -> Callable[[float], int]:
    left = iter(counts)
    return lambda now: next(left, NONE) if now == 7.0 else pytest.fail("another time")


def test_a_slice_ends_when_the_work_ends(store: Store, clock: SimpleNamespace) -> None:
    assert slices.run(store, steps(3, 0, 4)) == 7
    assert store.did == ["lock", "unlock"]
    assert clock.read == 1


def test_work_that_has_ended_is_none(store: Store, clock: SimpleNamespace) -> None:
    assert slices.run(store, steps()) == NONE
    assert slices.run(store, steps(0)) == 0


def test_the_clock_is_read_after_each_batch_and_ends_the_slice(
    store: Store, clock: SimpleNamespace
) -> None:
    done: list[float] = []

    def step(now: float) -> int:
        done.append(now)
        if len(done) == 4:
            clock.seconds = slices.SLICE  # the slice is over after this, not at this time
        if len(done) == 7:
            clock.seconds = slices.SLICE + 1e-6
        return 1

    assert slices.run(store, step, 3) == 9
    assert clock.read == 4
    assert slices.SLICE == 0.0005
    assert slices.BATCH == 16


def test_without_a_batch_sixteen_steps_come_before_the_clock(
    store: Store, clock: SimpleNamespace
) -> None:
    def step(now: float) -> int:
        clock.seconds += 1
        return 1

    assert slices.run(store, step) == 16


def test_events_are_emitted_without_the_lock(store: Store, clock: SimpleNamespace) -> None:
    store._pending.append("expired")
    slices.run(store, steps(1))
    assert store.did == ["lock", "unlock", "events"]


def test_repeat_lets_other_threads_run_between_slices(store: Store, clock: SimpleNamespace) -> None:
    def step(now: float) -> int:
        clock.seconds += 1
        return 1 if clock.seconds < 6 else NONE

    assert slices.repeat(store, step, 2) == 5
    assert store.did == [
        "lock",
        "unlock",
        0,
        "lock",
        "unlock",
        0,
        "lock",
        "unlock",
        0,
        "lock",
        "unlock",
    ]


def test_a_purge_rests_between_all_slices(store: Store, clock: SimpleNamespace) -> None:
    """The expired sessions first, then each step of compaction alone."""
    order: list[str] = []

    def some(name: str, *counts: int) -> Callable[[float], int]:
        left = iter(counts)

        def step(now: float) -> int:
            order.append(name)
            clock.seconds += 1
            return next(left, NONE)

        return step

    def limited(limit: int | None) -> Callable[[float], int]:
        order.append(f"limit {limit}")
        return some("sweep", 5, 6)

    store._parts = SimpleNamespace(
        wheel=SimpleNamespace(collect=lambda now: order.append(f"collect {now}")),
        sweep=SimpleNamespace(limited=limited),
        compaction=SimpleNamespace(
            shrink_step=some("shrink", 1), compact_step=some("compact", 1, 1)
        ),
        adoption=SimpleNamespace(marks=SimpleNamespace(expire_step=some("marks", 1))),
    )
    assert slices.purge(store, 9, 0.25) == 11
    assert order == [
        *("collect 7.0", "limit 9", "sweep", "sweep", "sweep", "sweep"),
        *("shrink", "shrink", "compact", "compact", "compact", "marks", "marks"),
    ]
    assert store.did.count(0.25) == 1 + 1 + 2 + 1
