"""Load a session: from the cookie of a request to a record of the store.

The result is a row of the decision table (``lifecycle.py``). Pure, like all of the core.
"""

from __future__ import annotations

import enum
from collections.abc import Callable
from typing import Final

from msgspec import structs

from .._http.cookie import DUPLICATE, Presented
from .._http.headers import warn_of_several_cookies
from ..errors import CodecError
from ..events import Event
from ..ids import handle_for, key_for
from ..stores.base import Found
from . import codec
from .effects import Call, Flow
from .state import LIVE, NEW, Loaded, SessionState

MAX_ROTATIONS: Final = 16
"""The maximum number of rotated IDs that are followed in a row."""


class Lost(enum.Enum):
    """The reasons why a session has no record to write to."""

    GONE = "the session has ended"
    STALE = "a login replaced the session's ID"
    USED = "the legacy cookie was used before"
    NO_ROOM = "the store has no room to remember that the legacy cookie was used"


def begin_load(
    session: SessionState,
    passive: tuple[str, ...] = (),
    key_of: Callable[[str], bytes] = key_for,
) -> bytes | None:
    """Read the cookie of the request. Return the key to get from the store, if there is one.

    Args:
        session: The session.
        passive: Path prefixes of requests that do not extend their session.
        key_of: Makes the key of a session ID.
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
        session._presented_key = key = key_of(presented.id)
        return key
    if presented.problem:
        if presented is DUPLICATE:
            _reject_several(session)
        else:
            session._events.append(Event("rejected", reason=presented.problem))
    return None


def find_current(key: bytes) -> Flow[tuple[bytes, Found] | Lost]:
    """Find the record of a key, even if the key was rotated since."""
    found: Found | None = yield Call("get", (key,))
    if found is None:
        return Lost.GONE
    if found.successor is None:
        return key, found
    return (yield from follow_rotation(found))


def _reject_several(session: SessionState) -> None:
    session._events.append(Event("rejected", reason=DUPLICATE.problem))
    session._presented, session._loaded = DUPLICATE, Loaded.STALE
    warn_of_several_cookies(session._transport.runner.options.cookie.name)


def load_one_of(session: SessionState, key_of: Callable[[str], bytes] = key_for) -> Flow[None]:
    """Load the session if several session cookies came, and exactly one session is found.

    A cookie without a session does not count: it may be left over from another domain or path, or
    planted. If cookies belong to different sessions, none of them is loaded.
    """
    live: dict[bytes, tuple[Presented, Loaded, Found]] = {}
    for presented in session._presented.several:
        assert presented.id is not None
        key = key_of(presented.id)
        found: Found | None = yield Call("get", (key,))
        if found is None:
            continue
        if found.successor is None:
            live[key] = presented, LIVE, found
            continue
        followed = yield from follow_rotation(found)
        if isinstance(followed, Lost):
            session._loaded, session._presented_key = Loaded.STALE, key
        else:
            live.setdefault(followed[0], (presented, Loaded.ROTATED, followed[1]))
    if len(live) > 1:
        session._presented_key = None
        _reject_several(session)
    for key, (presented, loaded, found) in live.items() if len(live) == 1 else ():
        session._presented = structs.replace(presented, legacy=session._presented.legacy)
        session._presented_key = key_of(presented.id or "")
        session._loaded = loaded
        use_record(session, key, found)


def load_successor(session: SessionState, pointer: Found) -> Flow[None]:
    """Load the session whose ID was rotated, if the old ID still works."""
    followed = yield from follow_rotation(pointer)
    if isinstance(followed, Lost):
        session._loaded = Loaded.STALE
        return
    session._loaded = Loaded.ROTATED
    use_record(session, *followed)


def follow_rotation(pointer: Found, login: str | None = None) -> Flow[tuple[bytes, Found] | Lost]:
    """Find the record that a rotated ID points to, if it is the same user's.

    Args:
        pointer: The record of the rotated ID.
        login: The user who logs in now, with credentials. A record of this user is found too, if
            the ID is from before a login: a second click on a login button sends it.
    """
    same_user = pointer.user is not None
    for _ in range(MAX_ROTATIONS):
        key = pointer.successor
        assert key is not None  # it is the record of a rotated ID
        if not same_user and login is None:
            break
        found: Found | None = yield Call("get", (key,))
        if found is None:
            return Lost.GONE if same_user else Lost.STALE  # GONE: this user's session has ended
        same_user = same_user and found.user == pointer.user
        if found.successor is None:
            return (key, found) if same_user or found.user == login is not None else Lost.STALE
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
