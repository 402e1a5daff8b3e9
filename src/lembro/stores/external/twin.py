"""The async verbs of an external store, for callers in an event loop."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator, Callable, Iterable
from functools import partial
from typing import Any, TypeVar
from weakref import WeakKeyDictionary

from ..._threads import in_thread
from ...errors import StoreUnavailable
from ..base import Found, PerUser, Record
from . import repeat
from .backend import AsyncConnector, Steps
from .pools import PoolUse, inherited, pool_use_of
from .shared import Shared
from .stats import StoreStats

T = TypeVar("T")


class _Entry:
    """The connector of one loop, and the lock under which it is opened."""

    def __init__(self, connector: AsyncConnector) -> None:
        self.connector = connector
        self.lock = asyncio.Lock()
        self.is_open = False
        self.failures = 0  # of opening


class PerLoop:
    """Holds the connector of each event loop of this process.

    Args:
        make: A function that makes a connector.
        opened: A function that is called each time a connector was opened.
    """

    def __init__(self, make: Callable[[], AsyncConnector], opened: Callable[[], None]) -> None:
        self._make = make
        self._opened = opened
        self._by_process: dict[int, WeakKeyDictionary[asyncio.AbstractEventLoop, _Entry]] = {}

    async def get(self) -> AsyncConnector:
        """Return the open connector of the running loop, and open it first if necessary.

        Raises:
            StoreUnavailable: Another task failed to open it while this one waited. A second try
                would take twice the timeout.
        """
        entries, loop = self._entries, asyncio.get_running_loop()
        entry = entries.get(loop)
        if entry is None:
            # A script may run one loop after another.
            self._discard_if(lambda loop: loop.is_closed())
            entry = entries[loop] = _Entry(self._make())
        if not entry.is_open:
            failures = entry.failures
            async with entry.lock:
                if not entry.is_open:
                    if entry.failures != failures:
                        raise StoreUnavailable("another task could not connect to the backend")
                    try:
                        await entry.connector.open()
                    except Exception:
                        entry.failures += 1
                        raise
                    entry.is_open = True
                    self._opened()
        return entry.connector

    def discard(self) -> None:
        """Close the connections of event loops that have stopped."""
        self._discard_if(lambda loop: not loop.is_running())

    def _discard_if(self, stopped: Callable[[asyncio.AbstractEventLoop], bool]) -> None:
        entries = self._entries
        for reference in entries.keyrefs():  # a copy: loops in other threads add theirs
            loop = reference()
            entry = entries.pop(loop, None) if loop is not None and stopped(loop) else None
            if entry is not None:
                entry.connector.discard()

    @property
    def _entries(self) -> WeakKeyDictionary[asyncio.AbstractEventLoop, _Entry]:
        """Return the connectors of this process. Two threads get the same dictionary."""
        pid = os.getpid()
        entries = self._by_process.get(pid)
        if entries is None:
            inherited.extend(each for of, each in [*self._by_process.items()] if of != pid)
            entries = self._by_process.setdefault(pid, WeakKeyDictionary())
        return entries

    def pool_use(self) -> Iterable[PoolUse]:
        """Return the methods ``pool_use`` of the open connectors that have one."""
        loops = [loop for each in self._entries.keyrefs() if (loop := each()) is not None]
        found = [self._entries.get(loop) for loop in loops if not loop.is_closed()]
        return pool_use_of(each.connector for each in found if each is not None and each.is_open)

    def take(self) -> AsyncConnector | None:
        """Return the running loop's connector, which the caller then closes, or None."""
        entry = self._entries.pop(asyncio.get_running_loop(), None)
        return entry.connector if entry is not None and entry.is_open else None


class AsyncTwin:
    """The async verbs of an :class:`~lembro.stores.external.store.ExternalStore`.

    It needs asyncio. Under trio, use the store itself in a worker thread.

    Args:
        name: The name of the store in ``repr()``.
        shared: The part that the sync and the async verbs share.
        make: A function that makes the connector of an event loop.
    """

    def __init__(self, name: str, shared: Shared, make: Callable[[], AsyncConnector]) -> None:
        self._name = name
        self._shared = shared
        self._verbs = shared.verbs
        self._loops = PerLoop(make, shared.purger.start)
        shared.pools.append(self._loops.pool_use)

    def __repr__(self) -> str:
        return f"<async {self._name}>"

    # -- the contract: lembro.stores.base describes it ---------------------------------------------

    async def get(self, key: bytes) -> Found | None:
        return await self._run(partial(self._verbs.get, key), reads=True)

    async def add(
        self,
        key: bytes,
        record: Record,
        *,
        idle: float,
        life: float,
        per_user: PerUser | None = None,
    ) -> bool:
        self._shared.check_size(record)
        add = partial(self._verbs.add, key, record, idle=idle, life=life, per_user=per_user)
        return await self._run(add, lambda: repeat.add(self._verbs, add, key, record))

    async def set(
        self, key: bytes, record: Record, *, expected: bytes, idle: float
    ) -> Found | None:
        self._shared.check_size(record)
        return await self._run(partial(self._verbs.set, key, record, expected=expected, idle=idle))

    async def replace(
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
        self._shared.check_size(record)
        replace = partial(
            self._verbs.replace,
            old,
            new,
            record,
            expected=expected,
            idle=idle,
            life=life,
            grace=grace,
            per_user=per_user,
        )
        return await self._run(replace, lambda: repeat.replace(self._verbs, replace, new, record))

    async def touch(self, key: bytes, *, idle: float) -> bool:
        return await self._run(partial(self._verbs.touch, key, idle=idle))

    async def destroy(self, key: bytes, *, expected: bytes | None = None) -> Found | None:
        return await self._run(partial(self._verbs.destroy, key, expected=expected))

    async def all(self) -> AsyncIterator[tuple[bytes, Found]]:
        """Yield every live session, in no particular order.

        A session that is added or removed during the iteration may or may not be included.
        """
        after: Any = None
        while True:
            pairs, after = await self._run(partial(self._verbs.page, after), reads=True)
            for pair in pairs:
                yield pair
            if after is None:
                return

    async def length(self) -> int:
        """Count the live sessions. This may read all of them; for monitoring, use :meth:`stats`."""
        return await self._run(self._verbs.length, reads=True)

    async def clear(self) -> None:
        """Remove everything but the marks of used legacy cookies."""
        await self._run(self._verbs.clear)

    async def purge(self, limit: int | None = None) -> int:
        """Remove expired records, at most ``limit``. Return how many were removed.

        Return 0 if the backend removes them by itself.
        """
        return await self._run(partial(self._verbs.purge, limit))

    async def of_user(self, user: str) -> list[tuple[bytes, Found]]:
        """Return the live sessions of a user, the oldest first."""
        return await self._run(partial(self._verbs.of_user, user), reads=True)

    async def destroy_user(self, user: str, keep: bytes | None = None) -> list[bytes]:
        """Remove the sessions and rotated keys of a user.

        ``keep``, and the keys that were rotated to it, stay.
        """
        return await self._run(partial(self._verbs.destroy_user, user, keep))

    async def stats(self) -> StoreStats:
        """Return the current statistics, even if the backend does not answer."""
        try:
            fields = await self._run(self._verbs.stats, reads=True)
        except StoreUnavailable:
            fields = None
        return self._shared.stats_of(fields)

    # -- open and close ----------------------------------------------------------------------------

    async def open(self) -> None:
        """Connect, and prepare the backend; see ``ExternalStore.open``."""
        try:
            await self._run(self._verbs.ping, reads=True)
        except StoreUnavailable as error:
            self._shared.start_without(error)

    async def close(self) -> None:
        """Close the connections of this event loop, and those of the sync verbs."""
        connector = self._loops.take()
        if connector is not None:
            await connector.close()
        await in_thread(self._shared.close)

    def discard(self) -> None:
        """Close the connections of event loops that have stopped."""
        self._loops.discard()

    # -- within ------------------------------------------------------------------------------------

    async def _run(
        self,
        verb: Callable[[], Steps[T]],
        again: Callable[[], Steps[T]] | None = None,
        *,
        reads: bool = False,
    ) -> T:
        """Perform a verb, and once more if the connection was dropped; see ``ExternalStore``."""
        shared = self._shared
        shared.breaker.check()
        repeated = False
        while True:
            try:
                result = await (await self._loops.get()).run(verb, reads=reads)
            except Exception as error:
                shared.fail(error, repeated=repeated)
                verb, repeated = again or verb, True
            else:
                shared.breaker.close()
                return result
