"""The store contract: what every store promises, and what it may offer besides.

* One verb is one atomic step. ``set`` and ``touch`` never create, so a destroyed session cannot
  come back. Only the failure of a backend raises, as :class:`~lembro.StoreError`; a record that
  is larger than the store accepts raises :class:`~lembro.SessionTooLarge` and changes nothing.
* No two writes have the same payload (the core marks each), so what a store holds afterwards tells
  whose write succeeded.
* Stores are handed durations in seconds and own the clock.
* Expired or evicted is absent.
* A *replaced* key (``successor`` is set) lives at most its grace: no verb extends it or matches
  it, and it is left out of every count, list and cap.

``lembro.testing`` holds the suite that a store must pass.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Literal, Protocol, TypeAlias

import msgspec

PerUser: TypeAlias = tuple[int, Literal["oldest", "refuse"]]
"""How many sessions a user may have, and what gives way to one more: the user's oldest session,
or the new one."""


class Record(msgspec.Struct, frozen=True):
    """One session as a store keeps it. (A msgspec Struct: ten times faster to make than a frozen
    dataclass, and one is made for every request that looks at its session.)"""

    payload: bytes
    """The encoded session, opaque to the store."""
    user: str | None = None
    """Who is logged in. Set when the record is added, never changed."""
    successor: bytes | None = None
    """The key that replaced this one."""
    reputation: bytes | None = None
    """16 bytes: 64 random bits, and the birth on the clock of the store that issued them. How long
    this visitor has been known; only a store that evicts looks at it."""


class Found(Record, frozen=True):
    """A record as a store returns it, with its times by the store's own clock, in seconds."""

    age: float = 0.0
    """Since the record was added; ``replace`` with ``life=None`` carries it on."""
    idle_left: float = 0.0
    """Until the record expires if nobody uses it; never more than ``life_left``."""
    life_left: float = 0.0
    """Until the record expires however much it is used; ``math.inf`` without such a limit."""


class Store(Protocol):
    """A store whose verbs are plain functions. Keys are 32 bytes."""

    @property
    def blocking(self) -> bool:
        """False: the verbs return at once (in-process) and may be called from an event loop."""
        ...

    def get(self, key: bytes) -> Found | None:
        """The record, or None. Does not extend its life."""
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
        """Store a new record. False if the key exists, or if ``per_user`` refuses it."""
        ...

    def set(self, key: bytes, record: Record, *, expected: bytes, idle: float) -> Found | None:
        """Replace the payload if it still is ``expected``, and return what the store holds
        afterwards: the new payload (saved), another one (somebody was first; a replaced key is
        returned as it is), or None (gone). The user, the standing and the absolute limit stay
        as they were."""
        ...

    def replace(
        self,
        old: bytes,
        new: bytes,
        record: Record,
        *,
        expected: bytes,
        idle: float,
        life: float | None,
        grace: float,
        per_user: PerUser | None = None,
    ) -> Found | None:
        """If ``old`` still holds ``expected``: store ``record`` under ``new``, and leave at
        ``old`` a pointer to it (``successor``, an empty payload, the old user, no standing) for
        ``grace`` seconds at most. Returns what there is afterwards: the new record (done), another
        one (what ``old`` holds, or its pointer: somebody was first, or ``per_user`` refused;
        nothing was changed), or None (``old`` is gone, or ``new`` exists). ``life=None`` keeps the
        old record's age and what remains of its life. With ``grace=0`` there is no pointer: ``old``
        is absent at once. ``old`` itself never counts against the cap of its successor."""
        ...

    def touch(self, key: bytes, *, idle: float) -> bool:
        """Extend the idle deadline, nothing else. False if the key is gone or replaced."""
        ...

    def destroy(self, key: bytes, *, expected: bytes | None = None) -> Found | None:
        """Remove the record (with ``expected``: only if it holds that payload and is not
        replaced), and return it, to exactly one caller."""
        ...


class AsyncStore(Protocol):
    """The same contract with ``async def``."""

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
        expected: bytes,
        idle: float,
        life: float | None,
        grace: float,
        per_user: PerUser | None = None,
    ) -> Found | None: ...

    async def touch(self, key: bytes, *, idle: float) -> bool: ...

    async def destroy(self, key: bytes, *, expected: bytes | None = None) -> Found | None: ...


# What a store may offer besides. In an AsyncStore each is the same with ``async def``.


class SupportsAll(Protocol):
    def all(self) -> Iterable[tuple[bytes, Found]]:
        """Every live session; replaced keys are left out."""
        ...


class SupportsLength(Protocol):
    def length(self) -> int:
        """How many live sessions there are; replaced keys are left out."""
        ...


class SupportsClear(Protocol):
    def clear(self) -> None:
        """Remove everything."""
        ...


class SupportsPurge(Protocol):
    def purge(self, limit: int | None = None) -> int:
        """Remove expired records, at most ``limit`` of them; how many were removed."""
        ...


class SupportsReduce(Protocol):
    def reduce(self) -> int:
        """Evict down to the store's ``reduce_to``; how many were evicted."""
        ...


class SupportsOfUser(Protocol):
    def of_user(self, user: str) -> Iterable[tuple[bytes, Found]]:
        """The live sessions of a user, the oldest first; replaced keys are left out."""
        ...


class SupportsDestroyUser(Protocol):
    def destroy_user(self, user: str, keep: bytes | None = None) -> list[bytes]:
        """Remove a user's sessions and replaced keys, but for ``keep`` and what leads to it.
        Returns the keys of the sessions it removed."""
        ...


class SupportsStats(Protocol):
    def stats(self) -> Any:
        """Numbers about the store, as a Struct of the store's own."""
        ...


class SupportsReputation(Protocol):
    def new_reputation(self) -> bytes:
        """A standing born now: 8 random bytes, 8 bytes of the time by the store's clock."""
        ...
