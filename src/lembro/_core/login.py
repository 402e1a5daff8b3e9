"""Logins: the data that a session keeps at a login, and the age of the login.

Pure, like all of the core.
"""

from __future__ import annotations

from collections.abc import Iterable
from math import inf
from typing import Final

from ..errors import LoginRequired
from ..options import Seconds, seconds
from .state import SessionState

_ASK: Final = "Ask for the password, then call session.login(user_id)"


def log_in(session: SessionState, user: str, *, remember: bool, fresh: bool) -> None:
    """Record that a user logs in; see ``Session.login``."""
    if (session._current_user() or session._lost_user) not in (None, user):
        session._data = {}
        session._views.clear()
    for key in csrf_keys(session._data):
        del session._data[key]
        session._views.pop(key, None)
    session._meta = {"remember": True} if remember else {}
    if not fresh:
        session._meta["fresh"] = False
    session._login = user


def csrf_keys(data: Iterable[str]) -> list[str]:
    """Return the keys that hold a token against cross-site request forgery.

    An attacker who planted the session in the browser knows its token, so a login drops it.
    Frameworks and applications name it in many ways: ``_csrft_``, ``csrf_token``, ``_csrftoken``.
    """
    return [key for key in data if "csrf" in key.lower() or "xsrf" in key.lower()]


def login_age(session: SessionState, user: str | None) -> float | None:
    """Return the seconds since the login: None without a login, infinite if that is unknown."""
    if user is None:
        return None
    if "adopted" in session._meta or "fresh" in session._meta:  # without credentials
        return inf
    # A login makes a new record, and a rotation keeps its age.
    return 0.0 if session._login is not None or session._found is None else session._found.age


def check_recent(session: SessionState, user: str | None, within: Seconds) -> None:
    """Raise LoginRequired unless the login is recent; see ``Session.require_recent``."""
    limit = seconds("within", within, "require_recent(timedelta(minutes=5))")
    age = login_age(session, user)
    if age is None:
        problem = "nobody is logged in"
    elif age == inf:
        problem = "its age is unknown: it came from a legacy session or a remember-me cookie"
    elif age > limit:
        problem = f"it is {age:.0f} s old"
    else:
        return
    raise LoginRequired(f"a login within the last {limit:.0f} s is required, but {problem}. {_ASK}")


def distrust_login(session: SessionState) -> None:
    """Record that the age of the login is unknown, because the user gave no credentials."""
    if "fresh" not in session._meta:
        session._meta = {**session._meta, "fresh": False}
        session._assigned = True
