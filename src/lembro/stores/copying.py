"""Copy the sessions of one store into another."""

from __future__ import annotations

import os
from typing import Any, NamedTuple

from ..errors import ConfigError, SessionTooLarge
from .base import Found, Record
from .urls import store_of


class Copied(NamedTuple):
    """How many sessions ``copy_sessions`` copied and skipped."""

    copied: int
    """Sessions that were copied."""
    present: int
    """Sessions whose key the new store had already."""
    too_large: int
    """Sessions that exceed the ``max_session_size`` of the new store."""


def copy_sessions(old: Any, new: Any) -> Copied:
    """Copy each live session that the new store does not have.

    A session keeps its ID, its user, its age, and the time until it expires. Rotated IDs and the
    marks of used legacy cookies are not copied.

    Args:
        old: The store to read.
        new: The store to write.

    Raises:
        StoreError: A store failed. Call this again to copy the other sessions.
    """
    copied = present = too_large = 0
    for key, found in old.all():
        try:
            added = new.add(key, moved(found), idle=found.idle_left, life=found.life_left)
        except SessionTooLarge:
            too_large += 1
        else:
            copied, present = copied + added, present + (not added)
    return Copied(copied, present, too_large)


def moved(found: Found) -> Record:
    """Return the record of a session for another store, with its age."""
    return Record(found.payload, found.user, None, found.reputation, found.age)


def existing_store(given: Any) -> Any:
    """Return a store that has sessions already: the argument, or the store of a URL.

    Raises:
        ConfigError: The URL is invalid, or names a file that does not exist. A store would create
            that file, and the sessions would seem to be lost.
    """
    store = store_of(given)
    path = getattr(store, "path", None)
    if isinstance(path, str) and not os.path.exists(path):
        raise ConfigError(f"the file {path!r} of the store does not exist. Check the path")
    return store
