"""MemoryStore: the verbs, with a lock, a clock, a thread and events around them.

Purging, reducing and clearing take time. They run in slices that hold the lock for about half a
millisecond, so that verbs of other threads run in between.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from datetime import timedelta
from typing import Final, Never, Self

from ... import bytesize
from ..._log import log
from ...events import Event, Events, EventSource
from ..base import Found, PerUser, Record
from . import fork, purger, settings, worker_check
from .clock import Clamped, Clock
from .linked_lists import NONE
from .lock import Lock
from .parts import Parts
from .resident import resident
from .stats import Stats

SLICE: Final = 0.0005  # seconds that a slice holds the lock
PART: Final = 256  # slots that an iteration reads while it holds the lock
BATCH: Final = 16  # steps of a slice between two readings of the clock
REST: Final = 0.001  # seconds between two slices of the thread, so that other threads run first


class MemoryStore(EventSource):
    """Sessions in the memory of this process, bounded in bytes.

    A thread removes expired sessions. If memory is short, the least recently used sessions of new
    visitors are evicted first, and those of logged-in users last. All methods may be called from
    any thread. As a context manager, the store is opened and closed.

    ``on``, ``once`` and ``off`` register listeners for the events ``expired``, ``evicted``,
    ``reduced`` and ``error``.

    Args:
        max_size: The most memory that the store may use at any moment: bytes, or a text such as
            ``"4M"``. At least 64 KiB.
        interval: How often the thread looks for expired sessions: seconds or a timedelta. Without
            traffic, a session is removed at most two intervals after it has expired.
        max_session_size: The most that one session may take. The default is a sixteenth of
            max_size, but at most 1 MiB.
        reduce_to: The share of max_size that :meth:`reduce` evicts down to.
        clock: A function that returns seconds. The default is ``time.monotonic``.

    Raises:
        ConfigError: An argument cannot work.
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
        **other: Never,
    ) -> None:
        settings.check_names(other)
        self.max_size: Final = settings.check_max_size(max_size)
        self.interval: Final = settings.check_interval(interval)
        self.max_session_size: Final = settings.check_session_size(max_session_size, self.max_size)
        self.reduce_to: Final = settings.check_reduce_to(reduce_to)
        settings.warn_of_too_much(self.max_size)
        self.events: Events = Events()
        # A reputation outlives the process, so by default its time of birth is in wall time.
        self._now: Clock = time.monotonic if clock is None else Clamped(clock)
        epoch = time.time() - self._now() if clock is None else 0.0
        self._parts = Parts(
            max_size=self.max_size,
            max_session_size=self.max_session_size,
            reduce_to=self.reduce_to,
            interval=self.interval,
            now=self._now(),
            epoch=epoch,
            has_listener=self.events.heard,
        )
        self._verbs = self._parts.verbs
        self._pending = self._parts.counters.events  # each verb checks whether there are any
        self._lock: Lock | fork.FirstUse = Lock()
        self._purger: purger.Purger | None = None
        self._awake = False  # the thread was started, or the store is closed
        self._closed = False
        self._copied = False  # a fork made this store, with copies of sessions
        self._purge_errors = 0
        fork.watch(self)
        worker_check.claim()

    def __repr__(self) -> str:
        used, sessions = self._parts.ledger.used, sum(self._parts.queues.counts)
        return (
            f"<MemoryStore {bytesize.pretty(used)} of {bytesize.pretty(self.max_size)}, "
            f"{sessions} sessions>"
        )

    # --- the six verbs of the contract: lembro.stores.base describes them

    # The hot verbs acquire the lock without ``with``, which takes twice as long (lock.py).

    def get(self, key: bytes) -> Found | None:
        lock = self._lock
        if not lock.acquire(False):
            lock.wait()
        try:
            return self._verbs.get(key, self._now())
        finally:
            lock.release()
            if self._pending:
                self._emit_pending()

    def add(
        self,
        key: bytes,
        record: Record,
        *,
        idle: float,
        life: float,
        per_user: PerUser | None = None,
    ) -> bool:
        lock = self._lock
        if not self._awake:
            self._wake()
        if not lock.acquire(False):
            lock.wait()
        try:
            return self._verbs.add(key, record, idle, life, per_user, self._now())
        finally:
            lock.release()
            if self._pending:
                self._emit_pending()

    def set(self, key: bytes, record: Record, *, expected: bytes, idle: float) -> Found | None:
        lock = self._lock
        if not lock.acquire(False):
            lock.wait()
        try:
            return self._verbs.set(key, record, expected, idle, self._now())
        finally:
            lock.release()
            if self._pending:
                self._emit_pending()

    def replace(
        self,
        old: bytes,
        new: bytes,
        record: Record,
        *,
        expected: bytes | None,
        idle: float,
        life: float | None,
        grace: float,
        per_user: PerUser | None = None,
    ) -> Found | None:
        if expected is None:
            self.reserve_marks()
        try:
            with self._lock:
                now = self._now()
                return self._verbs.replace(
                    old, new, record, expected, idle, life, grace, per_user, now
                )
        finally:
            if self._pending:
                self._emit_pending()

    def touch(self, key: bytes, *, idle: float) -> bool:
        lock = self._lock
        if not lock.acquire(False):
            lock.wait()
        try:
            return self._verbs.touch(key, idle, self._now())
        finally:
            lock.release()
            if self._pending:
                self._emit_pending()

    def destroy(self, key: bytes, *, expected: bytes | None = None) -> Found | None:
        try:
            with self._lock:
                return self._verbs.destroy(key, expected, self._now())
        finally:
            if self._pending:
                self._emit_pending()

    # --- the optional methods of the contract

    def all(self) -> Iterator[tuple[bytes, Found]]:
        """Yield every live session, in no particular order.

        Other threads may use the store meanwhile. A session that is added or removed during the
        iteration may or may not be included.
        """
        slots, readers = self._parts.slots, self._parts.compaction.readers
        reader = object()
        readers.add(reader)
        try:
            start = 0
            while start < slots.fresh:
                with self._lock:
                    found = self._verbs.sessions_in(range(start, start + PART), self._now())
                start += PART
                yield from found
        finally:  # without the lock: a garbage collection may run this while the lock is held
            readers.discard(reader)

    def length(self) -> int:
        """Purge, then return how many live sessions there are."""
        self.purge()
        return sum(self._parts.queues.counts)

    def clear(self) -> None:
        """Remove all sessions, and give their memory back in slices. Marks stay."""
        while self._slice(self._parts.compaction.remove_overflow_step) != NONE:
            time.sleep(0)
        with self._lock:
            self._parts.clear()
        while self._slice(self._parts.compaction.give_back_step) != NONE:
            time.sleep(0)

    def purge(self, limit: int | None = None) -> int:
        """Remove expired records, at most ``limit``, in slices. Return how many were removed."""
        return self._purge(limit, rest=0.0)

    def reduce(self) -> int:
        """Evict sessions down to ``reduce_to`` of ``max_size``, in slices. Return how many.

        Expired sessions are removed first. Then sessions are evicted in the usual order: new
        visitors first, logged-in users last.
        """
        parts = self._parts
        log.debug("lembro: reduce starts at %s", bytesize.pretty(parts.ledger.used))
        self.purge()
        total = 0
        while (count := self._slice(parts.reclaim.reduce_step, 1)) != NONE:
            total += count
            time.sleep(0)
        log.debug("lembro: reduce ends at %s", bytesize.pretty(parts.ledger.used))
        if self.events.heard("reduced"):
            used = parts.ledger.used
            self.events.emit(Event("reduced", reason=f"{total} evicted", evicted=total, used=used))
        return total

    def reserve_marks(self) -> None:
        """Set an eighth of ``max_size`` apart, to remember which legacy cookies were used.

        If memory is short, sessions are evicted, in slices.
        """
        while self._slice(self._parts.adoption.reserve_step, 1) != NONE:
            time.sleep(0)

    def of_user(self, user: str) -> list[tuple[bytes, Found]]:
        """Return the live sessions of a user, the oldest first."""
        with self._lock:
            return self._parts.user_sessions.of_user(user, self._now())

    def destroy_user(self, user: str, keep: bytes | None = None) -> list[bytes]:
        """Remove the sessions and rotated keys of a user.

        Args:
            user: The user.
            keep: The key of a session that stays, together with the keys rotated to it.

        Returns:
            The keys of the sessions that were removed.
        """
        try:
            with self._lock:
                return self._parts.user_sessions.destroy_user(user, keep, self._now())
        finally:
            if self._pending:
                self._emit_pending()

    def stats(self) -> Stats:
        """Return the current statistics."""
        parts = self._parts
        rss = resident()
        with self._lock:
            now, oldest = self._now(), parts.queues.least_recently_used(0)
            a, b, c, d, e = parts.queues.counts
            return Stats(
                used=parts.ledger.used,
                max_size=self.max_size,
                sessions=a + b + c + d + e,
                rotated=parts.queues.rotated,
                tiers=(a, b, c, d, e),
                expired=parts.counters.expired,
                evicted=parts.counters.evicted,
                rejected_too_large=parts.counters.too_large,
                purge_errors=self._purge_errors,
                oldest_visitor_age=None if oldest < 0 else now - parts.reader.last_used(oldest),
                rss=rss,
            )

    def new_reputation(self) -> bytes:
        """Return a reputation that begins now: 8 random bytes, then 8 bytes of the time."""
        return self._parts.reputations.new(self._now())

    # --- opening and closing

    def open(self) -> None:
        """Let the thread run again after :meth:`close`. A new store is open already."""
        with self._lock:
            if not self._closed:
                return
            self._closed = self._awake = False
            anything = self._parts.records.count > 0
        if anything:  # otherwise at the first add
            self._wake()

    def close(self) -> None:
        """Stop the thread. The store can still be used, and then purges during writes only."""
        with self._lock:
            self._closed = self._awake = True
            running, self._purger = self._purger, None
        if running is not None:
            running.stop()

    def __enter__(self) -> Self:
        self.open()
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()

    # --- internal

    def _emit_pending(self) -> None:
        """Emit the events that the verbs have collected."""
        with self._lock:
            events = self._pending[:]
            self._pending.clear()
        self.events.emit_all(events)

    def _wake(self) -> None:
        """Start the thread, at the first add."""
        with self._lock:
            if self._awake:
                return
            self._awake = True
            self._purger = purger.start(self, self.interval)

    def _slice(self, step: Callable[[float], int], batch: int = BATCH) -> int:
        """Repeat a step under the lock, for the time of a slice or until it returns NONE.

        Returns:
            The sum of what the steps returned, or NONE if the first one returned that.
        """
        total, steps = 0, 0
        with self._lock:
            now = self._now()
            end = time.perf_counter() + SLICE
            while (count := step(now)) != NONE:
                total += count
                steps += 1
                if not steps % batch and time.perf_counter() > end:
                    break
        if self._pending:
            self._emit_pending()
        return total if steps else NONE

    def _purge(self, limit: int | None, rest: float) -> int:
        """Purge and compact in slices, with ``rest`` seconds between them."""
        parts = self._parts
        with self._lock:
            parts.wheel.collect(self._now())
        total, sweep_step = 0, parts.sweep.limited(limit)
        while (count := self._slice(sweep_step)) != NONE:
            total += count
            time.sleep(rest)
        steps = (parts.compaction.shrink_step, parts.compaction.compact_step)
        for step in (*steps, parts.adoption.marks.expire_step):
            while self._slice(step, 1) != NONE:
                time.sleep(rest)
        return total

    def _purge_round(self) -> None:
        self._purge(None, REST)

    def _purge_failed(self, error: Exception) -> None:
        self._purge_errors += 1
        log.error(
            "lembro: removing expired sessions failed. The next round tries again.", exc_info=error
        )
        self.events.emit(Event("error", error=error))

    def _after_fork(self) -> None:
        """Prepare the copy in a forked child, which gets its own lock and thread."""
        self._purger = None
        self._awake = self._closed
        self._copied = self._parts.records.count > 0
        self._lock = fork.FirstUse(self, self._first_use_in_child)

    def _first_use_in_child(self) -> None:
        worker_check.claim()
        if self._copied:
            self._copied = False
            worker_check.warn_of_copy()
            if not self._awake:  # the copied sessions must be purged too
                self._wake()
