"""SQLiteStore: sessions in a file, shared by the processes of one machine."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from datetime import timedelta
from typing import TYPE_CHECKING, Any, Final

from ... import bytesize
from ..._hints import explain_keywords
from ...errors import ConfigError, StoreError
from ..external.backend import AsyncConnector, Connector
from ..external.settings import check_timeout
from ..external.store import ExternalStore
from ..memory.reputation import Reputations
from ..memory.settings import check_interval

if TYPE_CHECKING:
    from ..external.twin import AsyncTwin
    from .sqlite_verbs import SQLiteVerbs

SMALLEST: Final = 2**20  # bytes; in a smaller file, the log leaves no room for sessions
LARGEST_LOG: Final = 4 * 2**20  # bytes
LOG_SHARE: Final = 5  # the log takes a fifth of max_size
TRANSACTION: Final = 192 * 2**10  # bytes that one eviction may add to the log; measured: 144 KiB


@explain_keywords
class SQLiteStore(ExternalStore):
    """Sessions in a file with a size limit. They survive a restart and a crash.

    The processes of one machine can share the file. Machines cannot share it over a network file
    system.
    If the file is full, the least recently used sessions of new visitors are evicted first, and
    those of logged-in users last. A thread removes expired sessions.

    A committed session survives if the process is killed. After a power failure, the last writes
    may be missing, but the file is intact.

    Args:
        path: The file. If it is missing, it is created, and only its owner can read it.
        max_size: The maximum size of the file and its log: bytes, or a text such as ``"256M"``. At
            least 1 MiB. None: no limit.
        max_session_size: The maximum size of a session in bytes. The default is 1 MiB, or a
            sixteenth of max_size if that is less.
        interval: The average time between two rounds of the thread that removes expired sessions:
            seconds or a timedelta.
        timeout: The maximum number of seconds that a write waits for the writes of other processes.
        clock: A function that returns seconds. The default is ``time.time``.

    Raises:
        ConfigError: An argument is invalid.
    """

    system: str = "sqlite"

    def __init__(
        self,
        path: str | os.PathLike[str],
        max_size: int | str | None = "256M",
        *,
        max_session_size: int | str | None = None,
        interval: float | timedelta = 360,
        timeout: float = 0.2,
        clock: Callable[[], float] | None = None,
    ) -> None:
        self.path: Final = _check_path(path)
        self.max_size: Final = None if max_size is None else bytesize.parse(max_size)
        if self.max_size is not None and self.max_size < SMALLEST:
            raise ConfigError(
                f"max_size must be at least 1 MiB, got {max_size!r}. "
                f"Example: SQLiteStore('sessions.db', max_size='64M')"
            )
        share = 2**20 if self.max_size is None else self.max_size // 16
        largest = (
            min(2**20, share) if max_session_size is None else bytesize.parse(max_session_size)
        )
        if self.max_size is not None and largest > share:
            raise ConfigError(
                f"max_session_size must be at most a sixteenth of max_size "
                f"({bytesize.pretty(share)}), got {max_session_size!r}. Omit it, or increase "
                f"max_size"
            )
        self._clock = time.time if clock is None else clock
        backend = SQLiteBackend(
            self.path, self.max_size, largest, check_timeout(timeout), self._clock
        )
        super().__init__(backend, max_session_size=largest, interval=check_interval(interval))

    def new_reputation(self) -> bytes:
        """Return a reputation that begins now: 8 random bytes, then 8 bytes of the time."""
        return Reputations(0.0).new(self._clock())

    def _make_aio(self, make: Callable[[], AsyncConnector]) -> AsyncTwin:
        from .sqlite_twin import SQLiteTwin  # noqa: PLC0415 - it imports asyncio

        return SQLiteTwin(repr(self), self._shared, make, self._clock)


class SQLiteBackend:
    """The verbs and connectors of one file."""

    def __init__(
        self,
        path: str,
        max_size: int | None,
        largest: int,
        timeout: float,
        clock: Callable[[], float],
    ) -> None:
        # Python may lack sqlite3, and most applications use another store.
        from . import sqlite_connector as connectors  # noqa: PLC0415
        from .sqlite_verbs import SLACK, SQLiteVerbs  # noqa: PLC0415

        log = LARGEST_LOG if max_size is None else min(LARGEST_LOG, max_size // LOG_SHARE)
        size = connectors.PAGE_SIZE
        # The log can exceed its limit by the writes that begin before it reaches the limit.
        beyond = max(log // 4, 2 * largest, TRANSACTION)
        pages = None if max_size is None else (max_size - log - beyond) // size - SLACK
        setup = connectors.Setup(path, timeout, pages, log, log + beyond // 2)
        self.place: str = repr(path)
        self.verbs: SQLiteVerbs = SQLiteVerbs(
            clock, returning=connectors.RETURNING, pages=pages, max_size=max_size
        )
        self.connector: Callable[[], Connector] = lambda: connectors.SQLiteConnector(setup)
        self.async_connector: Callable[[], AsyncConnector] = lambda: (
            connectors.AsyncSQLiteConnector(setup)
        )
        self._translate = connectors.translate

    def translate(self, error: Exception) -> StoreError | None:
        """Return lembro's error for an error of SQLite."""
        return error if isinstance(error, StoreError) else self._translate(error, self.place)


def _check_path(path: Any) -> str:
    if isinstance(path, str | os.PathLike):
        text = os.fspath(path)
        if isinstance(text, str) and text and text != ":memory:" and "\0" not in text:
            return os.path.abspath(text)
    raise ConfigError(
        f"path must be the path of a file, got {path!r}. Example: SQLiteStore('sessions.db'). For "
        f"sessions in memory, use MemoryStore()"
    )
