"""The flows of ``SessionManager``'s methods by session ID, which need no request."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from . import codec
from .effects import Call, Flow, run_flow
from .lifecycle import Lifecycle
from .session import Session
from .state import CLEAR


def create(
    core: Lifecycle, session: Session, data: Mapping[str, Any], user_id: str | None
) -> Flow[str | None]:
    """Store a new session. Return its ID, or None if it is empty."""
    yield from core.load(session)
    session.update(data)
    if user_id is not None:
        session.login(user_id)
    yield from run_flow(core.commit(session))
    return session.issued_id


def get(core: Lifecycle, session: Session) -> Flow[dict[str, Any] | None]:
    """Return the data, or None if there is no such session."""
    yield from core.load(session)
    return None if session._key is None else session._data


def overwrite(core: Lifecycle, session: Session, data: Mapping[str, Any]) -> Flow[bool]:
    """Replace the data. Return whether there is such a session."""
    yield from core.load(session)
    if session._key is None:
        return False
    for key, value in data.items():
        codec.check(key, value)
    session._data, session._assigned, session._nested_possible = dict(data), True, True
    yield from run_flow(core.commit(session))
    return session._key is not None


def destroy(core: Lifecycle, session: Session) -> Flow[bool]:
    """End the session. Return whether this call ended it."""
    yield from core.load(session)
    session.destroy()
    yield from run_flow(core.commit(session))
    return session._cookie is CLEAR


def touch(core: Lifecycle, session: Session) -> Flow[bool]:
    """Extend the idle timeout. Return whether there is such a session."""
    yield from core.load(session)
    if session._key is None:
        return False
    idle = core.lifetimes.idle_of(session._meta, session._current_user())
    touched: bool = yield Call("touch", (session._key,), {"idle": idle})
    return touched


def regenerate(core: Lifecycle, session: Session) -> Flow[str | None]:
    """Give the session a new ID. Return it, or None if there is no such session."""
    yield from core.load(session)
    if session._key is None:
        return None
    session.regenerate_id()
    yield from run_flow(core.commit(session))
    return session.issued_id
