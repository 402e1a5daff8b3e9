"""Flask-Login: log lembro's session in and out together with Flask-Login.

Flask-Login reports logins and logouts by signals. It drops some logins without a signal: if the
``user_loader`` returns None, or if the session protection finds another browser. So the session
also compares itself with Flask-Login whenever its user is read, and before the response begins.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Final, cast

import flask

from .._core import codec
from .._core.login import distrust_login
from ._flask_config import FOLLOW
from ._flask_session import FlaskSession
from ._flask_shared import typed_session

if TYPE_CHECKING:
    from werkzeug.local import LocalProxy

__all__ = ["Follower", "follow_flask_login", "follower_of"]

_KEY: Final = "lembro.flask_login"  # of the follower, in app.extensions
_USER: Final = "_user_id"  # Flask-Login's key of the user
_LOADED: Final = "_login_user"  # Flask-Login's name in g of the user, once it is loaded


def follow_flask_login(app: flask.Flask) -> None:
    """Log lembro's session in and out together with Flask-Login.

    An application that has a ``LoginManager`` at its first request does not need this call.
    ``app.config["LEMBRO_FOLLOW_FLASK_LOGIN"] = False`` turns it off.

    ``login_user`` gives the session a new ID and a ``user_id``, and ``logout_user`` ends it. So
    ``logout_everywhere()``, the limit of sessions per user, and the tier of logged-in users apply.
    The session also ends when Flask-Login drops the login: the ``user_loader`` returns None, the
    session protection is strong and finds another browser, or the application removes the key
    ``_user_id``. While Flask-Login's login is not fresh, ``require_recent()`` raises LoginRequired.
    """
    if _KEY not in app.extensions:
        app.extensions[_KEY] = Follower(app)


def follower_of(app: flask.Flask) -> Follower | None:
    """Follow the logins of an application that has a LoginManager, unless it opts out."""
    if hasattr(app, "login_manager") and app.config.get(FOLLOW, True):
        follow_flask_login(app)
    follower: Follower | None = app.extensions.get(_KEY)
    return follower


class Follower:
    """Follows the logins of Flask-Login in one application."""

    def __init__(self, app: flask.Flask) -> None:
        from flask_login import (  # noqa: PLC0415
            session_protected,
            user_loaded_from_cookie,
            user_logged_in,
            user_logged_out,
            user_login_confirmed,
        )
        from flask_login.config import COOKIE_NAME, SESSION_KEYS  # noqa: PLC0415

        # A message for the next page survives a logout, as with Flask-Login alone.
        self._keys: tuple[str, ...] = (*SESSION_KEYS, "_flashes")
        self._remember: str = app.config.get("REMEMBER_COOKIE_NAME", COOKIE_NAME)
        for signal in (user_logged_in, user_loaded_from_cookie, user_login_confirmed):
            signal.connect(self._logged_in, app, weak=False)
        user_logged_out.connect(self._logged_out, app, weak=False)
        session_protected.connect(self._protected, app, weak=False)

    # -- the signals of Flask-Login ----------------------------------------------------------------

    def _logged_in(self, sender: Any, **_: Any) -> None:
        session = _current()
        with _acting(session):
            if _USER in session:
                self._log_in(session, fresh=session.get("_fresh") is True)

    def _logged_out(self, sender: Any, **_: Any) -> None:
        session = _current()
        with _acting(session):
            self._end(session)

    def _protected(self, sender: Any, **_: Any) -> None:
        self.follow(_current(), load=False)

    # -- called by the session ---------------------------------------------------------------------

    def follow(self, session: FlaskSession, *, load: bool = True) -> None:
        """Log the session in or out, if Flask-Login has done so without a signal.

        Args:
            session: The session.
            load: Whether Flask-Login loads the user, if it has not done so in this request.
        """
        if session._is_unused() or session._following:
            return
        if session._destroy or session._login is not None:  # this request has logged out, or in
            return
        if flask.has_request_context() and _session_of_request() is session:
            with _acting(session):
                self._agree(session, load=load)

    def forget(self, session: FlaskSession) -> None:
        """Let Flask-Login forget the user of a session that has ended."""
        if not flask.has_request_context():
            return
        if not session._following:
            _forget_user()
        if self._remember in flask.request.cookies:
            session["_remember"] = "clear"  # else this cookie would log the user in again

    # -- internal ----------------------------------------------------------------------------------

    def _agree(self, session: FlaskSession, *, load: bool) -> None:
        manager: Any = flask.current_app.login_manager  # type: ignore[attr-defined]
        if load and _LOADED not in flask.g and _USER in session._data and manager.user_callback:
            manager._load_user()  # the session protection may remove the key
        user, key = session._current_user(), session._data.get(_USER)
        if key is None:
            if user is not None and _USER in codec.decode(session._payload)[1]:
                # The other keys stay, as with Flask-Login alone, unless Flask-Login itself has
                # removed the key: then the browser may be a thief's.
                protected = session._data.get("_remember") == "clear"
                self._end(session, None if protected else tuple(session._data))
                _forget_user()
        elif _is_dropped(manager, key):
            for name in (_USER, "_fresh", "_id"):  # as logout_user does
                session.pop(name, None)
            if user is not None:
                self._end(session)
        elif user != str(key):  # the application has written the key, at an unknown time
            self._log_in(session, fresh=False)
        elif session._data.get("_fresh") is not True:
            distrust_login(session)

    def _log_in(self, session: FlaskSession, *, fresh: bool) -> None:
        kept = self._kept(session, self._keys)  # the login of another user drops all keys
        session.login(str(session[_USER]), fresh=fresh)
        session.update(kept)

    def _end(self, session: FlaskSession, keys: tuple[str, ...] | None = None) -> None:
        """Log the user out, and begin an anonymous session with these keys."""
        kept = self._kept(session, keys or self._keys)
        session.logout()
        session.update(kept)

    @staticmethod
    def _kept(session: FlaskSession, keys: tuple[str, ...]) -> dict[str, Any]:
        return {key: session._data[key] for key in keys if key in session._data}


@contextmanager
def _acting(session: FlaskSession) -> Iterator[None]:
    """Keep the session from calling the follower while the follower changes it."""
    before, session._following = session._following, True
    try:
        yield
    finally:
        session._following = before


def _is_dropped(manager: Any, key: Any) -> bool:
    """Return whether Flask-Login has loaded nobody for the session, or only the user of a token."""
    user, loader = flask.g.get(_LOADED), manager.user_callback
    if user is None or loader is None:  # Flask-Login has loaded no user yet, or cannot
        return False
    get_id = getattr(user, manager.id_attribute, None)
    if get_id is not None and str(get_id()) == str(key):
        return False
    return not user.is_authenticated or loader(key) is None


def _forget_user() -> None:
    """Make Flask-Login's current user an anonymous one, as ``logout_user`` does."""
    manager: Any = flask.current_app.login_manager  # type: ignore[attr-defined]
    setattr(flask.g, _LOADED, manager.anonymous_user())


def _session_of_request() -> Any:
    return cast("LocalProxy[Any]", flask.session)._get_current_object()


def _current() -> FlaskSession:
    return typed_session(_session_of_request())
