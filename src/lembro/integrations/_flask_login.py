"""Flask-Login: log lembro's session in and out together with Flask-Login."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, cast

import flask

from ._flask_shared import typed_session

if TYPE_CHECKING:
    from werkzeug.local import LocalProxy

    from ._flask_session import FlaskSession

__all__ = ["follow_flask_login"]


def follow_flask_login(app: flask.Flask) -> None:
    """Log lembro's session in and out together with Flask-Login.

    ``login_user`` then gives the session a new ID and a ``user_id``, and ``logout_user`` ends it.
    So ``logout_everywhere()``, the limit of sessions per user, and the tier of logged-in users
    apply.
    """
    from flask_login import (  # noqa: PLC0415
        user_loaded_from_cookie,
        user_logged_in,
        user_logged_out,
    )
    from flask_login.config import SESSION_KEYS  # noqa: PLC0415

    def kept(session: FlaskSession) -> dict[str, Any]:
        return {key: session[key] for key in SESSION_KEYS if key in session}

    def log_in(sender: Any, user: Any, **_: Any) -> None:
        session = _current()
        keys = kept(session)  # the login of another user drops all keys
        session.login(str(user.get_id()))
        session.update(keys)

    def log_out(sender: Any, **_: Any) -> None:
        session = _current()
        keys = kept(session)  # one of them tells Flask-Login to clear its own cookie
        session.logout()
        session.update(keys)

    user_logged_in.connect(log_in, app, weak=False)
    user_loaded_from_cookie.connect(log_in, app, weak=False)
    user_logged_out.connect(log_out, app, weak=False)


def _current() -> FlaskSession:
    return typed_session(cast("LocalProxy[Any]", flask.session)._get_current_object())
