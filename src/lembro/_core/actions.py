"""Actions that an application can call at any time: save, reload, atomic, edit.

They are flows, like those of ``lifecycle.py``, and do no I/O either.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final, TypeVar

from ..errors import LembroError, SessionCommitted, SessionGone
from ..stores.base import Found, Record
from . import codec
from .commit import ATTEMPTS, is_written, marked, refused
from .effects import Call, Flow, run_flow
from .lifecycle import Lifecycle
from .lifetimes import touched, was_empty
from .load import Lost, find_current, use_record
from .state import Loaded, Phase, SessionState
from .views import carry_over_views

T = TypeVar("T")

_ENDED: Final = "this session has ended: it was logged out, or it has expired"


def save(core: Lifecycle, session: SessionState) -> Flow[None]:
    """Commit while the handler runs."""
    if session._loaded is Loaded.NOT_LOADED:
        yield from core.load(session)
    if session._phase is Phase.COMMITTED:
        raise SessionCommitted(
            "the session was saved when the response began; write inside `with session.edit():` "
            "(in async code `async with`)"
        )
    yield from run_flow(core.commit(session))


def reload(core: Lifecycle, session: SessionState) -> Flow[None]:
    """Drop the changes and load the session again."""
    if session._loaded is Loaded.NOT_LOADED:
        yield from core.load(session)
        return
    session._views.clear()
    session._login = None
    session._regenerate = session._touch = False
    if session._destroy:  # a logout is not a change of the data, and stays
        session._meta, session._data = {}, {}
        return
    session._revoke = None
    if session._key is None:
        session._meta, session._data, session._assigned = {}, {}, False
        if session._adoption is not None:  # a legacy session that is not adopted yet
            session._meta, session._data = codec.decode(session._payload)
        return
    key, found = yield from _current_record(session)
    use_record(session, key, found)


def recheck(core: Lifecycle, session: SessionState) -> Flow[None]:
    """Load what other requests have stored since the response began; in an edit, only check.

    Raises:
        SessionGone: the session has ended.
    """
    if session._key is None:
        return
    key, found = yield from _current_record(session)
    if session._phase is not Phase.COMMITTED or found.payload == session._payload:
        session._key, session._found = key, found
        return
    if session._nested_possible and _changed_too_late(session):
        session._transport.runner.report_lost_change(session)
    use_record(session, key, found)
    session._nested_possible = bool(session._views)


def _changed_too_late(session: SessionState) -> bool:
    try:
        return codec.changed(session._payload, session._meta, session._data) is not None
    except LembroError:
        return True


def _current_record(session: SessionState) -> Flow[tuple[bytes, Found]]:
    """Return the current record of this session. Raise SessionGone if it has ended."""
    assert session._key is not None
    current = yield from find_current(session._key)
    if isinstance(current, Lost):
        raise SessionGone(_ENDED)
    if current[0] != session._key:
        session._loaded = Loaded.ROTATED
    return current


def atomic(core: Lifecycle, session: SessionState, function: Callable[[codec.Data], T]) -> Flow[T]:
    """Read, change and write in one step. Try again if another request has written meanwhile."""
    if session._loaded is Loaded.NOT_LOADED:
        yield from core.load(session)
    if session._phase is Phase.OPEN and (session._destroy or session._login is not None):
        yield from run_flow(core.commit(session))
    if session._key is None:
        if session._phase is Phase.COMMITTED:
            raise SessionCommitted(
                "there is no stored session to change, and the response has begun, so no cookie "
                "can be set; store something before the response begins"
            )
        result = function(session._data)
        session._assigned = session._nested_possible = True
        return result
    for _ in range(ATTEMPTS):
        key, found = yield from _current_record(session)
        meta, data = codec.decode(found.payload)
        result = function(data)
        payload = marked(codec.encode(meta, data))
        idle = core.lifetimes.idle_of_write(session, found, empty=not data and found.user is None)
        keywords = {"expected": found.payload, "idle": idle}
        held = yield Call("set", (key, Record(payload)), keywords)
        if is_written(payload, held):
            session._key = key
            core.writer.rebase(session, held)
            core.writer.renew_cookie(session, found)
            return result
    raise refused()


def touch(core: Lifecycle, session: SessionState) -> Flow[None]:
    """Extend the session: with the response, or now if the response has begun."""
    if session._loaded is Loaded.NOT_LOADED:
        yield from core.load(session)
    if session._phase is not Phase.COMMITTED:
        session._touch = True
    elif session._key is not None:
        session._key, found = yield from _current_record(session)
        # Since it was loaded, it may have been emptied, or a login may have changed its timeout.
        meta = codec.decode(found.payload)[0]
        lifetimes = core.lifetimes
        empty = was_empty(found)
        idle = lifetimes.emptied_idle if empty else lifetimes.idle_of(meta, found.user)
        if not (yield Call("touch", (session._key,), {"idle": idle})):
            raise SessionGone(_ENDED)
        session._found = touched(found, idle)


def begin_edit(core: Lifecycle, session: SessionState) -> Flow[None]:
    """Open the session for writing after the response has begun."""
    is_open = session._phase is Phase.OPEN  # it can be written without an edit
    if session._loaded is Loaded.NOT_LOADED:
        yield from core.load(session)
    elif not is_open and session._key is not None:
        session._outer_views, session._views = session._views, {}
        yield from reload(core, session)
    if is_open:
        return
    if session._key is None:
        raise SessionCommitted(
            "there is no stored session to edit, and the response has begun, so no cookie can be "
            "set; store something before the response begins"
        )
    session._phase = Phase.EDITING


def end_edit(core: Lifecycle, session: SessionState, failed: bool) -> Flow[None]:
    """Merge and save the edit; after an exception, drop it."""
    if session._phase is Phase.OPEN:
        if not failed:
            yield from run_flow(core.commit(session))
        return
    session._phase = Phase.COMMITTED
    ended = session._destroy
    views, session._outer_views = session._outer_views, None
    try:
        if ended and not failed:  # no cookie can be set for what was written after a destroy
            session._data = {}
        elif views:
            carry_over_views(session, views, failed=failed)
        yield from run_flow(core.commit(session, failed=failed))
    finally:
        if views is not None:
            session._views, session._nested_possible = views, True
    if not failed and session._key is None and not ended:
        raise SessionGone(_ENDED)
