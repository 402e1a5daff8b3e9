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

Pure: no I/O, no clock, no framework. The methods of :class:`Lifecycle` are generators that yield
store calls and are sent their results; ``drivers.py`` performs them.
"""  # noqa: E501

from __future__ import annotations

import enum
from collections.abc import Callable, Generator
from typing import Any, Final, NamedTuple, TypeVar

from . import codec
from .cookie import DUPLICATE
from .errors import CodecError, StoreError, TooManySessions
from .events import Event
from .ids import handle_for, key_for, new_id, new_mark
from .merge import merge
from .options import SessionOptions, seconds
from .session import Session
from .state import CLEAR, COMMITTED, LIVE, UNREAD, Arrived, SetCookie
from .stores.base import Found, PerUser, Record

T = TypeVar("T")

ATTEMPTS: Final = 1000
"""Writes that are tried before a store is said to be broken. Each one that fails means that
somebody else's succeeded."""
HOPS: Final = 16
"""Replaced ids that are followed in a row."""


class Call(NamedTuple):
    """A verb of the store, to be called."""

    verb: str
    args: tuple[Any, ...]
    keywords: dict[str, Any] = {}  # noqa: RUF012 - never written to


Flow = Generator[Call, Any, T]


class How(enum.Enum):
    """How a changed session is written."""

    SET = "set"
    ROTATE = "regenerate_id"
    LOGIN = "login"


STORED: Final = Found(b"stored")
"""What an attempt to write returns if it succeeded."""


class Lost(enum.Enum):
    """Why a write found nothing to write to."""

    GONE = "the session has ended"
    DEAD_END = "the session's id was replaced by a login"


def marked(meta: codec.Meta) -> codec.Meta:
    """``meta`` for a write of its own. A store tells whose write succeeded by the payload alone, so
    two requests that make the same of a session must not write the same bytes."""
    return {**meta, "mark": new_mark()}


def _told(held: Found | None) -> Flow[Found | None]:
    """An attempt that has been made: a flow without a call."""
    return held
    yield


class Lifecycle:
    """The flows. ``standing_of`` reads the standing from a cookie's value; None: the store does not
    look at standings."""

    def __init__(
        self,
        options: SessionOptions,
        *,
        standing_of: Callable[[bytes], bytes | None] | None = None,
    ) -> None:
        self.idle: float = seconds("idle_timeout", options.idle_timeout)
        absolute = options.absolute_timeout
        self.life: float = (
            float("inf") if absolute is None else seconds("absolute_timeout", absolute)
        )
        self._fresh = self.idle * 0.9  # who has so much left is not due for a touch
        self.grace: float = seconds("rotation_grace", options.rotation_grace)
        self.renews_cookie: bool = options.cookie.max_age is not None
        limit = options.max_sessions_per_user
        self.per_user: PerUser | None = None if limit is None else (limit, options.at_max_sessions)
        self._standing_of = standing_of

    # -- arriving ----------------------------------------------------------------------------------

    def load(self, session: Session) -> Flow[None]:
        """Find out how the request arrived, and what it arrived with."""
        key = self.begin(session)
        if key is not None:
            try:
                yield from self._load_key(session, key)
            except StoreError:  # the next look tries again, instead of finding nothing
                session._arrived = UNREAD
                raise
        session._ready = session._phase is not COMMITTED

    def begin(self, session: Session) -> bytes | None:
        """Read the cookie; the key to look for in the store, if there is one."""
        session._begin()
        presented = session._presented
        if presented.id is not None:
            session._arrived_key = key = key_for(presented.id)
            return key
        if presented.problem:
            session._events.append(Event("rejected", reason=presented.problem))
            if presented is DUPLICATE:
                session._arrived = Arrived.DEAD_END
        return None

    def _load_key(self, session: Session, key: bytes) -> Flow[None]:
        found: Found | None = yield Call("get", (key,))
        if found is None:
            return
        if not self.arrive(session, key, found):
            yield from self.arrive_by(session, found)

    def arrive_by(self, session: Session, pointer: Found) -> Flow[None]:
        """Take in what a replaced id leads to."""
        followed = yield from self.follow(pointer)
        if isinstance(followed, Lost):
            session._arrived = Arrived.DEAD_END
            return
        session._arrived = Arrived.FOLLOWED
        self.take(session, *followed)

    def arrive(self, session: Session, key: bytes, found: Found) -> bool:
        """Take in what the store found. False if that is a replaced id, which may be followed."""
        if found.successor is not None:
            return False
        session._arrived = LIVE
        self.take(session, key, found)
        return True

    def follow(self, pointer: Found) -> Flow[tuple[bytes, Found] | Lost]:
        """Where a replaced id leads: to a record of the same user, or nowhere."""
        for _ in range(HOPS):
            key = pointer.successor
            if key is None or pointer.user is None:
                return Lost.DEAD_END
            found: Found | None = yield Call("get", (key,))
            if found is None:  # it was this user's, and has been ended
                return Lost.GONE
            if found.user != pointer.user:
                return Lost.DEAD_END
            if found.successor is None:
                return key, found
            pointer = found
        return Lost.DEAD_END

    def take(self, session: Session, key: bytes, found: Found) -> None:
        """Make ``found`` what this session was loaded from; one that can't be read is no record."""
        try:
            session._meta, session._data = codec.decode(found.payload)
        except CodecError as error:
            handle = handle_for(key)
            session._events.append(Event("rejected", handle, found.user, str(error), error))
            session._meta, session._data = {}, {}
            session._arrived, session._key, session._found = Arrived.NEW, None, None
            return
        session._key, session._found, session._payload = key, found, found.payload
        session._assigned = session._lent = False

    # -- leaving -----------------------------------------------------------------------------------

    def commit(self, session: Session, *, failed: bool = False) -> Flow[None]:
        """Bring the store in line with what the request did; leaves in ``session._cookie`` what is
        to become of the cookie. ``failed``: the handler did not succeed.

        Raises StoreError, SessionTooLarge, CodecError, TooManySessions; then the changes are not
        stored, and what was stored is as it was.
        """
        if session._arrived is UNREAD:
            return
        if session._destroy:
            # The others first: whoever is interrupted in between is still logged in to try again.
            yield from self._revoke(session)
            yield from self._destroy(session)
        if failed:
            self.roll_back(session)
        else:
            yield from self._commit_changes(session)
        yield from self._revoke(session)

    def _revoke(self, session: Session) -> Flow[None]:
        """End the user's sessions, but for this one."""
        if session._revoke is None:
            return
        user = session._revoke
        ended = yield Call("destroy_user", (user, session._key))
        session._revoke = None
        session._events += [Event("destroyed", handle_for(key), user) for key in ended]

    def is_settled(self, session: Session) -> bool:
        """Whether a commit would find nothing to do, as after most requests."""
        if session._arrived is UNREAD:
            return True
        if session._assigned or session._lent or session._login is not None:
            return False
        if session._regenerate or session._destroy or session._touch or session._revoke is not None:
            return False
        found = session._found
        return found is None or found.idle_left >= self._fresh or not self._is_due(found)

    def _commit_changes(self, session: Session) -> Flow[None]:
        session._flush_views()
        if session._login is not None:
            yield from self._commit_login(session, *session._login)
        elif session._key is None:
            yield from self._commit_new(session)
        elif session._regenerate and session._arrived is not Arrived.FOLLOWED:
            yield from self._write_or_drop(session, How.ROTATE)
        elif self._changed(session):
            yield from self._write_or_drop(session, How.SET)
        else:
            yield from self._touch(session)
        session._regenerate = session._touch = False

    def roll_back(self, session: Session) -> None:
        session._views.clear()
        session._login, session._regenerate = None, False
        session._assigned = session._lent = False
        session._meta, session._data = {}, {}
        if session._key is not None:
            session._meta, session._data = codec.decode(session._payload)

    def _changed(self, session: Session) -> bool:
        if session._assigned:
            return self._encode(session, session._meta) != session._payload
        return session._lent and not codec.unchanged(session._payload, session._meta, session._data)

    @staticmethod
    def _encode(session: Session, meta: codec.Meta) -> bytes:
        """The payload. What came without a tag and had nothing lent can have got none."""
        plain = not session._lent and session._payload.startswith(codec.VERSION)
        return codec.encode(meta, session._data, plain=plain)

    def _commit_new(self, session: Session) -> Flow[None]:
        if not session._data:
            return
        if session._arrived is Arrived.DEAD_END:
            self._drop(session, session._presented.problem or Lost.DEAD_END.value)
        else:
            yield from self._add(session, None)

    def _commit_login(self, session: Session, user: str, remember: bool) -> Flow[None]:
        lost: Lost | None = Lost.GONE
        if session._key is not None:
            had = session._found.user if session._found else None
            lost = yield from self._write(session, How.LOGIN)
            if lost is Lost.GONE and had == user:
                self._drop(session, "the user's sessions were revoked")
                session._login = None
                return
        if lost is not None:
            yield from self._add(session, user)
        session._login = None

    def _add(self, session: Session, user: str | None) -> Flow[None]:
        payload = self._encode(session, session._meta)
        session_id = new_id()
        key = key_for(session_id)
        record = Record(payload, user, None, (yield from self._standing_for(session)))
        added = yield Call(
            "add",
            (key, record),
            {
                "idle": self.idle,
                "life": self.life,
                "per_user": self.per_user if user is not None else None,
            },
        )
        if not added:
            raise self._too_many()
        session._arrived = LIVE
        session._events.append(Event("created", handle_for(key), user))
        found = Found(payload, user, None, record.standing, 0.0, self.idle, self.life)
        self._issue(session, session_id, found)

    def _too_many(self) -> TooManySessions:
        limit = self.per_user[0] if self.per_user else 0
        return TooManySessions(f"the user has {limit} sessions, and no more are allowed")

    def _issue(self, session: Session, session_id: str, found: Found) -> None:
        """The session is stored under a new id, as ``found``."""
        session._id, session._found, session._payload = session_id, found, found.payload
        session._key = session._arrived_key = key_for(session_id)
        session._assigned = False
        remembered = session._meta.get("remember") is True
        life = found.life_left if remembered else None
        session._cookie = SetCookie(session_id, found.standing, life)

    # -- writing -----------------------------------------------------------------------------------

    def write_on(self, session: Session, held: Found | None) -> Flow[None]:
        """Go on after a call to set that was not done: ``held`` is what the store holds."""
        yield from self._write_or_drop(session, How.SET, _told(held))

    def _write_or_drop(
        self, session: Session, how: How, first: Flow[Found | None] | None = None
    ) -> Flow[None]:
        changed = how is How.SET or self._changed(session)
        lost = yield from self._write(session, how, first)
        if lost is None:
            return
        if changed:
            self._drop(session, lost.value)
        session._key, session._found, session._arrived = None, None, Arrived.DEAD_END

    def _write(
        self, session: Session, how: How, first: Flow[Found | None] | None = None
    ) -> Flow[Lost | None]:
        """Write the session by ``set`` or ``replace``, merging with whoever was first, until it is
        stored (None) or there is nothing to write to. ``first``: the first attempt."""
        for _ in range(ATTEMPTS):
            attempt = first or (
                self._set(session) if how is How.SET else self._replace(session, how)
            )
            first = None
            held = yield from attempt
            if held is STORED:
                return None
            if held is None:
                return Lost.GONE
            if held.successor is not None:
                followed = yield from self.follow(held)
                if isinstance(followed, Lost):
                    return followed
                session._key, held = followed
                session._arrived = Arrived.FOLLOWED
                if how is How.ROTATE:  # it was just rotated
                    how = How.SET
            elif how is How.LOGIN and held.payload == session._payload:
                raise self._too_many()
            self.rebase(session, held)
            if how is How.SET and not self._changed(session):  # the merge left nothing of ours
                return None
        raise StoreError(f"the store refused {ATTEMPTS} writes of one session in a row")

    def _set(self, session: Session) -> Flow[Found | None]:
        """One attempt: STORED, or what the store holds instead."""
        call = self._call_to_set(session)
        held: Found | None = yield call
        return STORED if self.was_set(session, call, held) else held

    def _call_to_set(self, session: Session) -> Call:
        meta = session._written_meta = marked(session._meta)
        payload = self._encode(session, meta)
        assert session._found is not None
        idle = self.idle_of_write(session._found, empty=self._is_empty(session))
        keywords = {"expected": session._payload, "idle": idle}
        return Call("set", (session._key, Record(payload)), keywords)

    def was_set(self, session: Session, call: Call, held: Found | None) -> bool:
        """Whether ``held`` says that a call to set was done; then the session is what it wrote."""
        payload: bytes = call.args[1].payload
        if held is None or held.payload != payload or held.successor is not None:
            return False
        found, session._found = session._found, held
        assert found is not None
        session._meta, session._payload = session._written_meta, payload
        session._assigned = False
        self.renew_cookie(session, found)
        return True

    def only_set(self, session: Session) -> Call | None:
        """The call to set, where that is all that a commit comes to, as after most requests that
        change something."""
        if session._arrived is not LIVE or session._login is not None or session._views:
            return None
        if session._regenerate or session._destroy or session._revoke is not None:
            return None
        return self._call_to_set(session) if self._changed(session) else None

    def _replace(self, session: Session, how: How) -> Flow[Found | None]:
        """One attempt under a new id: STORED, or what the store holds instead."""
        meta = marked(session._meta)
        payload = self._encode(session, meta)
        session_id = new_id()
        key = key_for(session_id)
        login = how is How.LOGIN
        standing = yield from self._standing_for(session)
        record = Record(payload, session._current_user(), None, standing)
        keywords = {
            "expected": session._payload,
            "idle": self._idle_of(session),
            "life": self.life if login else None,
            "grace": self.grace,
            "per_user": self.per_user if login else None,
        }
        held: Found | None = yield Call("replace", (session._key, key, record), keywords)
        if held is None or held.successor is not None:
            return held
        if held.payload != payload or held.user != record.user:
            return held
        session._meta = meta
        self._issue(session, session_id, held)
        session._events.append(Event("regenerated", handle_for(key), record.user))
        return STORED

    def rebase(self, session: Session, theirs: Found) -> None:
        """Somebody else has stored ``theirs`` since this session was loaded: merge."""
        if not self._switches_user(session):
            self._merge(session, theirs)
        session._found, session._payload = theirs, theirs.payload

    @staticmethod
    def _switches_user(session: Session) -> bool:
        """Whether what is stored is another user's, and none of the new one's business."""
        if session._login is None or session._found is None:
            return False
        return session._found.user not in (None, session._login[0])

    def _merge(self, session: Session, theirs: Found) -> None:
        try:
            _, base = codec.decode(session._payload)
            meta, data = codec.decode(theirs.payload)
        except CodecError:  # ours stands
            return
        session._data, conflicts = merge(base, data, session._data)
        session._lent = True  # some of it may be tagged
        if session._login is None:
            session._meta = meta
        handle = handle_for(session._key) if session._key else None
        session._events += [
            Event("conflict", handle, theirs.user, f"{path}: the later write won")
            for path in conflicts
        ]

    def _touch(self, session: Session) -> Flow[None]:
        found = session._found
        assert found is not None
        if session._touch or (self._is_due(found) and not self._is_empty(session)):
            idle = self._idle_of(session)
            try:
                touched = yield Call("touch", (session._key,), {"idle": idle})
            except StoreError as error:  # a page that only reads is not to fail for this
                handle = handle_for(session._key) if session._key else None
                session._events.append(Event("error", handle, found.user, str(error), error))
                return
            if touched:
                self.renew_cookie(session, found, asked=session._touch)

    @staticmethod
    def _is_empty(session: Session) -> bool:
        return not session._data and session._current_user() is None

    def _idle_of(self, session: Session) -> float:
        """An emptied session stays for the grace, so that a writer in flight merges into it."""
        return self.grace if self._is_empty(session) else self.idle

    def _is_due(self, found: Found) -> bool:
        """Whether a tenth of the idle time has passed, and a touch would bring something."""
        return min(self.idle, found.life_left) - found.idle_left > self.idle / 10

    def idle_of_write(self, found: Found, *, empty: bool) -> float:
        """A cookie with a Max-Age is extended together with its session, so a write does not
        extend the session before that is due; without one it always does."""
        if empty:
            return self.grace
        return found.idle_left if self.renews_cookie and not self._is_due(found) else self.idle

    def renew_cookie(self, session: Session, found: Found, *, asked: bool = False) -> None:
        """A cookie with a Max-Age of its own is sent again when the session is extended, but only
        by the request that came with it (its id is known to no one else)."""
        if not self.renews_cookie or session._arrived is not LIVE or session._cookie:
            return
        if session._presented.id is not None and (asked or self._is_due(found)):
            remembered = session._meta.get("remember") is True
            session._cookie = SetCookie(
                session._presented.id,
                self._known_standing(session),
                found.life_left if remembered else None,
            )

    def _known_standing(self, session: Session) -> bytes | None:
        if self._standing_of is None:
            return None
        known = self._standing_of(session._presented.value)
        return known or (None if session._found is None else session._found.standing)

    def _standing_for(self, session: Session) -> Flow[bytes | None]:
        """The standing that goes with a new id: the one that is known, or one born now."""
        if self._standing_of is None:
            return None
        known = self._known_standing(session)
        if known is not None:
            return known
        born: bytes = yield Call("new_standing", ())
        return born

    # -- ending ------------------------------------------------------------------------------------

    def _destroy(self, session: Session) -> Flow[None]:
        for key in dict.fromkeys((session._arrived_key, session._key)):
            if key is not None and session._key is not None:
                ended = yield from self.destroy_chain(key)
                if ended is not None:
                    session._cookie = CLEAR
                    session._events.append(Event("destroyed", handle_for(ended[0]), ended[1]))
                    break
        session._key = session._arrived_key = session._found = session._id = None
        session._payload = b""
        session._arrived = Arrived.NEW
        session._destroy = False  # last: if the store fails, the next commit tries again

    def destroy_chain(self, key: bytes) -> Flow[tuple[bytes, str | None] | None]:
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

    def _drop(self, session: Session, reason: str) -> None:
        handle = handle_for(session._key) if session._key else None
        session._events.append(Event("dropped", handle, session._current_user(), reason))
