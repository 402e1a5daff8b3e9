"""The lifetimes of sessions: the idle and the absolute timeout, and the Max-Age of the cookie.

lembro's metadata of a session holds the lifetimes that differ from the options:

* ``idle``: the idle timeout, in seconds as text;
* ``remember``: True if the cookie stays after the browser is closed, False if it does not.
"""

from __future__ import annotations

from math import inf
from typing import Final

from .._durations import LONGEST
from ..errors import CodecError
from ..options import SessionOptions, seconds
from ..stores.base import Found
from . import codec
from .state import SessionState

IDLE: Final = "idle"
REMEMBER: Final = "remember"


def own_idle(meta: codec.Meta) -> float | None:
    """Return the idle timeout in lembro's metadata of a session, if it has its own."""
    stored = meta.get(IDLE)
    if not isinstance(stored, bytes):
        return None
    try:
        idle = float(stored)
    except ValueError:
        return None
    return idle if 0 < idle <= LONGEST else None


def keep_idle(meta: codec.Meta, idle: float) -> None:
    """Note in lembro's metadata that the session has this idle timeout, in seconds."""
    meta[IDLE] = b"%d" % idle if idle == int(idle) else repr(idle).encode()


def set_lifetime(session: SessionState, idle: float | None, *, remember: bool | None) -> None:
    """Change the lifetime of a session during its request. Send the cookie again.

    Args:
        session: The session.
        idle: The idle timeout, in seconds. None: that of the options.
        remember: Whether the cookie stays after the browser is closed. None: as the options say.
    """
    meta = {**session._meta}
    meta.pop(IDLE, None)
    meta.pop(REMEMBER, None)
    if idle is not None:
        keep_idle(meta, idle)
    if remember is not None:
        meta[REMEMBER] = remember
    if meta != session._meta:
        session._meta = meta
        session._assigned = session._resend_cookie = True


def was_empty(found: Found) -> bool:
    """Return whether a record has neither a user nor data, so that it stays for the grace only."""
    if found.user is not None:
        return False
    try:
        return not codec.decode(found.payload)[1]
    except CodecError:  # another request's record, which this one writes over
        return False


def touched(found: Found, idle: float) -> Found:
    """Return the record as it is after a touch with this idle timeout."""
    life = found.life_left
    reputation = found.reputation
    return Found(found.payload, found.user, None, reputation, found.age, min(idle, life), life)


class Lifetimes:
    """The lifetimes that the options set, and how they apply to one session.

    Args:
        options: The options of the sessions.
    """

    def __init__(self, options: SessionOptions) -> None:
        self.idle: float = seconds("idle_timeout", options.idle_timeout)
        anonymous = options.anonymous_idle_timeout
        self.anonymous_idle: float = (
            self.idle if anonymous is None else seconds("anonymous_idle_timeout", anonymous)
        )
        absolute = options.absolute_timeout
        self.life: float = inf if absolute is None else seconds("absolute_timeout", absolute)
        remember = options.remember_timeout
        self.remembered: float | None = (
            None if remember is None else max(self.idle, seconds("remember_timeout", remember))
        )
        """The idle and the absolute timeout of a remembered login, if they differ from others'."""
        self.fresh: float = max(self.idle, self.anonymous_idle) * 0.9
        """With this much left, no touch is due, unless a session has its own idle timeout."""
        grace = seconds("rotation_grace", options.rotation_grace, zero=True)
        self.emptied_idle: float = grace or 30.0
        """How long an emptied session stays, in seconds: the grace, or its default if it is 0."""
        self.renews_cookie: bool = options.cookie.max_age is not None
        self.passive: tuple[str, ...] = tuple(options.passive)

    def idle_of(self, meta: codec.Meta, user: str | None) -> float:
        """Return the idle timeout of a session with this metadata and this user."""
        if IDLE in meta:
            own = own_idle(meta)
            if own is not None:
                return own
        return self.anonymous_idle if user is None else self.idle

    def idle_now(self, session: SessionState, *, empty: bool) -> float:
        """Return the idle timeout of a session with the changes of its request.

        An emptied session stays for the grace, so that a write in flight merges into it.
        """
        if empty:
            return self.emptied_idle
        return self.idle_of(session._meta, session._current_user())

    def life_of(self, session: SessionState) -> float:
        """Return the absolute timeout of a login: its own, or that of the options."""
        return self.life if session._life is None else session._life

    def is_due(self, session: SessionState, found: Found) -> bool:
        """Return whether a tenth of the idle timeout has passed and a touch would help."""
        if session._passive:
            return False
        idle = self.idle_of(session._meta, found.user)
        return min(idle, found.life_left) - found.idle_left > idle / 10

    def idle_for(self, meta: codec.Meta, found: Found) -> float:
        """Return the seconds since the session was last extended; its age if nothing extends it."""
        idle = self.idle_of(meta, found.user)
        if found.age + found.life_left <= idle + 1.0:  # stores round
            return found.age
        return max(0.0, min(idle, found.life_left) - found.idle_left)

    def idle_of_write(self, session: SessionState, found: Found, *, empty: bool) -> float:
        """Return the idle timeout for a write.

        A cookie with a Max-Age is renewed together with its session, so a write does not extend
        the session before that is due. Without a Max-Age a write always extends it. A passive
        request never does, unless it called ``touch()`` or fills an emptied session.
        """
        if empty:
            return self.emptied_idle
        idle = self.idle_of(session._meta, found.user)
        if session._resend_cookie or session._touch:  # the lifetime has changed, or touch()
            return idle
        if session._passive:
            is_kept = not was_empty(found)
        else:
            is_kept = self.renews(session, found) and not self.is_due(session, found)
        # It may have been stored with a longer timeout.
        return min(found.idle_left, idle) if is_kept else idle

    def max_age_of(self, meta: codec.Meta, life_left: float) -> float | None:
        """Return the cookie's Max-Age, in seconds. None: as the options say. 0: the cookie has no
        Max-Age."""
        remember, own = meta.get(REMEMBER), own_idle(meta)
        if remember is False:
            return 0.0
        if own is not None and (remember or self.renews_cookie):
            return min(own, life_left)
        return life_left if remember is True else None

    def renews(self, session: SessionState, found: Found) -> bool:
        """Return whether the cookie's Max-Age may end before the absolute timeout of the
        session."""
        remember = session._meta.get(REMEMBER)
        if remember is False:
            return False
        own = own_idle(session._meta) if remember else None
        return self.renews_cookie or (own is not None and own < found.life_left)
