"""A store in another process or in a file, with its sync verbs."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from typing import TYPE_CHECKING, Any, Final, Self, TypeVar

from ...errors import StoreUnavailable, UsageError
from ..base import Found, PerUser, Record
from . import repeat
from .backend import AsyncConnector, Backend, Steps
from .shared import Shared
from .stats import StoreStats

if TYPE_CHECKING:
    from .twin import AsyncTwin

T = TypeVar("T")

MAX_SESSION_SIZE: Final = "1M"


class ExternalStore:
    """A store in another process or in a file, for sync and async callers.

    A subclass makes a backend, and passes it to this class. The verbs of the store itself are
    plain functions. The verbs of ``aio`` are coroutine functions. The store connects at its first
    use. Each process and each event loop has its own connections.

    Args:
        backend: The verbs, and the sync and async connectors.
        max_session_size: The maximum size of a session in bytes.
        interval: Seconds between two rounds of the thread that removes expired sessions. None: the
            backend removes them itself.

    Raises:
        ConfigError: An argument is invalid.
    """

    blocking: bool = True
    system: str = "other_sql"
    """The name of the backend by the semantic conventions of OpenTelemetry (``db.system.name``)."""

    def __init__(
        self,
        backend: Backend,
        *,
        max_session_size: int | str = MAX_SESSION_SIZE,
        interval: float | None = None,
    ) -> None:
        self._shared = Shared(backend, max_session_size, interval, self.purge)
        self._verbs = backend.verbs
        self._process = self._shared.process
        make = backend.async_connector
        self._aio = None if make is None else self._make_aio(make)

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self._shared.backend.place}>"

    @property
    def max_session_size(self) -> int:
        """The maximum size of a session in bytes."""
        return self._shared.max_session_size

    @property
    def sync(self) -> Self | None:
        """The store for sync callers, or None if you passed an async client."""
        return None if self._process is None else self

    @property
    def aio(self) -> AsyncTwin | None:
        """The store for async callers, or None if you passed a sync client."""
        return self._aio

    # -- the contract: lembro.stores.base describes it ---------------------------------------------

    def get(self, key: bytes) -> Found | None:
        return self._run(partial(self._verbs.get, key), reads=True)

    def add(
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
        return self._run(add, lambda: repeat.add(self._verbs, add, key, record))

    def set(self, key: bytes, record: Record, *, expected: bytes, idle: float) -> Found | None:
        self._shared.check_size(record)
        return self._run(partial(self._verbs.set, key, record, expected=expected, idle=idle))

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
        return self._run(replace, lambda: repeat.replace(self._verbs, replace, new, record))

    def touch(self, key: bytes, *, idle: float) -> bool:
        return self._run(partial(self._verbs.touch, key, idle=idle))

    def destroy(self, key: bytes, *, expected: bytes | None = None) -> Found | None:
        return self._run(partial(self._verbs.destroy, key, expected=expected))

    def all(self) -> Iterator[tuple[bytes, Found]]:
        """Yield every live session, in no particular order.

        A session that is added or removed during the iteration may or may not be included.
        """
        after: Any = None
        while True:
            pairs, after = self._run(partial(self._verbs.page, after), reads=True)
            yield from pairs
            if after is None:
                return

    def length(self) -> int:
        """Count the live sessions. This may read all of them; for monitoring, use :meth:`stats`."""
        return self._run(self._verbs.length, reads=True)

    def clear(self) -> None:
        """Remove everything but the marks of used legacy cookies."""
        self._run(self._verbs.clear)

    def purge(self, limit: int | None = None) -> int:
        """Remove expired records, at most ``limit``. Return how many were removed.

        Return 0 if the backend removes them by itself.
        """
        return self._run(partial(self._verbs.purge, limit))

    def of_user(self, user: str) -> list[tuple[bytes, Found]]:
        """Return the live sessions of a user, the oldest first."""
        return self._run(partial(self._verbs.of_user, user), reads=True)

    def destroy_user(self, user: str, keep: bytes | None = None) -> list[bytes]:
        """Remove the sessions and rotated keys of a user.

        ``keep``, and the keys that were rotated to it, stay.
        """
        return self._run(partial(self._verbs.destroy_user, user, keep))

    def stats(self) -> StoreStats:
        """Return the current statistics, even if the backend does not answer."""
        try:
            fields = self._run(self._verbs.stats, reads=True)
        except StoreUnavailable:
            fields = None
        return self._shared.stats_of(fields)

    # -- open and close ----------------------------------------------------------------------------

    def open(self) -> None:
        """Connect, and prepare the backend.

        If the backend does not answer, the application starts anyway. The error is logged, and
        requests that need a session get a 503 until the backend answers again.

        Raises:
            ConfigError: The backend answers, but its configuration does not allow its use.
        """
        try:
            self._run(self._verbs.ping, reads=True)
        except StoreUnavailable as error:
            self._shared.start_without(error)

    def close(self) -> None:
        """Close the connections of this process. The next verb opens new ones.

        The connections of a running event loop stay open until you await ``aio.close()`` in it.
        """
        self._shared.close()
        if self._aio is not None:
            self._aio.discard()

    def __enter__(self) -> Self:
        self.open()
        return self

    def __exit__(self, *error: object) -> None:
        self.close()

    # -- within ------------------------------------------------------------------------------------

    def _make_aio(self, make: Callable[[], AsyncConnector]) -> AsyncTwin:
        """Make the store for async callers. A subclass with more verbs overrides this."""
        from .twin import AsyncTwin  # noqa: PLC0415 - it imports asyncio

        return AsyncTwin(repr(self), self._shared, make)

    def _run(
        self,
        verb: Callable[[], Steps[T]],
        again: Callable[[], Steps[T]] | None = None,
        *,
        reads: bool = False,
    ) -> T:
        """Perform a verb, and once more if the connection was dropped.

        Args:
            verb: A function that returns the generator.
            again: The same for the second run. The default is ``verb``.
            reads: Whether the verb changes nothing.

        Raises:
            StoreError: The backend failed, or the breaker is open.
            UsageError: The store has an async client only.
        """
        shared = self._shared
        if self._process is None:
            raise UsageError(f"{self!r} has an async client; await the methods of its `aio`")
        shared.breaker.check()
        repeated = False
        while True:
            try:
                result = self._process.get().run(verb, reads=reads)
            except Exception as error:
                shared.fail(error, repeated=repeated)
                verb, repeated = again or verb, True
            else:
                shared.breaker.close()
                return result
