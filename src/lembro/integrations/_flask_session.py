"""FlaskSession: a session with the attributes of Flask's and Quart's sessions."""

from __future__ import annotations

from typing import Any, Unpack

import flask
from flask.sessions import SessionMixin

from .._core import codec
from .._core.commit import has_changed
from .._core.lifecycle import roll_back
from .._core.lifetimes import REMEMBER, own_idle, set_lifetime
from .._core.login import LoginKeywords
from .._core.session import Session
from .._core.state import OPEN
from ..errors import LembroError
from ..ids import UserID

__all__ = ["FlaskSession"]


class FlaskSession(Session, SessionMixin):
    """:class:`~lembro.Session` with the attributes of Flask's sessions."""

    _permanent = False  # this request has set it
    _stored = False  # a change was stored when the response began
    _dropped: bytes | None = None  # the encoding when ``modified`` was set to False
    _failed = False  # lembro answers an error that the view raised: changes are dropped
    _follower: Any = None  # follows the logins of Flask-Login (``_flask_login.py``)
    _following = False  # the follower is logging the session in or out

    @property
    def new(self) -> bool:  # type: ignore[override]
        """Whether there is no stored session yet; the same as ``is_new``."""
        return self.is_new

    @property
    def accessed(self) -> bool:
        """Whether the session was accessed. If so, the response has ``Vary: Cookie``."""
        return not self._is_unused()

    @accessed.setter
    def accessed(self, accessed: bool) -> None:
        """Do nothing. Flask sets it whenever it returns the session, accessed or not."""

    @property
    def modified(self) -> bool:
        """Whether anything has changed, nested changes included.

        Setting it to True extends the session, unless the request is passive. Setting it to False
        drops the changes so far, unless more changes follow.
        """
        if self._is_unused() or self._is_dropped():
            return False
        if self._stored:
            return True
        if self._destroy or self._regenerate or self._touch or self._login is not None:
            return True
        try:
            return has_changed(self)
        except LembroError:  # the commit reports it
            return True

    @modified.setter
    def modified(self, modified: bool) -> None:
        if modified:
            self._mark_used()
            self._dropped = None
        else:
            self._check_writable()
            self._dropped = self._encoding()

    @property
    def permanent(self) -> bool:
        """Whether the cookie stays after the browser is closed.

        This does not change the timeouts of the session. As in Flask, the idle timeout is
        ``PERMANENT_SESSION_LIFETIME``. After ``login(remember=True)``, it is ``remember_timeout``.
        """
        if not self._ready:
            self._load()
        return self._meta.get(REMEMBER) is True

    @permanent.setter
    def permanent(self, value: bool) -> None:
        self._permanent = bool(value)
        if self.permanent is not self._permanent:
            self._check_writable(cookie=True)
            set_lifetime(self, own_idle(self._meta), remember=self._permanent)

    def login(self, user_id: UserID, **keywords: Unpack[LoginKeywords]) -> None:
        """Log a user in; see :meth:`lembro.Session.login`.

        The session stays ``permanent`` if this request has set it.
        """
        super().login(user_id, **keywords)
        if self._permanent:
            self._meta = {**self._meta, REMEMBER: True}
        if flask.has_app_context():  # not so in Quart, which Flask-WTF does not support
            # Flask-WTF keeps the token of this request outside of the session, too.
            token = flask.current_app.config.get("WTF_CSRF_FIELD_NAME", "csrf_token")
            self.pop(token, None)
            flask.g.pop(token, None)

    def destroy(self) -> None:
        """End this session; see :meth:`lembro.Session.destroy`."""
        super().destroy()
        if self._follower is not None:
            self._follower.forget(self)

    def _current_user(self) -> str | None:
        if self._follower is not None and self._phase is OPEN:
            self._follower.follow(self)
        return super()._current_user()

    def _drop_changes(self) -> None:
        """Drop the changes before ``modified = False``, when the response begins."""
        if not self._is_dropped():
            return
        if self._destroy:  # a logout is kept, and later changes are dropped
            self._data, self._meta = {}, {}
        else:
            roll_back(self)

    def _is_dropped(self) -> bool:
        if self._dropped is None or self._regenerate or self._login is not None:
            return False
        return self._encoding() == self._dropped

    def _encoding(self) -> bytes:
        try:
            return codec.encode(self._meta, self._data)
        except LembroError:  # a value cannot be stored
            return b""
