"""MemoryStore: the verbs, with a lock, a clock, a thread, a snapshot and events around them."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from datetime import timedelta
from os import PathLike
from typing import TYPE_CHECKING, Final, Self

from ... import bytesize
from ..._hints import explain_keywords
from ..._log import log
from ...events import Event, Events, EventSource
from ..base import Found, PerUser, Record
from . import fork, purger, settings, slices, worker_check
from .clock import Clamped, Clock
from .lock import Lock
from .parts import Parts
from .resident import resident
from .stats import Stats, stats_of

if TYPE_CHECKING:
    from .restart import GuardedVerbs, Restart
    from .verbs import Verbs

PART: Final = 256  # slots that an iteration reads while it holds the lock


@explain_keywords
class MemoryStore(EventSource):
    """Sessions in the memory of this process, bounded in bytes.

    A thread removes expired sessions. If memory is short, the least recently used sessions of new
    visitors are evicted first, and those of logged-in users last. All methods may be called from
    any thread. As a context manager, the store is opened and closed.

    ``on``, ``once`` and ``off`` register listeners for the events ``expired``, ``evicted``,
    ``reduced`` and ``error``.

    Args:
        max_size: The maximum memory that the store may use at any moment: bytes, or a text such as
            ``"4M"``. At least 64 KiB.
        interval: How often the thread looks for expired sessions: seconds or a timedelta. Without
            traffic, a session is removed at most two intervals after it has expired.
        max_session_size: The maximum size of a session. The default is a sixteenth of max_size, but
            at most 1 MiB.
        reduce_to: The share of max_size that :meth:`reduce` evicts down to.
        clock: A function that returns seconds. The default is ``time.monotonic``.
        snapshot: The path of a file that keeps the sessions during a planned restart. It is written
            at the end of the store or the process, and read at the first use in the next process.
        snapshot_max_age: A snapshot is ignored if it is older when the process starts: seconds or
            a timedelta.

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
        snapshot: str | PathLike[str] | None = None,
        snapshot_max_age: float | timedelta = settings.SNAPSHOT_MAX_AGE,
    ) -> None:
        self.max_size: Final = settings.check_max_size(max_size)
        self.interval: Final = settings.check_interval(interval)
        self.max_session_size: Final = settings.check_session_size(max_session_size, self.max_size)
        self.reduce_to: Final = settings.check_reduce_to(reduce_to)
        path, max_age = settings.check_snapshot(snapshot, snapshot_max_age)
        settings.warn_of_too_much(self.max_size)
        self.events: Events = Events()
        # A reputation is used after the process has ended, so by default its time of birth is in
        # wall time.
        self._now: Clock = time.monotonic if clock is None else Clamped(clock)
        epoch = time.time() - self._now() if clock is None else 0.0
        self._parts = Parts(
            max_size=self.max_size,
            max_session_size=self.max_session_size,
            reduce_to=self.reduce_to,
            interval=self.interval,
            now=self._now(),
            epoch=epoch,
            has_listener=self.events.has_listener,
            history=settings.HISTORY if path else 0.0,
        )
        self._verbs: Verbs | GuardedVerbs = self._parts.verbs
        self._pending = self._parts.counters.events  # each verb checks whether there are any
        self._lock: Lock | fork.FirstUse = Lock()
        self._purger: purger.Purger | None = None
        self._awake = False  # the thread was started, or the store is closed
        self._closed = False
        self._copied = False  # a fork made this store, with copies of sessions
        self._purge_errors = 0
        self._restart: Restart | None = None
        if path:
            from . import process_end, restart  # noqa: PLC0415 - few stores have a snapshot

            self._restart = restart.Restart(self._parts, self._now, path, max_age)
            self._verbs = restart.GuardedVerbs(self._parts, self._restart)
            self._lock = fork.FirstUse(self, self._after_load, self._restart.load)
            process_end.watch(self)
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
            self._reserve_marks()
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
            while True:
                with self._lock:  # its first use may load the sessions
                    if start >= slots.fresh:
                        return
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
        if self._restart is not None:
            with self._lock:
                self._restart.before_end()
        slices.repeat(self, self._parts.compaction.remove_overflow_step)
        with self._lock:
            if self._restart is not None:  # the file may have been written meanwhile
                self._restart.before_end()
            self._parts.clear()
        slices.repeat(self, self._parts.compaction.give_back_step)

    def purge(self, limit: int | None = None) -> int:
        """Remove expired records, at most ``limit``, in slices. Return how many were removed."""
        return slices.purge(self, limit, rest=0.0)

    def reduce(self) -> int:
        """Evict sessions down to ``reduce_to`` of ``max_size``, in slices. Return how many.

        Expired sessions are removed first. Then sessions are evicted in the usual order: new
        visitors first, logged-in users last.
        """
        ledger = self._parts.ledger
        log.debug("lembro: reduce starts at %s", bytesize.pretty(ledger.used))
        self.purge()
        total = slices.repeat(self, self._parts.reclaim.reduce_step, 1)
        log.debug("lembro: reduce ends at %s", bytesize.pretty(ledger.used))
        if self.events.has_listener("reduced"):
            reason = f"{total} evicted"
            self.events.emit(Event("reduced", reason=reason, evicted=total, used=ledger.used))
        return total

    def reserve_marks(self) -> None:
        """Reserve an eighth of ``max_size``, to remember which legacy cookies were used.

        If memory is short, sessions are evicted, in slices.
        """
        if self._restart is not None and not self._restart.loaded:
            self._restart.with_marks = True  # the first use does it, perhaps in another process
            return
        self._reserve_marks()

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
                if self._restart is not None:
                    self._restart.before_end()
                return self._parts.user_sessions.destroy_user(user, keep, self._now())
        finally:
            if self._pending:
                self._emit_pending()

    def stats(self) -> Stats:
        """Return the current statistics."""
        rss = resident()
        with self._lock:
            return stats_of(self._parts, self._now(), self._purge_errors, rss)

    def new_reputation(self) -> bytes:
        """Return a reputation that begins now: 8 random bytes, then 8 bytes of the time."""
        return self._parts.reputations.new(self._now())

    def authenticate_snapshot(self, secrets: Sequence[str]) -> None:
        """Authenticate the snapshot by the secrets of each manager that has any."""
        if self._restart is not None:
            self._restart.secrets = tuple(dict.fromkeys((*self._restart.secrets, *secrets)))

    # --- opening and closing

    def open(self) -> None:
        """Read the snapshot, if there is one. Let the thread run again after :meth:`close`."""
        with self._lock:
            if not self._closed:
                return
            self._closed = self._awake = False
            if self._restart is not None:
                self._restart.reopen()
            anything = self._parts.records.count > 0
        if anything:  # otherwise at the first add
            self._wake()
        if self._pending:
            self._emit_pending()

    def close(self) -> None:
        """Stop the thread, and write the snapshot. The store can still be used."""
        if self._restart is not None and not self._restart.loaded:
            return
        with self._lock:
            self._closed = self._awake = True
            running, self._purger = self._purger, None
        if running is not None:
            running.stop()
        self._save(end=False)

    def __enter__(self) -> Self:
        self.open()
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()

    # --- internal

    def _emit_pending(self) -> None:
        """Emit the events that the verbs have collected."""
        with self._lock:
            events, self._pending[:] = self._pending[:], []
        if self._restart is not None:
            self._restart.log()
        self.events.emit_all(events)

    def _reserve_marks(self) -> None:
        slices.repeat(self, self._parts.adoption.reserve_step, 1)

    def _save(self, *, end: bool) -> None:
        """Write the snapshot, if there is one to write."""
        if self._restart is not None and self._restart.loaded:
            self._restart.save(self._lock, end=end)
            self._emit_pending()

    def _after_load(self) -> None:
        """Continue after the first use has read the snapshot."""
        self._emit_pending()
        if self._parts.records.count and not self._awake:
            self._wake()  # the sessions must be purged too

    def _wake(self) -> None:
        """Start the thread, at the first add."""
        with self._lock:
            if self._awake:
                return
            self._awake = True
            self._purger = purger.start(self, self.interval)

    def _purge_round(self) -> None:
        slices.purge(self, None, slices.REST)

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
        load = None if self._restart is None else self._restart.in_child()
        self._lock = fork.FirstUse(self, self._first_use_in_child, load)

    def _first_use_in_child(self) -> None:
        worker_check.claim()
        if self._copied:
            self._copied = False
            worker_check.warn_of_copy()
            if not self._awake:  # the copied sessions must be purged too
                self._wake()
        self._after_load()
