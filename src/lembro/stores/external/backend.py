"""The parts that a store in another process or in a file is made of.

A backend has *verbs* and *connectors*. The verbs are written once, as generators that yield the
commands of the backend and are sent the results. A connector performs the commands of a verb on a
connection. There is one for sync callers, and one for async callers.
"""

from __future__ import annotations

from collections.abc import Callable, Generator
from typing import Any, Protocol, TypeAlias, TypeVar

from ...errors import StoreError, StoreUnavailable
from ..base import Found, PerUser, Record

T = TypeVar("T")

Steps: TypeAlias = Generator[Any, Any, T]
"""A verb: it yields commands of its backend, is sent their results, and returns its own."""

Page: TypeAlias = tuple[list[tuple[bytes, Found]], Any]
"""Some live sessions, and the position where the next page begins. It is None at the end."""


class Dropped(StoreUnavailable):
    """The connection was dropped, so the verb may or may not have been performed.

    The store then performs the verb once more, on another connection.
    """


class Busy(StoreUnavailable):
    """The backend answers, but other callers kept it busy until the timeout.

    The breaker ignores this error, because other verbs work.
    """


class Verbs(Protocol):
    """The verbs of a backend as generators; ``lembro.stores.base`` describes what they return.

    A verb can run twice, because the connection may be dropped before the reply arrives. The module
    ``repeat`` then returns the result of the first run.
    """

    def get(self, key: bytes) -> Steps[Found | None]: ...

    def add(
        self,
        key: bytes,
        record: Record,
        *,
        idle: float,
        life: float,
        per_user: PerUser | None = None,
    ) -> Steps[bool]: ...

    def set(
        self, key: bytes, record: Record, *, expected: bytes, idle: float
    ) -> Steps[Found | None]:
        """Return the written payload if the write was done, even if another write followed."""
        ...

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
    ) -> Steps[Found | None]: ...

    def touch(self, key: bytes, *, idle: float) -> Steps[bool]: ...

    def destroy(self, key: bytes, *, expected: bytes | None) -> Steps[Found | None]: ...

    def page(self, after: Any) -> Steps[Page]:
        """Return some live sessions without rotated keys. ``after`` is None for the first page."""
        ...

    def length(self) -> Steps[int]: ...

    def clear(self) -> Steps[None]: ...

    def purge(self, limit: int | None) -> Steps[int]:
        """Remove expired records. Return 0 if the backend does it by itself."""
        ...

    def of_user(self, user: str) -> Steps[list[tuple[bytes, Found]]]: ...

    def destroy_user(self, user: str, keep: bytes | None) -> Steps[list[bytes]]: ...

    def stats(self) -> Steps[dict[str, Any]]:
        """Return fields of :class:`~lembro.stores.external.stats.StoreStats`."""
        ...

    def ping(self) -> Steps[Any]:
        """Perform the cheapest command, to check that the backend answers."""
        ...


class PreparedVerbs(Verbs, Protocol):
    """The verbs of a backend that is prepared when a connector is opened."""

    def prepare(self, place: str) -> Steps[None]:
        """Check and prepare the server. ``place`` is its name, for errors."""
        ...


class Connector(Protocol):
    """The connections of one process, for callers that may block."""

    def open(self) -> None:
        """Connect and prepare the backend. After an error it is called again."""
        ...

    def run(self, verb: Callable[[], Steps[T]], *, reads: bool) -> T:
        """Perform a verb within the timeout, and raise the errors of the client.

        If anything is raised before the reply was read, the connection must not go back to its
        pool. Otherwise the next verb would read this reply. A cancelled caller counts too.

        Args:
            verb: A function that returns the generator. It may be called again if the first run
                changed nothing.
            reads: Whether the verb changes nothing.
        """
        ...

    def close(self) -> None:
        """Close the connections. The caller makes sure that no verb is running."""
        ...


class AsyncConnector(Protocol):
    """The connections of one event loop."""

    async def open(self) -> None: ...

    async def run(self, verb: Callable[[], Steps[T]], *, reads: bool) -> T: ...

    async def close(self) -> None: ...

    def discard(self) -> None:
        """Close the connections without awaiting, because their event loop has stopped."""
        ...


class Backend(Protocol):
    """The parts of a backend that :class:`~lembro.stores.external.store.ExternalStore` uses."""

    @property
    def verbs(self) -> Verbs: ...

    @property
    def connector(self) -> Callable[[], Connector] | None:
        """A function that makes the connector of a process. None: there is only an async client."""
        ...

    @property
    def async_connector(self) -> Callable[[], AsyncConnector] | None:
        """A function that makes the connector of a loop. None: there is only a sync client."""
        ...

    @property
    def place(self) -> str:
        """The name of the backend in errors and in ``repr()``, without a password."""
        ...

    def translate(self, error: Exception, /) -> StoreError | None:
        """Return lembro's error for an error of the client, or None if the error is a bug."""
        ...
