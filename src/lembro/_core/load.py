"""How a request arrived, a row of the decision table: the cookie it brought, and the record to
which that leads. Flows like those of ``lifecycle.py``, and as pure. (Cookies of old are looked at
in ``moving.py``.)"""

from __future__ import annotations

import enum
from typing import Final

from .._http.cookie import DUPLICATE
from ..errors import CodecError, StoreError
from ..events import Event
from ..ids import handle_for, key_for
from ..stores.base import Found
from . import codec
from .effects import Call, Flow
from .session import Session
from .state import COMMITTED, LIVE, NOT_LOADED, Loaded

HOPS: Final = 16
"""Replaced ids that are followed in a row."""


class Lost(enum.Enum):
    """Why there is no record where one was looked for."""

    GONE = "the session has ended"
    STALE = "the session's id was replaced by a login"
    USED = "the old cookie has been used"


def load(session: Session) -> Flow[None]:
    """Find out how the request arrived, and what it arrived with."""
    key = begin(session)
    try:
        if key is not None:
            yield from _load_key(session, key)
        else:
            yield from session._manager.core.load_legacy(session)
    except StoreError:  # the next look tries again, instead of finding nothing
        session._loaded = NOT_LOADED
        raise
    session._ready = session._phase is not COMMITTED


def begin(session: Session) -> bytes | None:
    """Read the cookie; the key to look for in the store, if there is one."""
    session._begin()
    presented = session._presented
    if presented.id is not None:
        session._presented_key = key = key_for(presented.id)
        return key
    if presented.problem:
        session._events.append(Event("rejected", reason=presented.problem))
        if presented is DUPLICATE:
            session._loaded = Loaded.STALE
    return None


def _load_key(session: Session, key: bytes) -> Flow[None]:
    found: Found | None = yield Call("get", (key,))
    if found is None:
        return
    if not arrive(session, key, found):
        yield from arrive_by(session, found)


def arrive_by(session: Session, pointer: Found) -> Flow[None]:
    """Take in what a replaced id leads to."""
    followed = yield from follow(pointer)
    if isinstance(followed, Lost):
        session._loaded = Loaded.STALE
        return
    session._loaded = Loaded.ROTATED
    take(session, *followed)


def arrive(session: Session, key: bytes, found: Found) -> bool:
    """Take in what the store found. False if that is a replaced id, which may be followed."""
    if found.successor is not None:
        return False
    session._loaded = LIVE
    take(session, key, found)
    return True


def follow(pointer: Found) -> Flow[tuple[bytes, Found] | Lost]:
    """Where a replaced id leads: to a record of the same user, or nowhere."""
    for _ in range(HOPS):
        key = pointer.successor
        if key is None or pointer.user is None:
            return Lost.STALE
        found: Found | None = yield Call("get", (key,))
        if found is None:  # it was this user's, and has been ended
            return Lost.GONE
        if found.user != pointer.user:
            return Lost.STALE
        if found.successor is None:
            return key, found
        pointer = found
    return Lost.STALE


def take(session: Session, key: bytes, found: Found) -> None:
    """Make ``found`` what this session was loaded from; one that can't be read is no record."""
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
