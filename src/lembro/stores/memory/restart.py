"""A planned restart: a file passes the sessions of a store from one process to the next.

``save`` writes them when the store is closed or the process ends. ``load`` reads them before the
first verb of the next process. Three rules keep the file from undoing a logout:

* It is deleted before the first verb that ends a session or gives it a new key. So a process that
  crashes leaves no file in which that session still exists. ``set`` does not delete it. So if the
  process crashes and starts again within ``snapshot_max_age``, the sessions are those of the file.
* If a session changes while ``save`` writes, ``save`` writes again, this time without other
  verbs in between. A later change is written at the end of the process.
* When the process ends, changes are refused after the last write. Otherwise a visitor could see a
  success that is lost in the next process.

Only the process that holds the lock of the file reads and writes it (``snapshot_file``).
"""

from __future__ import annotations

import logging
import os
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import AbstractContextManager, nullcontext
from typing import Any, BinaryIO, Final

from ..._log import log
from ...errors import StoreUnavailable
from ...events import Event
from ..base import Found, PerUser, Record
from . import snapshot
from .clock import Clock
from .parts import Parts
from .snapshot import Entry, Invalid
from .snapshot_file import NotOurs, SnapshotFile
from .snapshot_records import closing_of, entries_of, in_order_of_use, marks_of, restore

SLICE: Final = 256  # slots that are written while the lock is held
IN_USE: Final = (
    "another process uses it, or has used it since this one was closed, so this process neither "
    "reads nor writes it. End one process before you start the next"
)
UNUSABLE: Final = "cannot be used, so the sessions will end with this process"


class Restart:
    """The restarts of one store.

    Attributes:
        loaded: Whether the snapshot was read, or cannot be used.
        secrets: The first one keys the hash of a snapshot, all are accepted. Without any, the
            hash has no key.
        with_marks: Whether memory must be reserved for marks.
    """

    __slots__ = (
        "_changed",
        "_ended",
        "_file",
        "_max_age",
        "_messages",
        "_now",
        "_on_disk",
        "_parts",
        "_process_start",
        "_saved",
        "_saving",
        "_usable",
        "loaded",
        "secrets",
        "with_marks",
    )

    def __init__(self, parts: Parts, now: Clock, path: str, max_age: float) -> None:
        self._parts = parts
        self._now = now
        self._file = SnapshotFile(path)
        self._max_age = max_age
        self._process_start = time.time()
        self._usable = False  # this process may read and write the file
        self._on_disk = False  # there may be a file, which is deleted before a session ends
        self._saved = False  # the file has all sessions
        self._changed = False  # since ``save`` has begun
        self._ended = False  # the process ends, and the last write is done
        self._saving = threading.Lock()
        self._messages: list[tuple[int, str, BaseException | None]] = []
        self.loaded: bool = False
        self.secrets: tuple[str, ...] = ()
        self.with_marks: bool = False

    # --- what the verbs call, while the lock is held

    def before_change(self) -> None:
        """Note that the next step changes a session.

        Raises:
            StoreUnavailable: The process ends.
        """
        if self._ended:
            raise StoreUnavailable("the process ends; its sessions are written for the next one")
        self._changed, self._saved = True, False

    def before_end(self) -> None:
        """Delete the file, because the next step ends a session or gives it a new key."""
        self.before_change()
        if not self._on_disk:
            return
        try:
            if self._file.acquire():  # after ``close``, another process may have it
                self._file.delete()
            self._on_disk = False
        except OSError as error:  # the next such verb tries again
            self._fail("cannot be deleted, so a crash may undo a logout", error)

    # --- reading

    def load(self) -> None:
        """Read the snapshot, before the first verb. The lock is held."""
        self.loaded = True
        if self.with_marks:  # one step is enough, because there are no records
            self._parts.adoption.reserve_step(self._now())
        try:
            if not self._file.acquire():
                self._reject(IN_USE)
                return
            self._usable = self._on_disk = True
            opened = self._file.open()
            if opened is not None:
                with opened[0] as file:
                    self._read(file, opened[1])
        except NotOurs as error:
            self._usable = self._on_disk = False
            self._reject(f"{error}. lembro does not replace it. Give another path")
        except Invalid as error:
            self._parts.clear()
            self._reject(str(error))
        except OSError as error:
            self._usable = self._on_disk = False
            self._fail(UNUSABLE, error)
        except Exception as error:  # an unexpected content must not stop the application
            self._parts.clear()
            self._fail("cannot be read", error)

    def _read(self, file: BinaryIO, size: int) -> None:
        written = snapshot.check(file, size, self.secrets)
        age = self._process_start - written
        if not age <= self._max_age:
            raise Invalid(
                f"it was {age:.0f} s old at the start, snapshot_max_age={self._max_age:g}"
            )
        elapsed = max(0.0, time.time() - written)
        count = restore(self._parts, snapshot.entries(file, size), elapsed, self._now())
        self._messages.append((logging.INFO, f"{count} sessions were read from it", None))

    # --- writing

    def save(self, lock: AbstractContextManager[None], *, end: bool) -> None:
        """Write the sessions, if this process may. Verbs of other threads run in between.

        Args:
            lock: The lock of the store.
            end: Whether the process ends. If so, the store then refuses changes.
        """
        with self._saving:
            try:
                if self._usable and not self._is_saved(lock, end):
                    if self._file.acquire():
                        self._write(lock, end)
                        self._file.release()
                    else:
                        self._usable = False
                        self._reject(IN_USE)
            except Exception as error:
                self._file.discard()
                self._fail("cannot be written, so the sessions of this process are lost", error)

    def _is_saved(self, lock: AbstractContextManager[None], end: bool) -> bool:
        """Return whether the file has all sessions. If so, and at the end, refuse changes."""
        with lock:
            self._ended = end and self._saved
            return self._saved

    def _write(self, lock: AbstractContextManager[None], end: bool) -> None:
        with lock:  # a verb that has noted its change is complete then
            self._changed = False
        with self._file.create() as file:
            self._write_to(file, lock)
            with lock:
                if self._changed:
                    file.seek(0)
                    file.truncate()
                    self._write_to(file, nullcontext())
                self._file.replace()
                self._on_disk = self._saved = True
                self._ended = end
        self._file.sync_folder()

    def _write_to(self, file: BinaryIO, lock: AbstractContextManager[None]) -> None:
        """Write all entries, with the lock for each slice."""
        parts, reader = self._parts, object()
        digest = snapshot.hasher(self.secrets[0] if self.secrets else None)

        def write(data: bytes) -> None:
            digest.update(data)
            file.write(data)

        def write_all(entries: Iterable[Entry]) -> None:
            write(b"".join(map(snapshot.pack, entries)))

        write(snapshot.start(time.time()))
        parts.compaction.readers.add(reader)  # so that no record changes its slot
        try:
            for rows in _slices(parts.adoption.marks.rows()):
                with lock:
                    entries = list(marks_of(parts, rows, self._now()))
                write_all(entries)
            write_all(closing_of(parts, self._now()))
            for slots in _slices(in_order_of_use(parts)):
                with lock:
                    entries = list(entries_of(parts, slots, self._now()))
                write_all(entries)
        finally:
            parts.compaction.readers.discard(reader)
        file.write(digest.digest())
        file.flush()
        os.fsync(file.fileno())

    # --- the process

    def reopen(self) -> None:
        """Take the lock of the file again, after the store was closed. Its lock is held."""
        self._saved = False
        try:
            if self._usable and not self._file.acquire():
                self._usable = self._on_disk = False
                self._reject(IN_USE)
        except OSError as error:
            self._usable = self._on_disk = False
            self._fail(UNUSABLE, error)

    def in_child(self) -> Callable[[], None] | None:
        """Prepare the copy in a forked child, which has none of the parent's rights to the file.

        Returns:
            The function that the first use in the child calls: ``load``, unless the parent has
            called it.
        """
        self._file.release()
        self._process_start = time.time()
        self._usable = self._on_disk = self._saved = self._ended = False
        self._saving = threading.Lock()
        return None if self.loaded else self.load

    def log(self) -> None:
        """Log what has happened. The lock is not held, because a log handler may use the store."""
        while self._messages:
            level, text, error = self._messages.pop(0)
            log.log(level, "lembro: the snapshot %s: %s", self._file.path, text, exc_info=error)

    def _reject(self, reason: str) -> None:
        self._messages.append((logging.WARNING, f"{reason}.", None))
        event = Event("rejected", reason=f"the snapshot {self._file.path}: {reason}")
        self._parts.counters.events.append(event)

    def _fail(self, effect: str, error: Exception) -> None:
        self._messages.append((logging.ERROR, f"it {effect}: {error}", error))
        self._parts.counters.events.append(Event("error", error=error))


class GuardedVerbs:
    """The verbs of a store with a snapshot. They tell ``Restart`` what is about to happen."""

    __slots__ = ("_restart", "_verbs", "get", "sessions_in", "touch")

    def __init__(self, parts: Parts, restart: Restart) -> None:
        verbs = self._verbs = parts.verbs
        self._restart = restart
        # A touch is lost if it comes while the sessions are written. Nobody is logged out by that.
        self.get: Callable[[bytes, float], Found | None] = verbs.get
        self.touch: Callable[[bytes, float, float], bool] = verbs.touch
        self.sessions_in: Callable[[range, float], list[tuple[bytes, Found]]] = verbs.sessions_in

    def add(  # noqa: PLR0917 - the arguments of Verbs.add
        self,
        key: bytes,
        record: Record,
        idle: float,
        life: float,
        per_user: PerUser | None,
        now: float,
    ) -> bool:
        """Add a record. A limit of sessions may end another one."""
        if per_user is None:
            self._restart.before_change()
        else:
            self._restart.before_end()
        return self._verbs.add(key, record, idle, life, per_user, now)

    def set(
        self, key: bytes, record: Record, expected: bytes, idle: float, now: float
    ) -> Found | None:
        """Replace a payload."""
        self._restart.before_change()
        return self._verbs.set(key, record, expected, idle, now)

    def replace(self, *args: Any) -> Found | None:
        """Rotate a key."""
        self._restart.before_end()
        return self._verbs.replace(*args)

    def destroy(self, key: bytes, expected: bytes | None, now: float) -> Found | None:
        """Remove a record."""
        self._restart.before_end()
        return self._verbs.destroy(key, expected, now)


def _slices(numbers: Sequence[int]) -> Iterator[Sequence[int]]:
    for start in range(0, len(numbers), SLICE):
        yield numbers[start : start + SLICE]
