"""Verbs that run a second time because the connection was dropped.

The first run may have been performed, so a repeated verb returns what the first would have. ``set``
needs nothing: a store that holds the payload of a write has done it, as no two payloads are equal.
``destroy`` and ``destroy_user`` return that nothing was there.
"""

from __future__ import annotations

from collections.abc import Callable

from ..base import Found, Record
from .backend import Steps, Verbs


def add(verbs: Verbs, verb: Callable[[], Steps[bool]], key: bytes, record: Record) -> Steps[bool]:
    """Return True if ``verb`` added the record, now or in its first run."""
    added = yield from verb()
    return added or _is(record, (yield from verbs.get(key)))


def replace(
    verbs: Verbs, verb: Callable[[], Steps[Found | None]], new: bytes, record: Record
) -> Steps[Found | None]:
    """Return the new record if ``verb`` rotated the key, now or in its first run.

    Otherwise a login would be lost: its cookie would never be sent.
    """
    found = yield from verb()
    if found is None or found.successor == new:
        rotated = yield from verbs.get(new)
        if _is(record, rotated):
            return rotated
    return found


def _is(record: Record, found: Found | None) -> bool:
    return found is not None and found.successor is None and found.payload == record.payload
