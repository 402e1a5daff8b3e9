"""The lifecycle of an ExpressManager: its lifetimes, its session IDs, and its cookie."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, cast

from msgspec import structs

from .._core.commit import Write, Writer
from .._core.effects import Flow
from .._core.lifecycle import Lifecycle
from .._core.lifetimes import IDLE, REMEMBER, Lifetimes, keep_idle, was_empty
from .._core.state import LIVE, SessionState, SetCookie
from ..ids import SessionID
from ..options import SessionOptions
from ..stores.base import Found
from . import ids
from .ids import SentID
from .options import ExpressCookie
from .record import COOKIE, decode_json, encode_json
from .users import Users


class ExpressLifetimes(Lifetimes):
    """The lifetimes. A session's ``cookie.originalMaxAge`` is its idle timeout.

    Args:
        options: The options of the sessions.
        rolling: The ``rolling`` of express-session.
    """

    def __init__(self, options: SessionOptions, *, rolling: bool) -> None:
        super().__init__(options)
        self.rolling: bool = rolling
        if rolling:
            self.fresh: float = float("inf")
        self.emptied_idle: float = self.idle  # Express stores empty sessions too
        self.renews_cookie: bool = False  # the session itself says whether its cookie expires

    def idle_now(self, session: SessionState, *, empty: bool) -> float:
        idle = self.idle_of(session._meta, session._current_user())
        found = session._found
        return idle if found is None else min(idle, found.life_left)

    def is_due(self, session: SessionState, found: Found) -> bool:
        if self.rolling and not session._passive:
            return True
        return super().is_due(session, found)

    def idle_of_write(self, session: SessionState, found: Found, *, empty: bool) -> float:
        """Return the idle timeout for a write. A write extends the session unless it is passive."""
        idle = self.idle_of(session._meta, found.user)
        if session._passive and not session._touch and not was_empty(found):
            return min(found.idle_left, idle)
        return idle


class ExpressWriter(Writer):
    """Writes sessions of Express, and sends their cookie when express-session would.

    Args:
        options: The options of the sessions.
        lifetimes: Their lifetimes.
        cookie: The cookie of a session that begins.
        users: Writes the user at a login.
    """

    def __init__(
        self,
        options: SessionOptions,
        lifetimes: ExpressLifetimes,
        cookie: ExpressCookie,
        users: Users,
    ) -> None:
        super().__init__(options, lifetimes, None)
        self.id_of: Callable[[bytes], SessionID] = ids.id_of
        self.key_of: Callable[[str], bytes] = ids.key_of
        self._rolling = lifetimes.rolling
        self._cookie = cookie
        self._users = users

    def add(self, session: SessionState, user: str | None) -> Flow[None]:
        self._prepare(session, user)
        yield from super().add(session, user)

    def _replace(self, session: SessionState, write: Write) -> Flow[Found | None]:
        self._prepare(session, session._login if write is Write.LOGIN else None)
        found = session._found
        if write is Write.ROTATE and found is not None:
            # The application may have written the user itself, as in Express.
            session._found = structs.replace(found, user=self._users.read(session._data))
        return (yield from super()._replace(session, write))

    def touch(self, session: SessionState) -> Flow[None]:
        """Extend the session. Without ``rolling``, express-session sends no cookie for that."""
        before, asked = session._cookie, session._touch
        yield from super().touch(session)
        if not self._rolling and not asked:
            session._cookie = before

    def issue(self, session: SessionState, session_id: str, found: Found) -> None:
        super().issue(session, session_id, found)
        self._send(session, session_id, found)

    def renew_cookie(self, session: SessionState, found: Found, *, asked: bool = False) -> None:
        """Send the cookie again if it expires, or with ``rolling``."""
        if session._loaded is not LIVE or session._cookie or session._presented.id is None:
            return
        if self._rolling or session._resend_cookie or session._meta.get(REMEMBER) is True:
            self._send(session, session._presented.id, found)

    def _send(self, session: SessionState, session_id: str, found: Found) -> None:
        """Send the cookie with the attributes that the session has."""
        stored = session._meta.get(COOKIE)
        sent = SentID(session_id)
        sent.attributes = decode_json(stored) if isinstance(stored, bytes) else {}
        max_age = self.lifetimes.max_age_of(session._meta, found.life_left)
        session._cookie = SetCookie(sent, None, 0.0 if max_age is None else max_age)

    def _prepare(self, session: SessionState, user: str | None) -> None:
        """Add the data that Express needs to a session that begins, or that a user logs in to."""
        if user is not None:
            self._users.write(session._data, user)
            session._assigned = session._nested_possible = True
        meta = {**session._meta}
        if COOKIE not in meta:
            https = _is_https(session._transport)
            meta[COOKIE] = encode_json(self._cookie.attributes(https=https))
        if REMEMBER not in meta:
            meta[REMEMBER] = self._cookie.max_age is not None
        if meta[REMEMBER] and IDLE not in meta:
            keep_idle(meta, self._cookie.seconds or self.lifetimes.idle)
        session._meta = dict(sorted(meta.items()))


class ExpressLifecycle(Lifecycle):
    """The lifecycle with the lifetimes and the writer of Express."""

    def __init__(
        self, options: SessionOptions, cookie: ExpressCookie, users: Users, *, rolling: bool
    ) -> None:
        super().__init__(options)
        lifetimes = ExpressLifetimes(options, rolling=rolling)
        self.lifetimes: Lifetimes = lifetimes
        self.writer: Writer = ExpressWriter(options, lifetimes, cookie, users)


def _is_https(transport: Any) -> bool:
    """Return whether the request came over https; False without a request."""
    try:
        return cast("bool", transport.https())
    except NotImplementedError:  # a session that is loaded by its ID
        return False
