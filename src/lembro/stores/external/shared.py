"""The part of an external store that its sync and its async verbs share."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from typing import Any, Final

from ... import bytesize
from ..._log import log
from ...errors import ConfigError, SessionTooLarge, StoreError, StoreUnavailable
from .._breaker import Breaker
from ..base import Record
from .backend import Backend, Busy, Dropped, Verbs
from .pools import PerProcess, PoolUse
from .purger import Purger
from .stats import StoreStats

PURGED_AT_ONCE: Final = 1000  # records in one transaction, so that other writers wait only briefly


class Shared:
    """The verbs, the limits, the breaker and the purger of a store.

    Args:
        backend: The backend of the store.
        max_session_size: The maximum size of a session in bytes.
        interval: Seconds between two rounds of the purger. None: the backend needs no purger.
        purge: A bound method that takes a limit, removes at most that many expired records, and
            returns how many it removed.
    """

    def __init__(
        self,
        backend: Backend,
        max_session_size: int | str,
        interval: float | None,
        purge: Callable[[int], int],
    ) -> None:
        self.backend = backend
        self.verbs: Verbs = backend.verbs
        self.max_session_size: int = bytesize.parse(max_session_size)
        make = backend.connector
        self.purger: Purger = Purger(purge, PURGED_AT_ONCE, interval if make is not None else None)
        self.process: PerProcess | None = (
            None if make is None else PerProcess(make, self.purger.start)
        )
        self.pools: list[Callable[[], Iterable[PoolUse]]] = []
        """Functions that return the ``pool_use`` of the open connectors."""
        if self.process is not None:
            self.pools.append(self.process.pool_use)
        self.breaker: Breaker = Breaker(backend.place, None if make is None else self._probe)

    def check_size(self, record: Record) -> None:
        """Raise SessionTooLarge if a record is larger than ``max_session_size``."""
        size = len(record.payload) + (0 if record.user is None else len(record.user.encode()))
        if size > self.max_session_size:
            raise SessionTooLarge(size, self.max_session_size)

    def failure_of(self, error: Exception) -> StoreError | None:
        """Return the StoreError for an error, or None if the backend did not cause it."""
        return None if isinstance(error, ConfigError) else self.backend.translate(error)

    def fail(self, error: Exception, *, repeated: bool) -> None:
        """Raise lembro's error for the error of a verb.

        If the connection was dropped at the first run, return, and the verb may run once more.
        """
        failure = self.failure_of(error)
        try:
            if failure is None:
                raise error
            if repeated or not isinstance(failure, Dropped):
                self._note(failure)
                if failure is error:
                    raise error
                raise failure from error
        finally:
            del failure, error  # their tracebacks refer to this frame: a reference cycle

    def _note(self, failure: StoreError) -> None:
        """Record a failure of the backend. If the backend does not answer, open the breaker."""
        if isinstance(failure, StoreUnavailable) and not isinstance(failure, Busy):
            self.breaker.trip(failure)
        else:
            self.breaker.last_error = str(failure)

    def start_without(self, error: StoreUnavailable) -> None:
        """Log that the backend does not answer when the application starts."""
        log.error(
            "lembro: the session store does not answer at startup: %s. Until it answers, requests "
            "that need a session get a 503",
            error,
        )

    def stats_of(self, fields: dict[str, Any] | None) -> StoreStats:
        """Return the statistics. ``fields`` is None if the backend did not answer."""
        pools = [ask() for pool in self.pools for ask in pool()]
        used, limit = max(pools, key=_share, default=(None, None))
        return StoreStats(
            available=fields is not None,
            last_error=self.breaker.last_error,
            connections=used,
            max_connections=limit,
            breaker_open=self.breaker.is_open,
            **(fields or {}),
        )

    def close(self) -> None:
        """Close the connections of this process, and stop the purger."""
        self.purger.stop()
        connector = None if self.process is None else self.process.take()
        if connector is not None:
            connector.close()

    def _probe(self) -> None:
        assert self.process is not None
        self.process.get().run(self.verbs.ping, reads=True)


def _share(pool: tuple[int | None, int | None]) -> float:
    """Return the share of the connections of a pool that is in use."""
    used, limit = pool
    return (used or 0) / (limit or math.inf)
