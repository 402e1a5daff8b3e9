"""Logins: the data that a session keeps at a login, and the age of the login.

Pure, like all of the core.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import timedelta
from math import inf
from typing import Final, NamedTuple, TypedDict

from .._log import log
from ..errors import ConfigError, LoginRequired, SessionTooLarge, printable
from ..events import Event
from ..options import Seconds, seconds
from . import codec
from .lifetimes import REMEMBER, Lifetimes, keep_idle
from .size_check import is_oversized
from .state import SessionState

_ASK: Final = "Ask for the password, then call session.login(user_id)"


class LoginKeywords(TypedDict, total=False):
    """The keywords of ``Session.login``."""

    remember: bool | timedelta
    fresh: bool
    idle_timeout: Seconds | None
    absolute_timeout: Seconds | None


class LoginLifetime(NamedTuple):
    """How long the session of a login lives."""

    remember: bool
    """Whether the cookie stays after the browser is closed."""
    idle: float | None
    """The idle timeout in seconds, if it is not that of the options."""
    life: float | None
    """The absolute timeout in seconds, if it is not that of the options."""


def login_lifetime(
    lifetimes: Lifetimes,
    remember: bool | timedelta,
    idle_timeout: Seconds | None,
    absolute_timeout: Seconds | None,
) -> LoginLifetime:
    """Return the lifetime that the arguments of ``Session.login`` describe.

    Raises:
        ConfigError: one of them cannot work.
    """
    if isinstance(remember, timedelta):
        limit: float | None = seconds("remember", remember)
    elif isinstance(remember, bool):
        limit = lifetimes.remembered if remember else None
    else:
        raise ConfigError(
            f"remember must be True, False or a timedelta, got {remember!r}. "
            f"Example: login(user_id, remember=timedelta(days=7))"
        )
    idle = limit if idle_timeout is None else seconds("idle_timeout", idle_timeout)
    life = limit if absolute_timeout is None else seconds("absolute_timeout", absolute_timeout)
    if idle_timeout is not None and idle is not None and life is not None and life < idle:
        raise ConfigError(
            f"idle_timeout must be at most the absolute timeout ({life:g} s), got "
            f"{idle_timeout!r}. Lower it, or raise absolute_timeout"
        )
    return LoginLifetime(bool(remember), idle, life)


def log_in(session: SessionState, user: str, lifetime: LoginLifetime, *, fresh: bool) -> None:
    """Record that a user logs in; see ``Session.login``."""
    if (session._current_user() or session._lost_user) not in (None, user):
        session._data = {}
        session._views.clear()
    for key in csrf_keys(session._data):
        del session._data[key]
        session._views.pop(key, None)
    session._meta = {REMEMBER: True} if lifetime.remember else {}
    if lifetime.idle is not None:
        keep_idle(session._meta, lifetime.idle)
    session._life = lifetime.life
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


def make_room(session: SessionState, error: SessionTooLarge) -> bool:
    """Drop keys that the visitor had before a login and that do not fit.

    A login must not fail because of what a visitor collected before. The largest keys are dropped
    first, and keys that this request has changed only if no others are left. Keys that this request
    has added stay.

    Returns:
        Whether a key was dropped, so that the login can be tried again.
    """
    had = codec.decode(session._payload)[1] if session._payload else {}
    sizes: dict[str, tuple[bool, int]] = {}
    for key, value in session._data.items():
        if key in had and not is_oversized(value, error.limit):
            encoding = codec.encode_value(value, key)
            size = len(key.encode()) + len(encoding)
            sizes[key] = encoding == codec.encode_value(had[key], key), size
    excess, dropped = error.size - error.limit, list[str]()
    for key in sorted(sizes, key=lambda key: sizes[key], reverse=True):
        unchanged, size = sizes[key]
        if dropped and (excess <= 0 or not unchanged):
            break
        del session._data[key]
        session._views.pop(key, None)
        dropped.append(key)
        excess -= size
    if not dropped:
        return False
    session._assigned = True
    reason = f"a login dropped {printable(', '.join(dropped))} of the visitor's data: {error}"
    handle = session._current_handle()
    session._events.append(Event("dropped", handle, session._login, reason))
    log.warning("lembro: session %s: %s", handle or "-", reason)
    return True
