"""Load a session: from the cookie of a request to a record of the store.

The result is a row of the decision table (``lifecycle.py``). Pure, like all of the core.
"""

from __future__ import annotations

import enum
from typing import Final

from .._http.cookie import DUPLICATE
from ..errors import CodecError
from ..events import Event
from ..ids import handle_for, key_for
from ..stores.base import Found
from . import codec
from .effects import Call, Flow
from .state import NEW, Loaded, SessionState

MAX_ROTATIONS: Final = 16
"""The most rotated IDs that are followed in a row."""


class Lost(enum.Enum):
    """The reasons why a session has no record to write to."""

    GONE = "the session has ended"
    STALE = "a login replaced the session's ID"
    USED = "the legacy cookie was used before"
    NO_ROOM = "the store has no room to remember that the legacy cookie was used"


def begin_load(session: SessionState, passive: tuple[str, ...] = ()) -> bytes | None:
    """Read the cookie of the request. Return the key to get from the store, if there is one.

    Args:
        session: The session.
        passive: Path prefixes of requests that do not extend their session.
    """
    presented = session._presented = session._transport.read_cookie()
    session._loaded = NEW
    session._meta = {}
    session._data = {}
    session._views = {}
    session._events = []
    if passive and session._transport.path().startswith(passive):
        session._passive = True
    if presented.id is not None:
        session._presented_key = key = key_for(presented.id)
        return key
    if presented.problem:
        session._events.append(Event("rejected", reason=presented.problem))
        if presented is DUPLICATE:
            session._loaded = Loaded.STALE
    return None


def find_current(key: bytes) -> Flow[tuple[bytes, Found] | Lost]:
    """Find the record of a key, even if the key was rotated since."""
    found: Found | None = yield Call("get", (key,))
    if found is None:
        return Lost.GONE
    if found.successor is None:
        return key, found
    return (yield from follow_rotation(found))


def load_successor(session: SessionState, pointer: Found) -> Flow[None]:
    """Load the session whose ID was rotated, if the old ID still works."""
    followed = yield from follow_rotation(pointer)
    if isinstance(followed, Lost):
        session._loaded = Loaded.STALE
        return
    session._loaded = Loaded.ROTATED
    use_record(session, *followed)


def follow_rotation(pointer: Found) -> Flow[tuple[bytes, Found] | Lost]:
    """Find the record that a rotated ID points to, if it is the same user's."""
    for _ in range(MAX_ROTATIONS):
        key = pointer.successor
        if key is None or pointer.user is None:
            return Lost.STALE
        found: Found | None = yield Call("get", (key,))
        if found is None:  # it was this user's session, and has ended
            return Lost.GONE
        if found.user != pointer.user:
            return Lost.STALE
        if found.successor is None:
            return key, found
        pointer = found
    return Lost.STALE


def use_record(session: SessionState, key: bytes, found: Found) -> None:
    """Load the session from ``found``. An unreadable record counts as no record."""
    try:
        session._meta, session._data = codec.decode(found.payload)
    except CodecError as error:
        handle = handle_for(key)
        session._events.append(Event("rejected", handle, found.user, str(error), error))
        session._meta, session._data = {}, {}
        session._loaded, session._key, session._found = Loaded.NEW, None, None
        return
    session._key, session._found, session._payload = key, found, found.payload
    session._assigned = session._nested_possible = False
