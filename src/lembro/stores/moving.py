"""MovingStore: a new store that takes over the sessions of an old one, one by one.

A session moves when it is used for the first time. The new store adds it together with a mark, as
it does for a legacy cookie (``replace`` with ``expected=None``). So a session moves once, even if
several requests use it at the same time. After a logout, the mark prevents the old store from
restoring the session. The old store is only read.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from hashlib import sha256
from typing import Any, Final

from .._log import log
from ..errors import ConfigError, SessionTooLarge
from .base import MARK, Found, PerUser, Record
from .copying import existing_store, moved
from .urls import store_of

OVERLAP: Final = 86400.0
"""Seconds for which processes of the previous version may still extend a session in the old store.
A mark lives for that much longer than its session would in the old store."""


class MovingStore:
    """A store that reads an old store while it writes a new one, so that nobody is logged out.

    Each session moves to the new store when it is used for the first time. It keeps its ID, its
    user, its age, and the time until it expires. The old store is only read. A logout and a
    revocation also end sessions that have not moved yet.

    Async applications call this store in threads. Replace it with the new store when the idle
    timeout, or the ``remember_timeout`` if logins are remembered, has passed since the old store
    was last written.

    Args:
        old: The store to read, or its URL. It must list the sessions of a user.
        new: The store to write, or its URL.

    Raises:
        ConfigError: A URL is invalid, the file of the old store does not exist, or a store has no
            sync verbs.
    """

    blocking: bool = True

    def __init__(self, *, old: Any, new: Any) -> None:
        if old == new:
            raise ConfigError("old and new must be two stores, got the same one twice")
        self.old: Final = _sync("old", existing_store(old))
        self.new: Final = _sync("new", store_of(new))
        if not hasattr(self.old, "of_user") or not hasattr(self.old, "all"):
            raise ConfigError(
                f"the old store must have of_user() and all(), got {self.old!r}. Copy its sessions "
                f"with lembro.stores.copy_sessions() instead"
            )
        if hasattr(self.new, "reserve_marks"):
            self.new.reserve_marks()

    def __repr__(self) -> str:
        return f"<MovingStore from {self.old!r} to {self.new!r}>"

    def __getattr__(self, name: str) -> Any:
        """Return an optional method of the new store, such as ``stats`` or ``purge``."""
        if name.startswith("_") or name in {"aio", "sync", "old", "new"}:
            raise AttributeError(f"{type(self).__name__!r} object has no attribute {name!r}")
        return getattr(self.new, name)

    # -- the contract: lembro.stores.base describes it ---------------------------------------------

    def get(self, key: bytes) -> Found | None:
        found: Found | None = self.new.get(key)
        return self._move(key) if found is None else found

    def add(
        self,
        key: bytes,
        record: Record,
        *,
        idle: float,
        life: float,
        per_user: PerUser | None = None,
    ) -> bool:
        self._move_counted(record, per_user)
        added: bool = self.new.add(key, record, idle=idle, life=life, per_user=per_user)
        return added

    def set(self, key: bytes, record: Record, *, expected: bytes, idle: float) -> Found | None:
        found: Found | None = self.new.set(key, record, expected=expected, idle=idle)
        if found is None:
            found = self._move(key)
            if found is not None and found.successor is None:
                found = self.new.set(key, record, expected=expected, idle=idle)
        return found

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
        self._move_counted(record, per_user)
        # A legacy cookie may have been used before the change of stores.
        held = self.get(old) if expected is None else None
        if held is not None:
            return held
        replace = partial(
            self.new.replace,
            old,
            new,
            record,
            expected=expected,
            idle=idle,
            life=life,
            grace=grace,
            per_user=per_user,
        )
        found: Found | None = replace()
        if found is None and expected is not None:
            found = self._move(old)
            if found is not None and found.successor is None:
                found = replace()
        return found

    def touch(self, key: bytes, *, idle: float) -> bool:
        touched: bool = self.new.touch(key, idle=idle)
        if not touched and self._move(key) is not None:
            touched = self.new.touch(key, idle=idle)
        return touched

    def destroy(self, key: bytes, *, expected: bytes | None = None) -> Found | None:
        found: Found | None = self.new.destroy(key, expected=expected)
        if found is None and self._move(key) is not None:
            found = self.new.destroy(key, expected=expected)
        return found

    def all(self) -> Iterator[tuple[bytes, Found]]:
        """Yield every live session, in no particular order."""
        yield from self.new.all()
        for key, found in self.old.all():
            if self.new.get(mark_for(key)) is None:
                yield key, found

    def length(self) -> int:
        """Count the live sessions. This reads all of them."""
        return sum(1 for _ in self.all())

    def clear(self) -> None:
        """Remove everything but the marks of used legacy cookies. The old store stays as it is."""
        for key, found in self.old.all():
            self._add(key, found)
        self.new.clear()

    def of_user(self, user: str) -> Any:
        """Return the live sessions of a user, the oldest first."""
        self._move_user(user)
        return self.new.of_user(user)

    def destroy_user(self, user: str, keep: bytes | None = None) -> list[bytes]:
        """Remove the sessions and rotated keys of a user, except for ``keep``."""
        self._move_user(user)
        removed: list[bytes] = self.new.destroy_user(user, keep)
        return removed

    # -- open and close ----------------------------------------------------------------------------

    def open(self) -> None:
        """Open both stores."""
        for store in (self.old, self.new):
            if hasattr(store, "open"):
                store.open()

    def close(self) -> None:
        """Close both stores."""
        for store in (self.new, self.old):
            if hasattr(store, "close"):
                store.close()

    # -- within ------------------------------------------------------------------------------------

    def _move(self, key: bytes) -> Found | None:
        """Move a session, unless it has moved before. Return the record under the key, if any."""
        found: Found | None = self.old.get(key)
        if found is None or found.successor is not None or key.startswith(MARK):
            return found
        self._add(key, found)
        now: Found | None = self.new.get(key)
        return now

    def _add(self, key: bytes, found: Found) -> None:
        """Add a session of the old store to the new one, unless it has moved before."""
        try:
            self.new.replace(
                mark_for(key),
                key,
                moved(found),
                expected=None,
                idle=found.idle_left,
                life=found.life_left,
                grace=min(found.idle_left + OVERLAP, found.life_left),
            )
        except SessionTooLarge as error:
            log.error("lembro: a session cannot move to the new store: %s", error)

    def _move_user(self, user: str) -> None:
        for key, found in self.old.of_user(user):
            self._add(key, found)

    def _move_counted(self, record: Record, per_user: PerUser | None) -> None:
        """Move the sessions of a user before the new store counts them."""
        if record.user is not None and per_user is not None:
            self._move_user(record.user)


def _sync(name: str, store: Any) -> Any:
    """Return the store whose verbs are plain functions."""
    if not hasattr(store, "get"):
        raise ConfigError(
            f"the {name} store of a MovingStore must be a store or a URL, got "
            f"{type(store).__name__}. Example: MovingStore(old='sqlite:///sessions.db', "
            f"new='redis://localhost:6379/0')"
        )
    sync = getattr(store, "sync", store)
    if sync is None or not hasattr(sync, "blocking"):
        raise ConfigError(
            f"the {name} store of a MovingStore must have plain methods, got {store!r}, whose "
            f"methods are awaited. Pass its URL, or a store with a sync client"
        )
    return sync


def mark_for(key: bytes) -> bytes:
    """Return the key of the mark of a session that has moved."""
    return MARK + sha256(b"lembro moved " + key).digest()[len(MARK) :]
