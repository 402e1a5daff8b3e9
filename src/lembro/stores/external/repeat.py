"""Verbs that run a second time because the connection was dropped.

The backend may have performed the first run. So the second run returns the result of the first.
``set`` needs no special case: no two payloads are equal, so the store holds this payload only if
the write was done. ``destroy`` and ``destroy_user`` report in this case that nothing was there.
"""

from __future__ import annotations

from collections.abc import Callable

from ..base import Found, Record
from .backend import Steps, Verbs


def add(verbs: Verbs, verb: Callable[[], Steps[bool]], key: bytes, record: Record) -> Steps[bool]:
    """Perform ``add``. Return True if this run or the first one added the record."""
    added = yield from verb()
    return added or _is(record, (yield from verbs.get(key)))


def replace(
    verbs: Verbs, verb: Callable[[], Steps[Found | None]], new: bytes, record: Record
) -> Steps[Found | None]:
    """Perform ``replace``. Return the new record if this run or the first one rotated the key.

    Without this, a login whose reply was lost would never get its cookie.
    """
    found = yield from verb()
    if found is None or found.successor == new:
        rotated = yield from verbs.get(new)
        if _is(record, rotated):
            return rotated
    return found


def _is(record: Record, found: Found | None) -> bool:
    return found is not None and found.successor is None and found.payload == record.payload
