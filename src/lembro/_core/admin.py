"""What ``SessionManager`` offers by session id, as flows: the lifecycle without a request."""

from __future__ import annotations

import enum
from collections.abc import Iterable, Mapping
from contextlib import suppress
from typing import TYPE_CHECKING, Any, Final
from weakref import WeakValueDictionary

from ..errors import CodecError
from ..events import Event
from ..ids import handle_for
from ..stores.base import Found
from . import codec
from .effects import Call, Flow
from .lifecycle import destroy_chain
from .load import load
from .session import Session
from .state import CLEAR

if TYPE_CHECKING:
    from ..manager import SessionManager


def create(session: Session, data: Mapping[str, Any], user: str | None) -> Flow[str | None]:
    core = session._manager.core
    yield from load(session)
    session.update(data)
    if user is not None:
        session.login(user)
    yield from core.commit(session)
    return session.issued_id


def get(session: Session) -> Flow[dict[str, Any] | None]:
    yield from load(session)
    return None if session._key is None else session._data


def overwrite(session: Session, data: Mapping[str, Any]) -> Flow[bool]:
    core = session._manager.core
    yield from load(session)
    if session._key is None:
        return False
    for key, value in data.items():
        codec.check(key, value)
    session._data, session._assigned, session._nested_possible = dict(data), True, True
    yield from core.commit(session)
    return session._key is not None


def destroy(session: Session) -> Flow[bool]:
    core = session._manager.core
    yield from load(session)
    session.destroy()
    yield from core.commit(session)
    return session._cookie is CLEAR


def touch(session: Session) -> Flow[bool]:
    core = session._manager.core
    yield from load(session)
    if session._key is None:
        return False
    touched: bool = yield Call("touch", (session._key,), {"idle": core.writer.idle})
    return touched


def regenerate(session: Session) -> Flow[str | None]:
    core = session._manager.core
    yield from load(session)
    if session._key is None:
        return None
    session.regenerate_id()
    yield from core.commit(session)
    return session.issued_id


ENTRY: Final = b"\x02"
"""How the payload of a cache's entry begins, in a store that may have sessions too. No session's
does."""

_with_entries: Final[WeakValueDictionary[int, Any]] = WeakValueDictionary()  # by the store's id


def has_entries(store: Any) -> None:
    """A cache is in this store."""
    with suppress(TypeError):  # there are stores of which that can't be remembered
        _with_entries[id(store)] = store


def listing(verb: str, *args: Any) -> Flow[list[tuple[bytes, Found, dict[str, Any]]]]:
    """``all`` or ``of_user``, decoded."""
    records: Iterable[tuple[bytes, Found]] = yield Call(verb, args)
    return [
        (key, found, _data_of(found))
        for key, found in records
        if not found.payload.startswith(ENTRY)
    ]


def length(store: Any) -> Flow[int]:
    """``length``; where a cache is in the store too, the sessions have to be told from it."""
    if _with_entries.get(id(store)) is not store or not hasattr(store, "all"):
        return int((yield Call("length", ())))
    records: Iterable[tuple[bytes, Found]] = yield Call("all", ())
    return sum(not found.payload.startswith(ENTRY) for _, found in records)


def _data_of(found: Found) -> dict[str, Any]:
    try:
        return codec.decode(found.payload)[1]
    except CodecError:
        return {}


class Anybody(enum.Enum):
    """Whose session may be ended by an operator. Not None: that is who nobody is logged in as."""

    ANYBODY = "anybody"


ANYBODY: Final = Anybody.ANYBODY


def end(manager: SessionManager, handle: str, user: str | Anybody | None) -> Flow[Event | None]:
    """Destroy the session of this handle, if it is the user's."""
    if user is None:
        return None
    call = Call("all", ()) if user is ANYBODY else Call("of_user", (user,))
    records: Iterable[tuple[bytes, Found]] = yield call
    for key, _ in records:
        if handle_for(key) == handle:
            # It may have been rotated since.
            ended = yield from destroy_chain(key)
            return None if ended is None else Event("destroyed", handle, ended[1])
    return None
