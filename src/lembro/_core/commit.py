"""How what a request made of its session is stored: added, written over or under a new id, touched,
merged with whoever was first. What is to be stored is decided in ``lifecycle.py``."""

from __future__ import annotations

import enum
from collections.abc import Callable
from typing import Final

from ..errors import CodecError, StoreError, TooManySessions, printable
from ..events import Event
from ..ids import handle_for, key_for, new_id, new_mark
from ..options import SessionOptions, seconds
from ..stores.base import Found, PerUser, Record
from . import codec
from .effects import Call, Flow
from .load import Lost, follow
from .merge import merge
from .session import Session
from .state import LIVE, Loaded, SetCookie

ATTEMPTS: Final = 1000
"""Writes that are tried before a store is said to be broken. Each one that fails means that
somebody else's succeeded."""


class Write(enum.Enum):
    """How a changed session is written."""

    SET = "set"
    ROTATE = "regenerate_id"
    LOGIN = "login"


STORED: Final = Found(b"stored")
"""What an attempt to write returns if it succeeded."""
UNTRIED: Final = Found(b"untried")
"""In place of what an attempt returned: none was made."""


def marked(meta: codec.Meta) -> codec.Meta:
    """``meta`` for a write of its own. A store tells whose write succeeded by the payload alone, so
    two requests that make the same of a session must not write the same bytes."""
    return {**meta, "mark": new_mark()}


def is_written(payload: bytes, held: Found | None) -> bool:
    """Whether what the store holds afterwards says that this write was done."""
    return held is not None and held.payload == payload and held.successor is None


def refused() -> StoreError:
    """The error after so many attempts."""
    return StoreError(f"the store refused {ATTEMPTS} writes of one session in a row")


class Writer:
    """The flows that write, with the options that they need. ``standing_of``: as of Lifecycle."""

    def __init__(
        self,
        options: SessionOptions,
        reputation_of: Callable[[bytes], bytes | None] | None,
    ) -> None:
        self.idle: float = seconds("idle_timeout", options.idle_timeout)
        absolute = options.absolute_timeout
        self.life: float = (
            float("inf") if absolute is None else seconds("absolute_timeout", absolute)
        )
        self.fresh: float = self.idle * 0.9  # who has so much left is not due for a touch
        self.grace: float = seconds("rotation_grace", options.rotation_grace, zero=True)
        self.emptied_idle: float = self.grace or 30.0
        """How long an emptied session stays, in seconds: the grace, or its default if it is 0."""
        self.renews_cookie: bool = options.cookie.max_age is not None
        limit = options.max_sessions_per_user
        self.per_user: PerUser | None = None if limit is None else (limit, options.at_max_sessions)
        self._reputation_of = reputation_of

    def add(self, session: Session, user: str | None) -> Flow[None]:
        """Store the session under a new id."""
        payload = _encode(session, session._meta)
        session_id = new_id()
        key = key_for(session_id)
        record = Record(payload, user, None, (yield from self.reputation_for(session)))
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
            raise self.too_many()
        session._loaded = LIVE
        session._events.append(Event("created", handle_for(key), user))
        found = Found(payload, user, None, record.reputation, 0.0, self.idle, self.life)
        self.issue(session, session_id, found)

    def write(
        self, session: Session, how: Write, held: Found | None = UNTRIED
    ) -> Flow[Lost | None]:
        """Write the session by ``set`` or ``replace``, merging with whoever was first, until it is
        stored (None) or there is nothing to write to. ``held``: what a first attempt returned."""
        for _ in range(ATTEMPTS):
            if held is UNTRIED:
                attempt = self._set(session) if how is Write.SET else self._replace(session, how)
                held = yield from attempt
            if held is STORED:
                return None
            if held is None:
                return Lost.GONE
            if held.successor is not None:
                followed = yield from follow(held)
                if isinstance(followed, Lost):
                    return followed
                session._key, held = followed
                session._loaded = Loaded.ROTATED
                if how is Write.ROTATE:  # it was just rotated
                    how = Write.SET
            elif how is Write.LOGIN and held.payload == session._payload:
                raise self.too_many()
            self.rebase(session, held)
            if how is Write.SET and not has_changed(session):  # the merge left nothing of ours
                return None
            held = UNTRIED
        raise refused()

    def _set(self, session: Session) -> Flow[Found | None]:
        """One attempt: STORED, or what the store holds instead."""
        call, meta = self.call_to_set(session)
        held: Found | None = yield call
        return STORED if self.was_set(session, call, meta, held) else held

    def call_to_set(self, session: Session) -> tuple[Call, codec.Meta]:
        """The call that writes the session over what it was loaded from, and the map of lembro's
        own that it writes."""
        meta = marked(session._meta)
        payload = _encode(session, meta)
        assert session._found is not None
        idle = self.idle_of_write(session._found, empty=_is_empty(session))
        keywords = {"expected": session._payload, "idle": idle}
        return Call("set", (session._key, Record(payload)), keywords), meta

    def was_set(self, session: Session, call: Call, meta: codec.Meta, held: Found | None) -> bool:
        """Whether ``held`` says that the call was done; then the session is what it wrote."""
        payload: bytes = call.args[1].payload
        if not is_written(payload, held):
            return False
        found, session._found = session._found, held
        assert found is not None
        session._meta, session._payload = meta, payload
        session._assigned = False
        self.renew_cookie(session, found)
        return True

    def _replace(self, session: Session, how: Write) -> Flow[Found | None]:
        """One attempt under a new id: STORED, or what the store holds instead."""
        meta = marked(session._meta)
        payload = _encode(session, meta)
        session_id = new_id()
        key = key_for(session_id)
        login = how is Write.LOGIN
        reputation = yield from self.reputation_for(session)
        record = Record(payload, session._current_user(), None, reputation)
        keywords = {
            "expected": session._payload,
            "idle": self._idle_of(session),
            "life": self.life if login else None,
            "grace": self.grace,
            "per_user": self.per_user if login else None,
        }
        held: Found | None = yield Call("replace", (session._key, key, record), keywords)
        if held is None or not is_written(payload, held) or held.user != record.user:
            return held
        session._meta = meta
        self.issue(session, session_id, held)
        session._events.append(Event("regenerated", handle_for(key), record.user))
        return STORED

    def too_many(self) -> TooManySessions:
        """The error when the cap refuses."""
        limit = self.per_user[0] if self.per_user else 0
        return TooManySessions(f"the user has {limit} sessions, and no more are allowed")

    def issue(self, session: Session, session_id: str, found: Found) -> None:
        """The session is stored under a new id, as ``found``."""
        session._issued_id, session._found, session._payload = session_id, found, found.payload
        session._key = session._presented_key = key_for(session_id)
        session._assigned = False
        session._cookie = _cookie_for(session, session_id, found.reputation, found.life_left)

    def rebase(self, session: Session, theirs: Found) -> None:
        """Somebody else has stored ``theirs`` since this session was loaded: merge."""
        if not _switches_user(session):
            _merge(session, theirs)
        session._found, session._payload = theirs, theirs.payload

    def touch(self, session: Session) -> Flow[None]:
        """Extend the idle timeout, if that is due or was asked for."""
        found = session._found
        assert found is not None
        if session._touch or (self.is_due(found) and not _is_empty(session)):
            idle = self._idle_of(session)
            try:
                touched = yield Call("touch", (session._key,), {"idle": idle})
            except StoreError as error:  # a page that only reads is not to fail for this
                handle = session._current_handle()
                session._events.append(Event("error", handle, found.user, str(error), error))
                return
            if touched:
                self.renew_cookie(session, found, asked=session._touch)

    # -- how long it lives -------------------------------------------------------------------------

    def _idle_of(self, session: Session) -> float:
        """An emptied session stays for the grace, so that a writer in flight merges into it."""
        return self.emptied_idle if _is_empty(session) else self.idle

    def is_due(self, found: Found) -> bool:
        """Whether a tenth of the idle time has passed, and a touch would bring something."""
        return min(self.idle, found.life_left) - found.idle_left > self.idle / 10

    def idle_of_write(self, found: Found, *, empty: bool) -> float:
        """A cookie with a Max-Age is extended together with its session, so a write does not
        extend the session before that is due; without one it always does."""
        if empty:
            return self.emptied_idle
        if self.renews_cookie and not self.is_due(found):
            return min(found.idle_left, self.idle)  # it may have been stored to last longer
        return self.idle

    # -- its cookie --------------------------------------------------------------------------------

    def renew_cookie(self, session: Session, found: Found, *, asked: bool = False) -> None:
        """A cookie with a Max-Age of its own is sent again when the session is extended, but only
        by the request that came with it (its id is known to no one else)."""
        if not (self.renews_cookie or session._resend_cookie):
            return
        if session._loaded is not LIVE or session._cookie or session._presented.id is None:
            return
        if asked or session._resend_cookie or self.is_due(found):
            reputation = self._known_reputation(session)
            session_id, life = session._presented.id, found.life_left
            session._cookie = _cookie_for(session, session_id, reputation, life)

    def _known_reputation(self, session: Session) -> bytes | None:
        if self._reputation_of is None:
            return None
        known = self._reputation_of(session._presented.value)
        return known or (None if session._found is None else session._found.reputation)

    def reputation_for(self, session: Session) -> Flow[bytes | None]:
        """The standing that goes with a new id: the one that is known, or one born now."""
        if self._reputation_of is None:
            return None
        known = self._known_reputation(session)
        if known is not None:
            return known
        born: bytes = yield Call("new_reputation", ())
        return born


def has_changed(session: Session) -> bool:
    """Whether the session encodes to something else than what it was loaded from."""
    if session._assigned:
        return _encode(session, session._meta) != session._payload
    return session._nested_possible and not codec.unchanged(
        session._payload, session._meta, session._data
    )


def _encode(session: Session, meta: codec.Meta) -> bytes:
    """The payload. What came without a tag and had nothing lent can have got none."""
    plain = not session._nested_possible and session._payload.startswith(codec.VERSION)
    return codec.encode(meta, session._data, plain=plain)


def _cookie_for(
    session: Session, session_id: str, reputation: bytes | None, life: float
) -> SetCookie:
    """The cookie for an id; it outlives the browser if the login is to be remembered."""
    remembered = session._meta.get("remember") is True
    return SetCookie(session_id, reputation, life if remembered else None)


def _is_empty(session: Session) -> bool:
    return not session._data and session._current_user() is None


def _switches_user(session: Session) -> bool:
    """Whether what is stored is another user's, and none of the new one's business."""
    if session._login is None or session._found is None:
        return False
    return session._found.user not in (None, session._login)


def _merge(session: Session, theirs: Found) -> None:
    """Three ways: what was loaded, what they stored, what is here."""
    try:
        _, base = codec.decode(session._payload)
        meta, data = codec.decode(theirs.payload)
    except CodecError:  # ours stands
        return
    if session._resend_cookie:
        meta["remember"] = session._meta.get("remember", False)
    session._data, conflicts = merge(base, data, session._data)
    session._nested_possible = True  # some of it may be tagged
    if session._login is None:
        session._meta = meta
    note_conflicts(session, theirs.user, conflicts)


def note_conflicts(session: Session, user: str | None, paths: list[str]) -> None:
    """Tell where a merge could keep one change only."""
    handle = session._current_handle()
    session._events += [
        Event("conflict", handle, user, f"{printable(path)}: the later write won") for path in paths
    ]
