"""The store contract: six verbs that every store has, and methods that a store may have.

* Each verb is atomic.
* ``set`` and ``touch`` never create a record, so a destroyed session cannot come back.
* A verb raises :class:`~lembro.StoreError` if its backend fails; its subclasses say whether the
  backend is unavailable, full or read-only. If a record is larger than the store accepts, the verb
  raises :class:`~lembro.SessionTooLarge` and changes nothing.
* A verb decides in its atomic step whether its write was done. If so, it returns the payload that
  it wrote, even if another write followed at once.
* A verb that a store repeats, because a reply was lost, returns what the first run would have.
* No two writes have the same payload, because the core marks each one. So the payload that a store
  holds after a write shows whose write succeeded.
* Durations are in seconds. The store has the clock.
* An expired or evicted record is absent.
* A *rotated* key has a ``successor``: the key of the session that it was rotated to. It lives for
  its grace at most. No verb extends or matches it, and no count, list or limit includes it.
* A *mark* is a rotated key that never had a record: ``replace`` with ``expected=None`` makes it. It
  notes that a legacy cookie was used (``migrate_from``), and its key begins with ``MARK``. Until
  its grace has passed, it must neither be evicted nor be removed by ``destroy_user`` or ``clear``.
  A store that cannot keep a mark refuses the session: ``replace`` returns a record with the payload
  ``NO_ROOM``. If the session has a user, the store then refuses all other marks, for as long as
  that mark would have lived. During this time, ``get`` also returns that record for each mark that
  the store does not have.

``lembro.testing`` has the test suite that every store must pass.

Provisional in 0.1: the contract may change in a minor release. Stored records stay readable for at
least one minor release.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Final, Literal, Protocol, TypeAlias

import msgspec

MARK: Final = b"adopted:"
"""The first 8 bytes of the key of each mark, and of no other key."""

NO_ROOM: Final = b"no room"
"""The payload that a store returns in place of a mark that it may have had no room for."""

PerUser: TypeAlias = tuple[int, Literal["oldest", "refuse"]]
"""How many sessions a user may have, and the effect of one more: "oldest" removes the user's oldest
session, "refuse" refuses the new one."""


class Record(msgspec.Struct, frozen=True):
    """One session as it is given to a store.

    It is a msgspec Struct, because every request that loads its session makes one, and a frozen
    dataclass takes ten times as long to make.
    """

    payload: bytes
    """The encoded session. The store does not interpret it."""
    user: str | None = None
    """The logged-in user. It is set when the record is added, and never changes."""
    successor: bytes | None = None
    """The key that this one was rotated to."""
    reputation: bytes | None = None
    """How long the visitor has been known: 8 random bytes, then 8 bytes of the time of birth by the
    clock of the store that issued it. Only a store that evicts uses it."""
    age: float = 0.0
    """Seconds since the record was added. A new record has an age if it comes from another store:
    ``add`` keeps it, and so does ``replace`` with ``life`` given."""


class Found(Record, frozen=True):
    """A record as a store returns it, with its times in seconds by the store's clock."""

    idle_left: float = 0.0
    """Seconds until the record expires without use. It never exceeds ``life_left``."""
    life_left: float = 0.0
    """Seconds until the record expires in any case, or ``math.inf``."""


class Store(Protocol):
    """A store whose verbs are synchronous functions. A key is 32 bytes."""

    @property
    def blocking(self) -> bool:
        """Whether a verb may wait, for a network or a disk.

        If not, it may be called from an event loop.
        """
        ...

    def get(self, key: bytes) -> Found | None:
        """Return the record, or None. This does not extend its life."""
        ...

    def add(
        self,
        key: bytes,
        record: Record,
        *,
        idle: float,
        life: float,
        per_user: PerUser | None = None,
    ) -> bool:
        """Add a new record.

        Args:
            key: The key.
            record: The record.
            idle: Seconds until the record expires without use.
            life: Seconds until it expires in any case.
            per_user: The limit of sessions for ``record.user``.

        Returns:
            False if the key exists, or if ``per_user`` refuses the record.
        """
        ...

    def set(self, key: bytes, record: Record, *, expected: bytes, idle: float) -> Found | None:
        """Replace the payload of a record, if it is still ``expected``.

        The user, the reputation and the absolute deadline stay the same.

        Returns:
            The record that the store holds afterwards. It has the new payload if the write was
            done. It has another payload, or is a rotated key, if another request was first. None
            if the record is gone.
        """
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
    ) -> Found | None:
        """Rotate a key, if its payload is still ``expected``.

        The new record is stored under ``new``. ``old`` becomes a rotated key: it keeps its user,
        has ``new`` as its successor, an empty payload and no reputation.

        Args:
            old: The key to rotate.
            new: The new key.
            record: The new record.
            expected: The payload that ``old`` must have. None: ``old`` must be absent. Then it
                becomes a mark, a rotated key that has no user; ``life`` is given, and ``grace``
                is not limited by the life of another record.
            idle: Seconds until the new record expires without use.
            life: Seconds until it expires in any case. None keeps the age and the absolute
                deadline of the old record. Otherwise the age is ``record.age``.
            grace: Seconds until the rotated key expires, at most. 0: ``old`` is absent at once.
            per_user: The limit of sessions for ``record.user``. ``old`` does not count.

        Returns:
            The new record if the key was rotated. The record at ``old`` if nothing was changed,
            because another request was first or ``per_user`` refused. None if ``old`` is gone or
            ``new`` exists. With ``expected=None``, also None if ``per_user`` refused.
        """
        ...

    def touch(self, key: bytes, *, idle: float) -> bool:
        """Extend the idle deadline only. Return False if the key is absent or rotated."""
        ...

    def destroy(self, key: bytes, *, expected: bytes | None = None) -> Found | None:
        """Remove a record and return it, to exactly one caller.

        Args:
            key: The key.
            expected: If given, only a record with this payload is removed, and no rotated key.

        Returns:
            The removed record, or None.
        """
        ...


class AsyncStore(Protocol):
    """A store with the same contract, whose verbs are coroutines."""

    async def get(self, key: bytes) -> Found | None: ...

    async def add(
        self,
        key: bytes,
        record: Record,
        *,
        idle: float,
        life: float,
        per_user: PerUser | None = None,
    ) -> bool: ...

    async def set(
        self, key: bytes, record: Record, *, expected: bytes, idle: float
    ) -> Found | None: ...

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
    ) -> Found | None: ...

    async def touch(self, key: bytes, *, idle: float) -> bool: ...

    async def destroy(self, key: bytes, *, expected: bytes | None = None) -> Found | None: ...


# Optional methods. In an AsyncStore each is a coroutine function.


class SupportsAll(Protocol):
    """A store that can list its sessions."""

    def all(self) -> Iterable[tuple[bytes, Found]]:
        """Return every live session, without rotated keys."""
        ...


class SupportsLength(Protocol):
    """A store that can count its sessions."""

    def length(self) -> int:
        """Return the number of live sessions, without rotated keys."""
        ...


class SupportsClear(Protocol):
    """A store that can be emptied."""

    def clear(self) -> None:
        """Remove everything but the marks of used legacy cookies."""
        ...


class SupportsMarks(Protocol):
    """A store that reserves memory for marks."""

    def reserve_marks(self) -> None:
        """Reserve the memory. A manager with ``migrate_from`` calls this when it is made."""
        ...


class SupportsPurge(Protocol):
    """A store that can remove expired records."""

    def purge(self, limit: int | None = None) -> int:
        """Remove expired records, at most ``limit``. Return how many were removed.

        A store whose backend removes them by itself returns 0.
        """
        ...


class SupportsReduce(Protocol):
    """A store that can evict sessions on demand."""

    def reduce(self) -> int:
        """Evict sessions down to the store's ``reduce_to``. Return how many were evicted."""
        ...


class SupportsOfUser(Protocol):
    """A store that can list the sessions of a user."""

    def of_user(self, user: str) -> Iterable[tuple[bytes, Found]]:
        """Return the live sessions of a user, the oldest first, without rotated keys."""
        ...


class SupportsDestroyUser(Protocol):
    """A store that can end all sessions of a user."""

    def destroy_user(self, user: str, keep: bytes | None = None) -> list[bytes]:
        """Remove the sessions and rotated keys of a user.

        Args:
            user: The user.
            keep: The key of a session that stays, together with the keys rotated to it.

        Returns:
            The keys of the sessions that were removed.
        """
        ...


class SupportsStats(Protocol):
    """A store that has statistics."""

    def stats(self) -> Any:
        """Return the statistics, as a Struct that the store defines."""
        ...


class SupportsReputation(Protocol):
    """A store that evicts by reputation."""

    def new_reputation(self) -> bytes:
        """Return a reputation that begins now: 8 random bytes, then 8 bytes of the time."""
        ...
