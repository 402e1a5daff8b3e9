"""The lifecycle of a session: the effect of a request on the store and the cookie.

This table is the specification. A row is a way in which the session was loaded, a column an action
of the request.

<!-- table -->
| loaded from | not accessed | read | `touch()` | `skip_touch()` | changed | `regenerate_id()` | `login(user_id)` | destroyed |
|---|---|---|---|---|---|---|---|---|
| no cookie | nothing | nothing | nothing | nothing | add, set cookie | add, set cookie | add, set cookie | nothing |
| an ID that the store does not know | nothing | nothing | nothing | nothing | add under a new ID, set cookie | the same | the same | nothing |
| a live session | nothing | touch, if a tenth of the idle timeout has passed | touch | nothing | set; merge on conflict; if gone, drop | replace, set cookie; if gone, nothing | replace, set cookie; if gone, drop if it had this user, else add, set cookie | destroy, clear cookie |
| a rotated ID, within its grace | nothing | the successor's data | touch of the successor, no cookie | the successor's data | a change of the successor, no cookie | nothing: it was just rotated | as for a live session | destroys the successor too, clear cookie |
| a stale ID | nothing | an empty session | nothing | an empty session | drop, no cookie | drop, no cookie | add, set cookie; if the session that followed has this user: replace, set cookie | nothing |
<!-- /table -->

* A rotated ID works within its grace only if its record had a user and the successor has the same
  user. Every other rotated ID is stale at once: an ID from before a login is never accepted.
* Only the request whose ``destroy`` ended the session clears the cookie. Clearing it because an ID
  is unknown would race with a login in another tab.
* A session is stored as soon as it has a key or a user. If its keys are deleted, it stays for the
  grace, so that a write in flight merges into it.
* If several session cookies came, the one of a live session counts. If none does, they count
  as an ID that the store does not know; if several do, as a stale ID.
* If a visitor's data do not fit into the session of their login, the largest keys are dropped.
* Sessions expire in the store, after ``idle_timeout`` without use, or at the latest after
  ``absolute_timeout``. An expired or evicted session is an ID that the store does not know. A login
  may set both for its session. After ``login(remember=True)``, ``remember_timeout`` is used for
  both. Without a login, ``anonymous_idle_timeout`` is the idle timeout.
* Each use extends a session by its idle timeout. A passive request does not count as a use: it
  called ``skip_touch()``, or its path is in ``passive``. It does not touch, and its writes do not
  extend the session. ``touch()`` and ``login()`` extend the session all the same, and so does a
  write into an emptied session.
* After the response has begun, ``touch()`` extends the session at once, and sends no cookie.
* After a handler that failed, changes are dropped, and a destroy takes effect.

Pure: no I/O, no clock, no framework. Flows yield store calls and are sent the results;
``_runtime/drivers.py`` performs them. ``load.py`` finds the row, this module decides by the column,
and ``commit.py`` writes to the store.
"""  # noqa: E501

from __future__ import annotations

from collections.abc import Callable

from ..errors import SessionTooLarge, StoreError, TooManySessions
from ..events import Event
from ..ids import handle_for
from ..options import SessionOptions
from ..stores.base import Found
from . import codec
from .commit import UNTRIED, Write, Writer, changed_encoding, has_changed
from .effects import Call, Flow, run_flow
from .lifetimes import IDLE, Lifetimes
from .load import Lost, begin_load, load_one_of, load_successor, use_record
from .login import make_room
from .state import CLEAR, COMMITTED, LIVE, NOT_LOADED, Loaded, SessionState
from .views import flush_views


class Lifecycle:
    """Decides what happens to a session, by the options.

    Args:
        options: The options of the sessions.
        reputation_of: Reads the reputation from a cookie's value; None if the store uses none.
    """

    def __init__(
        self,
        options: SessionOptions,
        *,
        reputation_of: Callable[[bytes], bytes | None] | None = None,
    ) -> None:
        self.lifetimes: Lifetimes = Lifetimes(options)
        self.writer: Writer = Writer(options, self.lifetimes, reputation_of)

    # A load has two halves: ``begin_load`` before the store's ``get`` and ``finish_load`` after it.
    # With an in-process store the runner calls them directly, because the generator ``load`` would
    # take 15 % of a request that reads.

    def finish_load(
        self, session: SessionState, key: bytes | None, found: Found | None
    ) -> Flow[None] | None:
        """Use what the store holds. Return a flow if the store must be asked again."""
        if key is None:
            several = session._presented.several
            return load_one_of(session, self.writer.key_of) if several else None
        if found is None:
            session._transport.unknown_id(key)
            return None
        if found.successor is not None:
            if session._follows_rotation:
                return load_successor(session, found)
            session._loaded = Loaded.STALE
            return None
        session._loaded = LIVE
        use_record(session, key, found)
        return None

    def load(self, session: SessionState) -> Flow[None]:
        """Load the session of a request: the row of the table.

        Raises:
            StoreError: the store failed; the next access tries again.
        """
        key = begin_load(session, self.lifetimes.passive, self.writer.key_of)
        try:
            found = None if key is None else (yield Call("get", (key,)))
            yield from run_flow(self.finish_load(session, key, found))
        except StoreError:
            session._loaded = NOT_LOADED
            raise
        session._ready = session._phase is not COMMITTED

    def commit(self, session: SessionState, *, failed: bool = False) -> Flow[None] | None:
        """Store what the request did. Return None if there is nothing to do.

        The flow leaves in ``session._cookie`` what the response does to the cookie.

        Args:
            session: The session of the request.
            failed: Whether the handler failed: changes are dropped, a destroy takes effect.

        Raises:
            StoreError, SessionTooLarge, CodecError, TooManySessions: the changes are not stored,
                and what was stored stays as it was. (Raised while the flow runs.)
        """
        if self.has_nothing_to_commit(session):
            return None
        if not failed and self._only_writes(session):  # true of most requests that change something
            encoded = changed_encoding(session)
            return None if encoded is None else self._write_changes(session, encoded)
        return self._commit(session, failed)

    def has_nothing_to_commit(self, session: SessionState) -> bool:
        """Return whether a commit would do nothing, as after most requests."""
        if session._loaded is NOT_LOADED or session._preloaded:
            return True
        if session._assigned or session._nested_possible or session._login is not None:
            return False
        if session._regenerate or session._destroy or session._touch or session._revoke is not None:
            return False
        found, lifetimes = session._found, self.lifetimes
        if found is None or (found.idle_left >= lifetimes.fresh and IDLE not in session._meta):
            return True
        return not lifetimes.is_due(session, found)

    # -- the columns -------------------------------------------------------------------------------

    def _commit(self, session: SessionState, failed: bool) -> Flow[None]:
        if session._destroy:
            # The user's other sessions end first: if this is interrupted, the user is still logged
            # in and can try again.
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
                # The user's other sessions end anyway, which makes room for this one.
                yield from _end_others(session, session._revoke)
                yield from self._commit_changes(session)
        yield from _revoke(session)

    def _commit_changes(self, session: SessionState) -> Flow[None]:
        flush_views(session)
        if session._login is not None:
            yield from self._commit_login(session, session._login)
        elif session._key is None:
            yield from self._commit_new(session)
        elif session._regenerate and session._loaded is not Loaded.ROTATED:
            yield from self._write_or_drop(session, Write.ROTATE)
        elif (encoded := changed_encoding(session)) is not None:
            yield from self._write_changes(session, encoded)
        else:
            yield from self.writer.touch(session)
        session._regenerate = session._touch = False

    def _only_writes(self, session: SessionState) -> bool:
        """Return whether the request did no more than change data, and no touch is due."""
        if session._loaded is not LIVE or session._login is not None or session._views:
            return False
        if session._regenerate or session._destroy or session._revoke is not None:
            return False
        found = session._found
        if session._touch or found is None or IDLE in session._meta:
            return False
        return found.idle_left >= self.lifetimes.fresh

    def _write_changes(self, session: SessionState, encoded: bytes) -> Flow[None]:
        """Write changed data over the loaded record; merge if another request was first."""
        call = self.writer.call_to_set(session, encoded)
        held: Found | None = yield call
        if not self.writer.was_set(session, call, held):
            yield from self._write_or_drop(session, Write.SET, held)

    def _commit_new(self, session: SessionState) -> Flow[None]:
        if not session._data:
            return
        if session._loaded is Loaded.STALE:
            _drop(session, session._presented.problem or Lost.STALE.value)
        else:
            yield from self.writer.add(session, None)

    def _commit_login(self, session: SessionState, user: str) -> Flow[None]:
        self.writer.describe_visitor(session)
        if session._loaded is Loaded.STALE:
            yield from self.writer.rejoin(session, user)
        while True:  # ends, because each iteration drops a key
            try:
                yield from self._store_login(session, user)
            except SessionTooLarge as error:
                if not make_room(session, error):
                    raise
            else:
                return

    def _store_login(self, session: SessionState, user: str) -> Flow[None]:
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
        self, session: SessionState, write: Write, held: Found | None = UNTRIED
    ) -> Flow[None]:
        changed = write is Write.SET or has_changed(session)
        lost = yield from self.writer.write(session, write, held)
        if lost is None:
            return
        if changed:
            _drop(session, lost.value)
        if lost is Lost.GONE and session._found is not None:
            session._lost_user = session._found.user
        session._key, session._found, session._loaded = None, None, Loaded.STALE


def roll_back(session: SessionState) -> None:
    """Restore the data that were loaded, and drop what the application asked for."""
    session._views.clear()
    session._login, session._regenerate = None, False
    session._assigned = session._nested_possible = False
    session._meta, session._data = {}, {}
    if session._key is not None:
        session._meta, session._data = codec.decode(session._payload)


def _drop(session: SessionState, reason: str) -> None:
    """Report that the changes are not stored."""
    event = Event("dropped", session._current_handle(), session._current_user(), reason)
    session._events.append(event)


def _revoke(session: SessionState) -> Flow[None]:
    """End the user's other sessions, if that was asked for."""
    if session._revoke is None:
        return
    yield from _end_others(session, session._revoke)
    session._revoke = None


def _end_others(session: SessionState, user: str) -> Flow[None]:
    ended = yield Call("destroy_user", (user, session._key))
    session._events += [Event("destroyed", handle_for(key), user) for key in ended]


def _destroy(session: SessionState) -> Flow[None]:
    """End the session and begin a new, empty one. Clear the cookie if this request ended it."""
    keys = (session._presented_key, session._key)
    for key in dict.fromkeys(keys if session._ends_successor else keys[:1]):
        if key is not None and session._key is not None:
            end = destroy_chain if session._ends_successor else destroy_unless_rotated
            ended = yield from end(key)
            if ended is not None:
                session._cookie = CLEAR
                session._events.append(Event("destroyed", handle_for(ended[0]), ended[1]))
                break
    session._key = session._presented_key = session._found = session._issued_id = None
    session._lost_user = None
    session._payload = b""
    session._loaded = Loaded.NEW
    session._destroy = False  # last: if the store fails, the next commit tries again


def destroy_unless_rotated(key: bytes) -> Flow[tuple[bytes, str | None] | None]:
    """Destroy a session, unless another request has rotated its ID.

    Returns:
        Its key and user if this call ended it, else None.
    """
    found: Found | None = yield Call("get", (key,))
    if found is None or found.successor is not None:
        return None
    held: Found | None = yield Call("destroy", (key,))
    return None if held is None or held.successor is not None else (key, held.user)


def destroy_chain(key: bytes) -> Flow[tuple[bytes, str | None] | None]:
    """Destroy a session, even if another request has rotated its ID.

    Returns:
        Its key and user if this call ended it, else None.
    """
    while True:  # ends, because each iteration removes a record
        held: Found | None = yield Call("destroy", (key,))
        if held is None:
            return None
        if held.successor is None:
            return key, held.user
        successor: Found | None = yield Call("get", (held.successor,))
        if held.user is None or successor is None or successor.user != held.user:
            return None
        key = held.successor
