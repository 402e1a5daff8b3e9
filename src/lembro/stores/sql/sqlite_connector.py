"""Connections to an SQLite file, for threads and for event loops.

There is one connection for reads and one for writes, so that no read waits for a write.

In an event loop, a read runs in the loop itself, which takes 10 microseconds. In a thread it would
take 100. A write runs in the loop if no other connection has written since the last write.
Otherwise it runs in a thread, because it may wait for another process or for the disk. In the loop,
it would block the loop for up to 24 milliseconds (``python -m bench.sqlite_loop``). A write also
runs in a thread if sessions must be evicted, or if a long log must be copied into the file. A read
runs in a thread while another process restores the log after a crash.
"""

from __future__ import annotations

import os
import sqlite3
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from typing import Any, Final, TypeVar

from ..._threads import in_thread
from ...errors import ConfigError, StoreError, StoreFull, StoreReadOnly
from ..external.backend import Busy, Steps
from .sqlite_verbs import BEGIN, SCHEMA, VERSION, NoRoom

T = TypeVar("T")

RETURNING: Final = sqlite3.sqlite_version_info >= (3, 35)
PAGE_SIZE: Final = 4096
SETUP_TIMEOUT: Final = 5.0  # seconds to wait for other workers that create the tables
COPYING: Final = 0.005  # seconds between two attempts to copy the log

_creating: Final[dict[int, threading.Lock]] = {}  # by process: a fork may copy a held lock


def errorcode(error: BaseException) -> int:
    """Return SQLite's primary error code, or 0."""
    code: int = getattr(error, "sqlite_errorcode", 0)
    return code & 0xFF


def translate(error: Exception, place: str) -> StoreError | None:
    """Return lembro's error for an error of SQLite, or None for any other error."""
    if isinstance(error, NoRoom):
        return StoreFull(f"{place} has no room")
    if not isinstance(error, sqlite3.Error):
        return StoreError(f"{place}: {error}") if isinstance(error, OSError) else None
    code = errorcode(error)
    if code in (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED):
        return Busy(f"{place} is locked by another process")
    if code == sqlite3.SQLITE_FULL:
        return StoreFull(f"{place}: {error}")
    if code == sqlite3.SQLITE_READONLY:
        return StoreReadOnly(f"{place}: {error}")
    return StoreError(f"{place}: {error}")


class Setup:
    """Settings of the connections to one file.

    Args:
        path: The file.
        timeout: The maximum number of seconds that a write waits for another process.
        pages: The maximum number of pages of the file; None: no limit.
        log: The size of the log in bytes above which it is copied into the file.
        longest_log: The size of the log in bytes above which writes are refused.
    """

    def __init__(
        self, path: str, timeout: float, pages: int | None, log: int, longest_log: int
    ) -> None:
        self.path = path
        self.timeout = timeout
        self.pages = pages
        self.log = log
        self.longest_log = longest_log
        self._log_file = f"{path}-wal"

    def connect(self, timeout: float, *, checkpoints: bool) -> sqlite3.Connection:
        """Open a connection.

        Args:
            timeout: The maximum number of seconds that a statement waits for another process.
            checkpoints: Whether a commit may copy the log into the file.
        """
        connection = sqlite3.connect(
            self.path, timeout=timeout, isolation_level=None, check_same_thread=False
        )
        connection.execute("pragma synchronous = normal")
        log = self.log // PAGE_SIZE if checkpoints else 0
        connection.execute(f"pragma wal_autocheckpoint = {log}")
        self._limit(connection)
        return connection

    def restore(self, connection: sqlite3.Connection) -> None:
        """Roll back, and limit the size of the file again, because an eviction may have failed."""
        with suppress(sqlite3.Error):  # another error is raised already
            connection.rollback()
            self._limit(connection)

    def _limit(self, connection: sqlite3.Connection) -> None:
        if self.pages is not None:
            connection.execute(f"pragma max_page_count = {self.pages}")

    def log_is_long(self) -> bool:
        """Return whether the log must be copied into the file."""
        return self._log_size() > self.log

    def shorten_log(self, connection: sqlite3.Connection) -> None:
        """Copy the log into the file, and empty it.

        SQLite copies the log at a commit, but does not stop other writers for that time. So the log
        would never become short while several processes write.

        Raises:
            Busy: The log has its largest size, and could not be emptied within the timeout, because
                another process is reading the file.
        """
        end = time.monotonic() + self.timeout
        while True:
            connection.execute("pragma wal_checkpoint(truncate)").fetchall()
            if self._log_size() <= self.longest_log:
                return
            # SQLite has waited for readers, but not for another connection that copies the log.
            if time.monotonic() >= end:
                raise Busy(
                    f"the log of {self.path!r} is full, because another process is reading the "
                    f"file. End that process, or its transaction"
                )
            time.sleep(COPYING)

    def _log_size(self) -> int:
        try:
            return os.stat(self._log_file).st_size
        except OSError:  # there is no log yet
            return 0

    def prepare(self) -> None:
        """Create the file and its tables, if they are missing.

        Raises:
            ConfigError: The file cannot be opened, is not a database, or was created by a later
                version of lembro.
        """
        try:
            create_private(os.path.realpath(self.path))
            connection = sqlite3.connect(self.path, timeout=SETUP_TIMEOUT, isolation_level=None)
        except (sqlite3.OperationalError, OSError) as error:
            raise ConfigError(
                f"the file {self.path!r} cannot be opened ({error}). Use a folder that exists, and "
                f"that this process may write to"
            ) from None
        try:
            (version,) = connection.execute("pragma user_version").fetchone()
            if version == VERSION:  # write nothing, because the disk may be full or read-only
                return
            if version > VERSION:
                raise ConfigError(
                    f"{self.path!r} has tables of version {version}, but this version of lembro "
                    f"only knows version {VERSION}. Update lembro, or use another file"
                )
            connection.execute(f"pragma page_size = {PAGE_SIZE}")
            connection.execute("pragma auto_vacuum = incremental")
            connection.execute("pragma journal_mode = wal")
            connection.execute("begin immediate")
            for statement in SCHEMA.split(";"):
                connection.execute(statement)
            connection.execute(f"pragma user_version = {VERSION}")
            connection.execute("commit")
        except sqlite3.DatabaseError as error:
            if errorcode(error) in (sqlite3.SQLITE_NOTADB, sqlite3.SQLITE_CORRUPT):
                raise ConfigError(
                    f"{self.path!r} is not an SQLite database, or it is damaged ({error}). Restore "
                    f"it, or use another file"
                ) from error
            raise
        finally:
            connection.close()


def create_private(path: str) -> None:
    """Create an empty file that only its owner may read, unless it exists.

    Sessions are personal data, and SQLite would create a file that others may read.
    """
    # If this closed a file that SQLite has open, the process would lose the locks of its
    # connections (POSIX), and another process could delete the log that they use. So a thread that
    # connects waits until this has closed the file.
    with _creating.setdefault(os.getpid(), threading.Lock()), suppress(FileExistsError):
        os.close(os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600))


def perform(connection: sqlite3.Connection, steps: Steps[T], setup: Setup | None = None) -> T:
    """Perform a verb on a connection, and roll back what it has not committed.

    Args:
        connection: The connection.
        steps: The verb.
        setup: The settings, if the verb writes and may wait. Then a long log is shortened before
            each transaction, because one verb may evict many sessions, and so write much.
    """
    try:
        text, values = next(steps)
        while True:
            if setup is not None and not connection.in_transaction and setup.log_is_long():
                setup.shorten_log(connection)
            try:
                result = _execute(connection, text.text, values, rows=text.rows)
                if setup is not None and text.text == BEGIN and setup.log_is_long():
                    # Other processes have written while this one waited for the lock.
                    connection.rollback()
                    setup.shorten_log(connection)
                    connection.execute(BEGIN)
            except sqlite3.OperationalError as error:
                if errorcode(error) != sqlite3.SQLITE_FULL:
                    raise
                text, values = steps.throw(NoRoom(str(error)))
            else:
                text, values = steps.send(result)
    except StopIteration as stop:
        return stop.value  # type: ignore[no-any-return]
    except BaseException:
        if setup is not None:
            setup.restore(connection)
        raise
    finally:
        if connection.in_transaction:
            connection.rollback()


def _execute(connection: sqlite3.Connection, text: str, values: Any, *, rows: bool) -> Any:
    if text == "rollback":
        if connection.in_transaction:  # SQLite may have rolled back already
            connection.rollback()
        return 0
    cursor = connection.execute(text, values)
    return cursor.fetchall() if rows else cursor.rowcount


class SQLiteConnector:
    """The connections for sync callers: one to read and one to write."""

    def __init__(self, setup: Setup) -> None:
        self._setup = setup
        self._locks = {True: threading.Lock(), False: threading.Lock()}
        self._connections: dict[bool, sqlite3.Connection] = {}

    def open(self) -> None:
        self._setup.prepare()
        timeout = self._setup.timeout
        self._connections = {
            reads: self._setup.connect(timeout, checkpoints=not reads) for reads in (True, False)
        }

    def run(self, verb: Callable[[], Steps[T]], *, reads: bool) -> T:
        lock = self._locks[reads]
        if not lock.acquire(timeout=self._setup.timeout):
            raise Busy(f"{self._setup.path!r} is in use by other threads of this process")
        try:
            return perform(self._connections[reads], verb(), None if reads else self._setup)
        finally:
            lock.release()

    def close(self) -> None:
        for reads, connection in self._connections.items():
            with self._locks[reads]:
                connection.close()

    def __del__(self) -> None:  # the store was not closed
        for connection in self._connections.values():
            connection.close()


class AsyncSQLiteConnector:
    """The connections of an event loop, and those of its threads."""

    def __init__(self, setup: Setup) -> None:
        self._setup = setup
        self._threads = SQLiteConnector(setup)
        self._connections: dict[bool, sqlite3.Connection] = {}
        self._in_threads = 0  # verbs that run in threads
        self._version = 0  # SQLite's data_version after the last write of this loop

    async def open(self) -> None:
        await in_thread(self._threads.open)
        self._connections = {
            reads: self._setup.connect(0.0, checkpoints=False) for reads in (True, False)
        }

    async def run(self, verb: Callable[[], Steps[T]], *, reads: bool) -> T:
        if reads or (self._is_alone() and not self._setup.log_is_long()):
            steps = verb() if reads else _without_evictions(verb())
            try:
                return perform(self._connections[reads], steps)
            except sqlite3.OperationalError as error:
                if errorcode(error) != sqlite3.SQLITE_BUSY:
                    raise
            except NoRoom:
                pass
        self._in_threads += 1
        try:
            return await in_thread(partial(self._threads.run, verb, reads=reads))
        finally:
            self._in_threads -= 1
            self._version = self._data_version()

    def _is_alone(self) -> bool:
        """Return whether no other connection has written since the last write of this loop."""
        if self._in_threads:
            return False
        last, self._version = self._version, self._data_version()
        return self._version == last

    def _data_version(self) -> int:
        (version,) = self._connections[False].execute("pragma data_version").fetchone()
        return int(version)

    async def close(self) -> None:
        await in_thread(self.discard)

    def discard(self) -> None:
        for connection in self._connections.values():
            connection.close()
        self._threads.close()

    def __del__(self) -> None:  # the store was not closed
        for connection in self._connections.values():
            connection.close()


def _without_evictions(steps: Steps[T]) -> Steps[T]:
    """Return the steps of a verb that raises NoRoom when the file is full, instead of evicting."""
    try:
        command = next(steps)
        while True:
            command = steps.send((yield command))
    except StopIteration as stop:
        return stop.value  # type: ignore[no-any-return]
    finally:
        steps.close()
