"""Flask-Login: log lembro's session in and out together with Flask-Login."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, cast

import flask

from .._core.login import distrust_login
from ._flask_session import FlaskSession
from ._flask_shared import typed_session

if TYPE_CHECKING:
    from werkzeug.local import LocalProxy

__all__ = ["follow_flask_login"]

_USER: Final = "_user_id"  # Flask-Login's key of the user


def follow_flask_login(app: flask.Flask) -> None:
    """Log lembro's session in and out together with Flask-Login.

    ``login_user`` then gives the session a new ID and a ``user_id``, and ``logout_user`` ends it.
    So ``logout_everywhere()``, the limit of sessions per user, and the tier of logged-in users
    apply. If the application removes Flask-Login's key ``_user_id``, the session ends too, and a
    new anonymous session gets the other keys. While Flask-Login's login is not fresh,
    ``require_recent()`` raises LoginRequired.
    """
    from flask_login import (  # noqa: PLC0415
        current_user,
        session_protected,
        user_loaded_from_cookie,
        user_logged_in,
        user_logged_out,
        user_login_confirmed,
    )
    from flask_login.config import SESSION_KEYS  # noqa: PLC0415

    def kept(session: FlaskSession) -> dict[str, Any]:
        return {key: session[key] for key in SESSION_KEYS if key in session}

    def log_in(sender: Any, user: Any, **_: Any) -> None:
        session = _current()
        keys = kept(session)  # the login of another user drops all keys
        session.login(str(user.get_id()), fresh=keys.get("_fresh") is True)
        session.update(keys)

    def confirm(sender: Any, **_: Any) -> None:
        log_in(sender, current_user)

    def log_out(sender: Any, **_: Any) -> None:
        session = _current()
        _end(session, kept(session))  # one of them tells Flask-Login to clear its own cookie

    def protect(sender: Any, **_: Any) -> None:
        session = _current()
        if session.user_id is None:
            return
        if _USER in session:  # SESSION_PROTECTION is "basic": the login is not fresh any more
            distrust_login(session)
        elif _USER.encode() in session._payload:  # it is "strong": Flask-Login has logged out
            log_out(sender)

    def follow_key(response: flask.Response) -> flask.Response:
        session: object = cast("LocalProxy[Any]", flask.session)._get_current_object()
        if isinstance(session, FlaskSession) and _lost_key(session):
            _end(session, dict(session))
        return response

    app.after_request(follow_key)
    user_logged_in.connect(log_in, app, weak=False)
    user_loaded_from_cookie.connect(log_in, app, weak=False)
    user_login_confirmed.connect(confirm, app, weak=False)
    user_logged_out.connect(log_out, app, weak=False)
    session_protected.connect(protect, app, weak=False)


def _end(session: FlaskSession, keys: dict[str, Any]) -> None:
    """Log the user out, and begin an anonymous session with these keys."""
    session.logout()
    session.update(keys)


def _lost_key(session: FlaskSession) -> bool:
    """Return whether the session was loaded with a login of Flask-Login, whose key is removed."""
    if session._is_unused() or session._login is not None or session.user_id is None:
        return False
    return _USER not in session and _USER.encode() in session._payload


def _current() -> FlaskSession:
    return typed_session(cast("LocalProxy[Any]", flask.session)._get_current_object())
