"""The lifecycle of a session: what a request did -> what happens in the store, and to the cookie.

This table is the specification; its columns are what the request did, its rows how it arrived.

<!-- table -->
| arrived with | not looked at | looked at, unchanged | changed | `regenerate_id()` | `login(user)` | destroyed |
|---|---|---|---|---|---|---|
| no cookie | nothing | nothing | add, set cookie | add, set cookie | add, set cookie | nothing |
| an id the store does not know | nothing | nothing | add under a new id, set cookie | the same | the same | nothing |
| a live session | nothing | touch, once a tenth of the idle time has passed | set; merge on conflict; if gone, drop | replace, set cookie; if gone, nothing | replace, set cookie; if gone: add, set cookie, unless it had this user already: drop | destroy, clear cookie |
| a replaced id that is followed | nothing | the successor's data | a change of the successor, no cookie | nothing: it was just rotated | as for a live session | destroys the successor too, clear cookie |
| a replaced id that is a dead end | nothing | an empty session | drop, no cookie | drop, no cookie | add, set cookie | nothing |
<!-- /table -->

* A replaced id is *followed* if its record had a user and the successor has the same one.
  Everything else is a dead end: what came before a login leads nowhere.
* Only the request to which ``destroy`` returned the session clears the cookie: clearing it because
  an id is unknown would race with a login in another tab.
* A session is stored only once it holds something: a key or a user. One emptied by deleting its
  keys stays for the grace, so that a writer in flight merges into it.
* Several cookies of the name with different values are a dead end.
* After a handler that failed, changes are dropped and a destroy is honoured.

Pure: no I/O, no clock, no framework. Flows are generators that yield store calls and are sent their
results; ``drivers.py`` performs them. ``arriving.py`` finds the row, this module decides by the
column, and ``writing.py`` carries out what is to be stored.
"""  # noqa: E501

from __future__ import annotations

from collections.abc import Callable

from ..errors import TooManySessions
from ..events import Event
from ..ids import handle_for
from ..options import SessionOptions
from ..stores.base import Found
from . import codec
from .commit import UNTRIED, Write, Writer, has_changed
from .effects import Call, Flow
from .load import Lost
from .session import Session
from .state import CLEAR, LIVE, NOT_LOADED, Loaded


class Lifecycle:
    """Decides by the column of the table. ``standing_of`` reads the standing from a cookie's value;
    None: the store does not look at standings."""

    def __init__(
        self,
        options: SessionOptions,
        *,
        reputation_of: Callable[[bytes], bytes | None] | None = None,
    ) -> None:
        self.writer: Writer = Writer(options, reputation_of)
        self._reputation_of = reputation_of

    def of(self, options: SessionOptions) -> Lifecycle:
        """The same by other options."""
        return type(self)(options, reputation_of=self._reputation_of)

    def commit(self, session: Session, *, failed: bool = False) -> Flow[None]:
        """Bring the store in line with what the request did; leaves in ``session._cookie`` what is
        to become of the cookie. ``failed``: the handler did not succeed.

        Raises StoreError, SessionTooLarge, CodecError, TooManySessions; then the changes are not
        stored, and what was stored is as it was.
        """
        if session._loaded is NOT_LOADED:
            return
        if session._destroy:
            # The others first: whoever is interrupted in between is still logged in to try again.
            yield from _revoke(session)
            yield from _destroy(session)
        if failed:
            roll_back(session)
        else:
            try:
                yield from self._commit_changes(session)
            except TooManySessions:
                if session._revoke is None or session._revoke != session._login:
                    raise
                # The others are to end anyway, which makes room; once more at the end, for who
                # has logged in meanwhile.
                yield from _end_others(session, session._revoke)
                yield from self._commit_changes(session)
        yield from _revoke(session)

    def load_legacy(self, session: Session) -> Flow[None]:
        """Nothing: cookies of old are what ``MovingLifecycle`` looks at."""
        yield from ()

    def nothing_to_commit(self, session: Session) -> bool:
        """Whether a commit would find nothing to do, as after most requests."""
        if session._loaded is NOT_LOADED or session._preloaded:
            return True
        if session._assigned or session._nested_possible or session._login is not None:
            return False
        if session._regenerate or session._destroy or session._touch or session._revoke is not None:
            return False
        found, writer = session._found, self.writer
        return found is None or found.idle_left >= writer.fresh or not writer.is_due(found)

    def only_set(self, session: Session) -> tuple[Call, codec.Meta] | None:
        """``Writer.call_to_set``, where that is all that a commit comes to, as after most requests
        that change something."""
        if session._loaded is not LIVE or session._login is not None or session._views:
            return None
        if session._regenerate or session._destroy or session._revoke is not None:
            return None
        return self.writer.call_to_set(session) if has_changed(session) else None

    def go_on(self, session: Session, held: Found | None) -> Flow[None]:
        """After a call to set that was not done: ``held`` is what the store holds instead."""
        yield from self._write_or_drop(session, Write.SET, held)

    def _commit_changes(self, session: Session) -> Flow[None]:
        session._flush_views()
        if session._login is not None:
            yield from self._commit_login(session, session._login)
        elif session._key is None:
            yield from self._commit_new(session)
        elif session._regenerate and session._loaded is not Loaded.ROTATED:
            yield from self._write_or_drop(session, Write.ROTATE)
        elif has_changed(session):
            yield from self._write_or_drop(session, Write.SET)
        else:
            yield from self.writer.touch(session)
        session._regenerate = session._touch = False

    def _commit_new(self, session: Session) -> Flow[None]:
        if not session._data:
            return
        if session._loaded is Loaded.STALE:
            _drop(session, session._presented.problem or Lost.STALE.value)
        else:
            yield from self.writer.add(session, None)

    def _commit_login(self, session: Session, user: str) -> Flow[None]:
        lost: Lost | None = Lost.GONE
        had = session._found.user if session._found else session._lost_user
        if session._key is not None:
            lost = yield from self.writer.write(session, Write.LOGIN)
        if lost is Lost.GONE and had == user:
            _drop(session, "the user's sessions were revoked")
            session._login = None
            return
        if lost is not None:
            yield from self.writer.add(session, user)
        session._login = None

    def _write_or_drop(
        self, session: Session, how: Write, held: Found | None = UNTRIED
    ) -> Flow[None]:
        changed = how is Write.SET or has_changed(session)
        lost = yield from self.writer.write(session, how, held)
        if lost is None:
            return
        if changed:
            _drop(session, lost.value)
        if lost is Lost.GONE and session._found is not None:
            session._lost_user = session._found.user
        session._key, session._found, session._loaded = None, None, Loaded.STALE


def roll_back(session: Session) -> None:
    """Take the data as it was loaded, and drop what was asked for."""
    session._views.clear()
    session._login, session._regenerate = None, False
    session._assigned = session._nested_possible = False
    session._meta, session._data = {}, {}
    if session._key is not None:
        session._meta, session._data = codec.decode(session._payload)


def _drop(session: Session, reason: str) -> None:
    """Tell that the changes are not stored."""
    event = Event("dropped", session._current_handle(), session._current_user(), reason)
    session._events.append(event)


def _revoke(session: Session) -> Flow[None]:
    """End the user's sessions, but for this one."""
    if session._revoke is None:
        return
    yield from _end_others(session, session._revoke)
    session._revoke = None


def _end_others(session: Session, user: str) -> Flow[None]:
    ended = yield Call("destroy_user", (user, session._key))
    session._events += [Event("destroyed", handle_for(key), user) for key in ended]


def _destroy(session: Session) -> Flow[None]:
    """End the session, and begin with nothing; clears the cookie if it was this that ended it."""
    for key in dict.fromkeys((session._presented_key, session._key)):
        if key is not None and session._key is not None:
            ended = yield from destroy_chain(key)
            if ended is not None:
                session._cookie = CLEAR
                session._events.append(Event("destroyed", handle_for(ended[0]), ended[1]))
                break
    session._key = session._presented_key = session._found = session._issued_id = None
    session._lost_user = None
    session._payload = b""
    session._loaded = Loaded.NEW
    session._destroy = False  # last: if the store fails, the next commit tries again


def destroy_chain(key: bytes) -> Flow[tuple[bytes, str | None] | None]:
    """Destroy a session, also if its id was replaced meanwhile. Returns its key and user if
    this call ended it."""
    while True:  # each turn removes a record
        held: Found | None = yield Call("destroy", (key,))
        if held is None:
            return None
        if held.successor is None:
            return key, held.user
        successor: Found | None = yield Call("get", (held.successor,))
        if held.user is None or successor is None or successor.user != held.user:
            return None
        key = held.successor
