"""The sessions of one user: list them, end one by its handle."""

from __future__ import annotations

from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, Final
from weakref import WeakValueDictionary

from ..errors import CodecError, LoginRequired
from ..events import Event
from ..ids import handle_for
from ..stores.base import Found
from . import codec
from .actions import recheck
from .effects import Call, Flow, run_flow
from .lifecycle import Lifecycle, destroy_chain
from .state import NOT_LOADED, OPEN, SessionState

CACHE_ENTRY: Final = b"\x02"
"""The first byte of a cache entry's payload. No payload of a session begins with it, so both can be
in one store."""

_stores_with_entries: Final[WeakValueDictionary[int, Any]] = WeakValueDictionary()  # by id()


@dataclass(frozen=True)
class SessionInfo:
    """A session in a list. Durations are in seconds."""

    handle: str
    """The public name of the session; ``manager.revoke(handle)`` ends it."""
    age: float
    """Seconds since the session began, or since the login."""
    idle_for: float
    """Seconds since the session was last extended, which happens when a tenth of the idle timeout
    has passed. If nothing extends the session, as after ``login(remember=True)``, its age."""
    expires_in: float
    """Seconds until the session ends if it is not used."""
    ends_in: float
    """Seconds until the session ends even if it is used; infinite without an absolute timeout."""
    data: dict[str, Any]
    """A copy of the session's data."""
    user_id: str | None
    """The ID of the user who is logged in."""
    current: bool
    """Whether it is the session that called ``session.user_sessions()``."""
    device: str = ""
    """A description of the device, made at the login by the option ``describe``."""
    address: str = ""
    """The client's address at the login, with the option ``store_address``."""


def list_sessions(
    core: Lifecycle, verb: str, *args: Any, current: bytes | None = None
) -> Flow[list[SessionInfo]]:
    """List the sessions that a verb of the store returns.

    Args:
        core: The lifecycle.
        verb: ``all`` or ``of_user``.
        args: The arguments of the verb.
        current: The key of the session that asks for the list, if there is one.
    """
    records: Iterable[tuple[bytes, Found]] = yield Call(verb, args)
    return [
        info_of(core, key, found, current)
        for key, found in records
        if not found.payload.startswith(CACHE_ENTRY)
    ]


def user_sessions(core: Lifecycle, session: SessionState) -> Flow[list[SessionInfo]]:
    """List the sessions of the user who is logged in, the oldest first."""
    user = yield from _user_of(core, session)
    return (yield from list_sessions(core, "of_user", user, current=session._key))


def revoke(core: Lifecycle, session: SessionState, handle: str) -> Flow[bool]:
    """End a session of the user who is logged in, by its handle. Return whether there was one."""
    user = yield from _user_of(core, session)
    event = yield from revoke_handle(handle, user)
    if event is not None:
        session._events.append(event)
    return event is not None


def revoke_handle(handle: str, user: str | None = None) -> Flow[Event | None]:
    """End the session with this handle, of this user, or of any user if it is None.

    Returns:
        The event, or None if there is no such session.
    """
    records: Iterable[tuple[bytes, Found]]
    records = yield Call("all", ()) if user is None else Call("of_user", (user,))
    for key, _ in records:
        if handle_for(key) == handle:
            ended = yield from destroy_chain(key)  # its ID may have been rotated since
            return None if ended is None else Event("destroyed", handle, ended[1])
    return None


def count_sessions(store: Any) -> Flow[int]:
    """Count the live sessions. Where a cache shares the store, its entries are left out."""
    if _stores_with_entries.get(id(store)) is not store or not hasattr(store, "all"):
        return int((yield Call("length", ())))
    records: Iterable[tuple[bytes, Found]] = yield Call("all", ())
    return sum(not found.payload.startswith(CACHE_ENTRY) for _, found in records)


def note_cache_entries(store: Any) -> None:
    """Remember that a cache keeps its entries in this store."""
    with suppress(TypeError):  # a store that cannot be referenced weakly
        _stores_with_entries[id(store)] = store


def _user_of(core: Lifecycle, session: SessionState) -> Flow[str]:
    """Return the user who is logged in, as the store knows it now."""
    if session._phase is OPEN:
        if session._loaded is NOT_LOADED:
            yield from core.load(session)
        if session._login is not None or session._destroy:  # the caller acts at once: commit first
            yield from run_flow(core.commit(session))
    else:
        yield from recheck(core, session)
    user = session._current_user()
    if user is None:
        raise LoginRequired(
            "a login is required to list or end a user's sessions, but nobody is logged in. "
            "Call session.login(user_id) first, or check session.user_id"
        )
    return user


def info_of(core: Lifecycle, key: bytes, found: Found, current: bytes | None = None) -> SessionInfo:
    """Describe a record of the store for a list. If it cannot be decoded, its data is empty."""
    try:
        meta, data = codec.decode(found.payload)
    except CodecError:
        meta, data = {}, {}
    return SessionInfo(
        handle=handle_for(key),
        age=found.age,
        idle_for=core.lifetimes.idle_for(meta, found),
        expires_in=found.idle_left,
        ends_in=found.life_left,
        data=data,
        user_id=found.user,
        current=key == current,
        device=text_of(meta, "device"),
        address=text_of(meta, "ip"),
    )


def text_of(meta: codec.Meta, name: str) -> str:
    """Return the text under ``device`` or ``ip`` in lembro's own data, or an empty text."""
    value = meta.get(name)
    return value.decode("utf-8", "replace") if isinstance(value, bytes) else ""
