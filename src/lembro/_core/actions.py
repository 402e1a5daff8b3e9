"""What can be asked for in the middle of a request, or after its response has begun: save, reload,
atomic, edit. Flows like those of ``lifecycle.py``, and as pure."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final, TypeVar

from ..errors import CodecError, SessionCommitted, SessionGone
from ..stores.base import Found, Record
from . import codec
from .commit import ATTEMPTS, is_written, marked, note_conflicts, refused
from .effects import Call, Flow
from .lifecycle import Lifecycle
from .load import Lost, follow, load, take
from .merge import merge
from .session import Session
from .state import Loaded, Phase, View

T = TypeVar("T")

_ENDED: Final = "this session has ended: it was logged out, or it has expired"


def save(core: Lifecycle, session: Session) -> Flow[None]:
    """Commit in the middle of a request."""
    if session._loaded is Loaded.NOT_LOADED:
        yield from load(session)
    if session._phase is Phase.COMMITTED:
        raise SessionCommitted("the session was saved when the response began; use edit()")
    yield from core.commit(session)


def reload(core: Lifecycle, session: Session) -> Flow[None]:
    """Drop the changes, load afresh."""
    if session._loaded is Loaded.NOT_LOADED:
        return (yield from load(session))
    session._views.clear()
    session._login, session._revoke = None, None
    session._regenerate = session._destroy = session._touch = False
    if session._key is None:
        session._meta, session._data, session._assigned = {}, {}, False
        if session._legacy is not None:  # it has not moved in yet
            session._meta, session._data = codec.decode(session._payload)
        return None
    key, found = yield from _current(core, session)
    take(session, key, found)
    return None


def _current(core: Lifecycle, session: Session) -> Flow[tuple[bytes, Found]]:
    """The record of this session as it is now. Raises SessionGone."""
    assert session._key is not None
    found: Found | None = yield Call("get", (session._key,))
    if found is not None and found.successor is None:
        return session._key, found
    followed = Lost.GONE if found is None else (yield from follow(found))
    if isinstance(followed, Lost):
        session._ready = False
        raise SessionGone(_ENDED)
    session._loaded = Loaded.ROTATED
    return followed


def recheck(core: Lifecycle, session: Session) -> Flow[None]:
    """After the response has begun: raise SessionGone if the session has ended since."""
    if session._key is not None:
        session._key, session._found = yield from _current(core, session)


def atomic(core: Lifecycle, session: Session, function: Callable[[codec.Data], T]) -> Flow[T]:
    """Read, change and write in one step, as often as it takes."""
    if session._loaded is Loaded.NOT_LOADED:
        yield from load(session)
    if session._phase is Phase.OPEN and (session._destroy or session._login is not None):
        yield from core.commit(session)
    if session._key is None:
        if session._phase is Phase.COMMITTED:
            raise SessionCommitted("there is no session, and no cookie can be set any more")
        result = function(session._data)
        session._assigned = session._nested_possible = True
        return result
    for _ in range(ATTEMPTS):
        key, found = yield from _current(core, session)
        meta, data = codec.decode(found.payload)
        result = function(data)
        payload = codec.encode(marked(meta), data)
        idle = core.writer.idle_of_write(found, empty=not data and found.user is None)
        keywords = {"expected": found.payload, "idle": idle}
        held = yield Call("set", (key, Record(payload)), keywords)
        if is_written(payload, held):
            session._key = key
            core.writer.rebase(session, held)
            core.writer.renew_cookie(session, found)
            return result
    raise refused()


def begin_edit(core: Lifecycle, session: Session) -> Flow[None]:
    """Open the session for writing after the response has begun."""
    is_open = session._phase is Phase.OPEN  # then it can be written anyway
    if session._loaded is Loaded.NOT_LOADED:
        yield from load(session)
    elif not is_open and session._key is not None:
        session._outer_views, session._views = session._views, {}
        yield from reload(core, session)
    if is_open:
        return
    if session._key is None:
        raise SessionCommitted(
            "there is no session to edit, and the response has begun: no cookie can be set "
            "any more; store something before the response begins"
        )
    session._phase, session._ready = Phase.EDITING, True


def end_edit(core: Lifecycle, session: Session, failed: bool) -> Flow[None]:
    """Merge and save what was edited; after an exception, drop it."""
    if session._phase is Phase.OPEN:
        return None if failed else (yield from core.commit(session))
    session._phase = Phase.COMMITTED
    session._ready = False
    ended = session._destroy
    views, session._outer_views = session._outer_views, None
    try:
        if ended and not failed:  # no cookie can be set for what was written after it
            session._data = {}
        elif views:
            _take_in(session, views, failed)
        yield from core.commit(session, failed=failed)
    finally:
        if views is not None:
            session._views, session._nested_possible = views, True
    if failed:
        return None
    if session._key is None and not ended:
        raise SessionGone(_ENDED)
    return None


def _take_in(session: Session, views: dict[str, View], failed: bool) -> None:
    """What has changed in the typed views from before the edit, which are of what was loaded then:
    merged with what is stored now, as anything that two have changed."""
    if not failed:
        session._flush_views()
    for key, view in views.items():
        try:
            ours = view.dump(view.value)
            encoding = codec.encode_value(ours, key)
        except CodecError:
            if failed:
                continue
            raise
        if encoding == view.stored:
            continue
        base, view.stored = codec.decode_value(view.stored), encoding
        if failed:  # dropped, as all that the edit has changed
            continue
        if key in session._data:
            merged, conflicts = merge({key: base}, {key: session._data[key]}, {key: ours})
            ours = merged[key]
            note_conflicts(session, session._current_user(), conflicts)
        session._data[key] = ours
        session._assigned = session._nested_possible = True
