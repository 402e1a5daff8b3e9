"""MemoryStore: the lock, the clock and the thread around the core."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from datetime import timedelta
from typing import Final

from ... import bytesize
from ..._log import log
from ...events import Event, Events, EventSource
from ..base import Found, PerUser, Record
from . import fork, purger, settings, worker_check
from .clock import Clamped, Clock
from .linked_lists import NONE
from .lock import Lock
from .resident import resident
from .stats import Stats
from .verbs import Core

SLICE: Final = 0.0005  # seconds that purging and reducing hold the lock at a time
PART: Final = 256  # slots that an iteration looks at while it holds the lock
BATCH: Final = 16  # records between two looks at the time
REST: Final = 0.001  # seconds between two slices of the purger, so that others come first


class MemoryStore(EventSource):
    """Sessions in this process's memory, bounded in true bytes and purged by themselves.

    ``max_size`` bounds everything the store takes, at every moment (``"4M"`` or bytes, at least
    64 KiB). ``interval`` is how often a thread looks for expired sessions, in seconds or as a
    timedelta: they are gone within two of them, without traffic. ``max_session_size`` is the most
    that one session may take (a sixteenth of ``max_size``). ``reduce_to`` is the share of
    ``max_size`` that :meth:`reduce` goes down to. ``clock`` returns seconds (time.monotonic).

    ``on``, ``once`` and ``off`` register listeners of ``expired``, ``evicted``, ``reduced`` and
    ``error``.

    Raises ConfigError for what cannot work. All methods may be called from any thread.
    """

    blocking: bool = False

    def __init__(
        self,
        max_size: int | str = "4M",
        *,
        interval: float | timedelta = 360,
        max_session_size: int | str | None = None,
        reduce_to: float = 0.75,
        clock: Clock | None = None,
    ) -> None:
        self.max_size: Final = settings.check_max_size(max_size)
        self.interval: Final = settings.check_interval(interval)
        self.max_session_size: Final = settings.check_max_session_size(
            max_session_size, self.max_size
        )
        self.reduce_to: Final = settings.check_reduce_to(reduce_to)
        settings.warn_of_too_much(self.max_size)
        self.events: Events = Events()
        # The births of standings outlive the process, so by default they are told in wall time.
        self._now: Clock = time.monotonic if clock is None else Clamped(clock)
        epoch = time.time() - self._now() if clock is None else 0.0
        self._core = Core(
            max_size=self.max_size,
            max_session_size=self.max_session_size,
            reduce_to=self.reduce_to,
            interval=self.interval,
            now=self._now(),
            epoch=epoch,
            heard=self.events.heard,
        )
        self._lock: Lock | fork.FirstUse = Lock()
        self._purger: purger.Purger | None = None
        self._awake = False  # whether the purger was started (or is not wanted)
        self._closed = False
        self._copied = False  # by a fork, with sessions in it
        self._purge_errors = 0
        fork.watch(self)
        worker_check.claim()

    def __repr__(self) -> str:
        return (
            f"<MemoryStore {bytesize.pretty(self._core.used)} of {bytesize.pretty(self.max_size)}, "
            f"{sum(self._core.queues.counts)} sessions>"
        )

    # --- the contract

    def get(self, key: bytes) -> Found | None:
        core, lock = self._core, self._lock
        if not lock.acquire(False):
            lock.wait()
        try:
            return core.get(key, self._now())
        finally:
            lock.release()
            if core.news:
                self._tell()

    def add(
        self,
        key: bytes,
        record: Record,
        *,
        idle: float,
        life: float,
        per_user: PerUser | None = None,
    ) -> bool:
        core, lock = self._core, self._lock
        if not self._awake:
            self._wake()
        if not lock.acquire(False):
            lock.wait()
        try:
            return core.add(key, record, idle, life, per_user, self._now())
        finally:
            lock.release()
            if core.news:
                self._tell()

    def set(self, key: bytes, record: Record, *, expected: bytes, idle: float) -> Found | None:
        core, lock = self._core, self._lock
        if not lock.acquire(False):
            lock.wait()
        try:
            return core.set(key, record, expected, idle, self._now())
        finally:
            lock.release()
            if core.news:
                self._tell()

    def replace(
        self,
        old: bytes,
        new: bytes,
        record: Record,
        *,
        expected: bytes,
        idle: float,
        life: float | None,
        grace: float,
        per_user: PerUser | None = None,
    ) -> Found | None:
        try:
            with self._lock:
                return self._core.replace(
                    old,
                    new,
                    record,
                    expected=expected,
                    idle=idle,
                    life=life,
                    grace=grace,
                    per_user=per_user,
                    now=self._now(),
                )
        finally:
            self._after_write()

    def touch(self, key: bytes, *, idle: float) -> bool:
        core, lock = self._core, self._lock
        if not lock.acquire(False):
            lock.wait()
        try:
            return core.touch(key, idle, self._now())
        finally:
            lock.release()
            if core.news:
                self._tell()

    def destroy(self, key: bytes, *, expected: bytes | None = None) -> Found | None:
        try:
            with self._lock:
                return self._core.destroy(key, expected, self._now())
        finally:
            self._after_write()

    # --- what a store may offer besides

    def all(self) -> Iterator[tuple[bytes, Found]]:
        """Every live session, in no order. What is added or goes meanwhile may or may not be
        among them; the store is free in between."""
        core = self._core
        reader = object()
        core.readers.add(reader)
        try:
            start = 0
            while start < core.slots.fresh:
                with self._lock:
                    found = core.sessions_in(range(start, start + PART), self._now())
                start += PART
                yield from found
        finally:  # without the lock, which the thread may hold when it collects garbage
            core.readers.discard(reader)

    def length(self) -> int:
        """How many live sessions there are (purges first)."""
        self.purge()
        return sum(self._core.queues.counts)

    def clear(self) -> None:
        """Remove everything, and give back what it took in slices of a millisecond."""
        core = self._core
        while self._slice(core.large_step) != NONE:
            time.sleep(0)
        with self._lock:
            core.clear()
        while self._slice(core.give_back_step) != NONE:
            time.sleep(0)

    def purge(self, limit: int | None = None) -> int:
        """Remove expired records, at most ``limit``, in slices of a millisecond."""
        return self._purge(limit, rest=0.0)

    def reduce(self) -> int:
        """Evict down to ``reduce_to`` of ``max_size`` in slices of a millisecond: expired
        sessions first, then those of passers-by, the logged-in last. How many went."""
        core = self._core
        log.debug("reduce: start %s", bytesize.pretty(core.used))
        self.purge()
        total = 0
        while (count := self._slice(core.step_down, 1)) != NONE:
            total += count
            time.sleep(0)
        log.debug("reduce: done %s", bytesize.pretty(core.used))
        if self.events.heard("reduced"):
            self.events.emit(Event("reduced", reason=f"{total} evicted"))
        return total

    def of_user(self, user: str) -> list[tuple[bytes, Found]]:
        """The live sessions of a user, the oldest first."""
        with self._lock:
            return self._core.of_user(user, self._now())

    def destroy_user(self, user: str, keep: bytes | None = None) -> list[bytes]:
        """Remove a user's sessions and replaced keys, but for ``keep`` and what leads to it;
        the keys of the sessions."""
        try:
            with self._lock:
                return self._core.destroy_user(user, keep, self._now())
        finally:
            self._after_write()

    def stats(self) -> Stats:
        core = self._core
        rss = resident()
        with self._lock:
            now, oldest = self._now(), core.queues.oldest(0)
            a, b, c, d, e = core.queues.counts
            return Stats(
                used=core.used,
                max_size=self.max_size,
                sessions=a + b + c + d + e,
                replaced=core.queues.replaced,
                tiers=(a, b, c, d, e),
                expired=core.expired,
                evicted=core.evicted,
                rejected_too_large=core.too_large,
                purge_errors=self._purge_errors,
                oldest_passing=None if oldest == NONE else now - core.used_at(oldest),
                rss=rss,
            )

    def new_reputation(self) -> bytes:
        """A standing born now: 8 random bytes, 8 bytes of the time."""
        return self._core.reputations.new(self._now())

    # --- the end

    def open(self) -> None:
        """Let the purger's thread run again after :meth:`close`: an application may be started
        more than once in a process."""
        with self._lock:
            if not self._closed:
                return
            self._closed = self._awake = False
            anything = self._core.records > 0
        if anything:  # else at the first add
            self._wake()

    def close(self) -> None:
        """Stop the purger's thread. The store can still be used; it then purges when written to
        and when :meth:`purge` is called."""
        with self._lock:
            self._closed = self._awake = True
            running, self._purger = self._purger, None
        if running is not None:
            running.stop()

    # --- within

    def _after_write(self) -> None:
        if self._core.news:
            self._tell()

    def _tell(self) -> None:
        with self._lock:
            news, self._core.news = self._core.news, []
        self.events.emit_all(news)

    def _wake(self) -> None:
        """At the first add: start the purger."""
        with self._lock:
            if self._awake:
                return
            self._awake = True
            self._purger = purger.start(self, self.interval)

    def _slice(self, step: Callable[[float], int], batch: int = BATCH) -> int:
        """Repeat a step under the lock for about a millisecond, or until it returns NONE; the sum
        of what it returned, or NONE if the first step did."""
        total, steps = 0, 0
        with self._lock:
            now = self._now()
            end = time.perf_counter() + SLICE
            while (count := step(now)) != NONE:
                total += count
                steps += 1
                if not steps % batch and time.perf_counter() > end:
                    break
        self._after_write()
        return total if steps else NONE

    def _purge(self, limit: int | None, rest: float) -> int:
        """Purge in slices, with ``rest`` seconds between them, and give back what is free."""
        core = self._core
        with self._lock:
            core.wheel.gather(self._now())
        total, left = 0, limit

        def look(now: float) -> int:
            nonlocal left
            if (left is not None and left <= 0) or (looked := core.look(now)) == NONE:
                return NONE
            left = None if left is None else left - looked
            return looked

        while (count := self._slice(look)) != NONE:
            total += count
            time.sleep(rest)
        for tidy in (core.compact_step, core.evacuate_step):
            while self._slice(tidy, 1) != NONE:
                time.sleep(rest)
        return total

    def _purge_round(self) -> None:
        self._purge(None, REST)

    def _purge_failed(self, error: Exception) -> None:
        self._purge_errors += 1
        log.error("purging failed, and will be tried again", exc_info=error)
        self.events.emit(Event("error", error=error))

    def _after_fork(self) -> None:
        """In the child: a lock and a thread of its own, and at the first use a word on what
        this process holds."""
        self._purger = None
        self._awake = self._closed
        self._copied = self._core.records > 0
        self._lock = fork.FirstUse(self, self._first_use_in_child)

    def _first_use_in_child(self) -> None:
        worker_check.claim()
        if self._copied:
            self._copied = False
            worker_check.warn_of_copy()
            if not self._awake:  # what was copied is to be purged as well
                self._wake()
