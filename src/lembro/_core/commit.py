"""Write a session to the store: add it, write it over, rotate its ID, extend it, merge it.

``lifecycle.py`` decides which of these happens. Pure, like all of the core.
"""

from __future__ import annotations

import enum
from collections.abc import Callable
from typing import Final

from ..errors import CodecError, StoreError, TooManySessions
from ..events import Event
from ..ids import SessionID, handle_for, id_of, key_for, new_id, new_mark
from ..options import SessionOptions, seconds
from ..stores.base import Found, PerUser, Record
from . import codec
from .effects import Call, Flow
from .lifetimes import Lifetimes, touched
from .load import Lost, follow_rotation
from .login import csrf_keys
from .merge import merge
from .size_check import check_size
from .state import LIVE, Loaded, SessionState, SetCookie

ATTEMPTS: Final = 1000
"""Attempts to write before the store counts as broken. An attempt fails only because another
request's write succeeded."""


class Write(enum.Enum):
    """The ways to write a changed session."""

    SET = "set"
    ROTATE = "regenerate_id"
    LOGIN = "login"


STORED: Final = Found(b"stored")
"""The result of an attempt that wrote the session."""
UNTRIED: Final = Found(b"untried")
"""The result before the first attempt."""


def marked(payload: bytes) -> bytes:
    """Mark a payload for one write. A store compares payloads to tell whose write succeeded, so two
    requests that make the same changes must not write the same bytes."""
    return codec.with_mark(payload, new_mark())


def is_written(payload: bytes, held: Found | None) -> bool:
    """Return whether the store's answer ``held`` shows that this write was done."""
    return held is not None and held.payload == payload and held.successor is None


def refused() -> StoreError:
    """Make the error after ``ATTEMPTS`` failed attempts."""
    return StoreError(
        f"the store refused {ATTEMPTS} writes of one session in a row. Check it with "
        f"lembro.testing: set() and replace() must write if the payload is the expected one"
    )


class Writer:
    """Writes sessions by flows, with the options that they need.

    Args:
        options: The options of the sessions.
        lifetimes: Their lifetimes.
        reputation_of: Reads the reputation from a cookie's value; None if the store uses none.
    """

    def __init__(
        self,
        options: SessionOptions,
        lifetimes: Lifetimes,
        reputation_of: Callable[[bytes], bytes | None] | None,
    ) -> None:
        self.lifetimes: Lifetimes = lifetimes
        self.grace: float = seconds("rotation_grace", options.rotation_grace, zero=True)
        limit = options.max_sessions_per_user
        self.per_user: PerUser | None = None if limit is None else (limit, options.at_max_sessions)
        self.id_of: Callable[[bytes], SessionID] = id_of
        """Makes a session ID of 32 random bytes."""
        self.key_of: Callable[[str], bytes] = key_for
        """Makes the key of a session ID."""
        self._reputation_of = reputation_of

    def add(self, session: SessionState, user: str | None) -> Flow[None]:
        """Store the session under a new ID."""
        payload = _encode(session)
        session_id = new_id(self.id_of)
        key = self.key_of(session_id)
        record = Record(payload, user, None, (yield from self.reputation_for(session)))
        idle = self.lifetimes.idle_of(session._meta, user)
        life = self.lifetimes.life if user is None else self.lifetimes.life_of(session)
        per_user = self.per_user if user is not None else None
        keywords = {"idle": idle, "life": life, "per_user": per_user}
        if not (yield Call("add", (key, record), keywords)):
            raise self.too_many()
        session._loaded = LIVE
        session._events.append(Event("created", handle_for(key), user))
        found = Found(payload, user, None, record.reputation, 0.0, min(idle, life), life)
        self.issue(session, session_id, found)

    def write(
        self, session: SessionState, write: Write, held: Found | None = UNTRIED
    ) -> Flow[Lost | None]:
        """Write the session by ``set`` or ``replace``, and merge with other requests' writes.

        Args:
            session: The session.
            write: How to write it.
            held: The result of a first attempt, if one was made.

        Returns:
            None if it was stored; otherwise why there is no record to write to.
        """
        for _ in range(ATTEMPTS):
            if held is UNTRIED:
                attempt = (
                    self._set(session) if write is Write.SET else self._replace(session, write)
                )
                held = yield from attempt
            if held is STORED:
                return None
            if held is None:
                return Lost.GONE
            if held.successor is not None:
                if write is Write.ROTATE and session._adoption is not None:
                    return Lost.STALE  # an attacker who planted the cookie may have sent either
                followed = yield from follow_rotation(held, session._login)
                if isinstance(followed, Lost):
                    return followed
                session._key, held = followed
                session._loaded = Loaded.ROTATED
                if write is Write.ROTATE:  # it was just rotated
                    write = Write.SET
            elif write is Write.LOGIN and held.payload == session._payload:
                raise self.too_many()
            self.rebase(session, held)
            if write is Write.SET and not has_changed(session):  # the merge kept no change of ours
                return None
            held = UNTRIED
        raise refused()

    def _set(self, session: SessionState) -> Flow[Found | None]:
        """Try once by ``set``. Return STORED, or what the store holds instead."""
        call = self.call_to_set(session, _encode(session))
        held: Found | None = yield call
        return STORED if self.was_set(session, call, held) else held

    def call_to_set(self, session: SessionState, encoded: bytes) -> Call:
        """Make the call that writes the encoded session over the record that was loaded."""
        assert session._found is not None
        idle = self.lifetimes.idle_of_write(session, session._found, empty=is_empty(session))
        keywords = {"expected": session._payload, "idle": idle}
        return Call("set", (session._key, Record(marked(encoded))), keywords)

    def was_set(self, session: SessionState, call: Call, held: Found | None) -> bool:
        """Return whether ``held`` shows that the call was done; if so, note what was written."""
        if held is None or not is_written(call.args[1].payload, held):
            return False
        found, session._found = session._found, held
        assert found is not None
        session._payload = held.payload
        session._assigned = False
        self.renew_cookie(session, found, asked=session._touch)
        return True

    def _replace(self, session: SessionState, write: Write) -> Flow[Found | None]:
        """Try once under a new ID. Return STORED, or what the store holds instead."""
        payload = marked(_encode(session))
        session_id = new_id(self.id_of)
        key = self.key_of(session_id)
        login = write is Write.LOGIN
        idle = self.lifetimes.idle_now(session, empty=is_empty(session))
        found = session._found
        if session._passive and not (login or session._touch or found is None):
            idle = min(idle, found.idle_left)
        reputation = yield from self.reputation_for(session)
        record = Record(payload, session._current_user(), None, reputation)
        keywords = {
            "expected": session._payload,
            "idle": idle,
            "life": self.lifetimes.life_of(session) if login else None,
            "grace": self.grace,
            "per_user": self.per_user if login else None,
        }
        held: Found | None = yield Call("replace", (session._key, key, record), keywords)
        if held is None or not is_written(payload, held) or held.user != record.user:
            return held
        assert session._key is not None
        event = Event(
            "regenerated", handle_for(key), record.user, previous=handle_for(session._key)
        )
        session._events.append(event)
        self.issue(session, session_id, held)
        return STORED

    def too_many(self) -> TooManySessions:
        """Make the error for a login above the cap."""
        limit = self.per_user[0] if self.per_user else 0
        return TooManySessions(
            f"a user may have at most {limit} sessions, and this user has as many. End one by its "
            f'handle: manager.revoke(handle). Or set at_max_sessions="oldest"'
        )

    def issue(self, session: SessionState, session_id: str, found: Found) -> None:
        """Note that the session is stored under a new ID, with ``found`` as its record."""
        session._issued_id, session._found, session._payload = session_id, found, found.payload
        session._key = session._presented_key = self.key_of(session_id)
        session._assigned = False
        max_age = self.lifetimes.max_age_of(session._meta, found.life_left)
        session._cookie = SetCookie(session_id, found.reputation, max_age)

    def rebase(self, session: SessionState, theirs: Found) -> None:
        """Merge with ``theirs``, which another request has stored since this session was loaded."""
        if not _switches_user(session):
            _merge(session, session._payload, theirs)
        elif theirs.user == session._login:  # another request has logged this user in, too
            _merge(session, b"", theirs)
        session._found, session._payload = theirs, theirs.payload

    def rejoin(self, session: SessionState, user: str) -> Flow[None]:
        """Continue the session that replaced a stale ID, if it belongs to the user who logs in.

        A second click on the login button sends the ID from before the first click.
        """
        key = session._presented_key
        pointer: Found | None = None if key is None else (yield Call("get", (key,)))
        if pointer is None or pointer.successor is None:
            return
        followed = yield from follow_rotation(pointer, user)
        if not isinstance(followed, Lost):
            session._key, theirs = followed
            session._loaded = Loaded.ROTATED
            self.rebase(session, theirs)

    def touch(self, session: SessionState) -> Flow[None]:
        """Extend the idle timeout, if that is due or was asked for."""
        found = session._found
        assert found is not None
        if session._touch or (self.lifetimes.is_due(session, found) and not is_empty(session)):
            idle = self.lifetimes.idle_now(session, empty=is_empty(session))
            try:
                is_live = yield Call("touch", (session._key,), {"idle": idle})
            except StoreError as error:  # a page that only reads must not fail because of this
                handle = session._current_handle()
                session._events.append(Event("error", handle, found.user, str(error), error))
                return
            if is_live:
                self.renew_cookie(session, found, asked=session._touch)
                session._found = touched(found, idle)

    def describe_visitor(self, session: SessionState) -> None:
        """Note the device and the address of a login, for the list of a user's sessions."""
        device, address = session._transport.describe_visitor()
        texts = {"device": device, "ip": address}
        described = {name: text.encode("utf-8", "replace") for name, text in texts.items() if text}
        if described:
            session._meta = {**session._meta, **described}

    # -- the cookie --------------------------------------------------------------------------------

    def renew_cookie(self, session: SessionState, found: Found, *, asked: bool = False) -> None:
        """Send a cookie with a Max-Age again when its session was extended.

        Only a request that came with the ID can do so, because the store has only its hash.
        """
        resend = session._resend_cookie
        if not (resend or self.lifetimes.renews(session, found)):
            return
        if session._loaded is not LIVE or session._cookie or session._presented.id is None:
            return
        if asked or resend or self.lifetimes.is_due(session, found):
            reputation = self.known_reputation(session)
            max_age = self.lifetimes.max_age_of(session._meta, found.life_left)
            session._cookie = SetCookie(session._presented.id, reputation, max_age)

    def known_reputation(self, session: SessionState) -> bytes | None:
        """Return the reputation from the cookie, or else from the stored session."""
        if self._reputation_of is None:
            return None
        known = self._reputation_of(session._presented.value)
        return known or (None if session._found is None else session._found.reputation)

    def reputation_for(self, session: SessionState) -> Flow[bytes | None]:
        """Return the reputation for a new ID: the known one, or one that begins now."""
        if self._reputation_of is None:
            return None
        known = self.known_reputation(session)
        if known is not None:
            return known
        born: bytes = yield Call("new_reputation", ())
        return born


def changed_encoding(session: SessionState) -> bytes | None:
    """Return the session's encoding if its data differ from the loaded data; else None."""
    if session._assigned:
        encoded = _encode(session)
        return None if codec.same_data(encoded, session._payload) else encoded
    if session._nested_possible:
        return codec.changed(session._payload, session._meta, session._data)
    return None


def has_changed(session: SessionState) -> bool:
    """Return whether the session's data differ from the loaded data."""
    return changed_encoding(session) is not None


def _encode(session: SessionState) -> bytes:
    """Encode the payload. Data that were loaded without tags need none, unless a mutable value was
    accessed."""
    if session._size_limit:  # a value was too large when it was assigned
        check_size(session._data, session._size_limit)
    plain = not session._nested_possible and session._payload.startswith(codec.VERSION)
    return codec.encode(session._meta, session._data, plain=plain)


def is_empty(session: SessionState) -> bool:
    return not session._data and session._current_user() is None


def _switches_user(session: SessionState) -> bool:
    """Return whether the stored data are another user's, which the new user must not see."""
    if session._login is None or session._found is None:
        return False
    return session._found.user not in (None, session._login)


def _merge(session: SessionState, loaded: bytes, theirs: Found) -> None:
    """Merge the loaded data, the data that another request has stored, and this request's data."""
    try:
        base_meta, base = codec.decode(loaded) if loaded else ({}, {})
        meta, data = codec.decode(theirs.payload)
    except CodecError:  # ours wins
        return
    if session._login is not None:  # it drops a token that was stored since the load, too
        for key in csrf_keys(data):
            del data[key]
    session._data, conflicts = merge(base, data, session._data)
    session._nested_possible = True  # a merged value may need a tag
    if session._login is None:
        session._meta, _ = merge(base_meta, meta, session._meta)
    session._note_conflicts(theirs.user, conflicts)
