"""The lifetime of a session after ``request.session.set_expiry(...)``."""

from __future__ import annotations

from datetime import datetime
from functools import lru_cache
from typing import Any, Final

from django.conf import settings

from ..._core.lifetimes import own_idle, set_lifetime
from ..._core.session import Session
from ..._log import log
from ...errors import ConfigError
from ...options import DAY

EXPIRY: Final = "_session_expiry"
"""Django's key of the expiry in the data."""

LONGEST: Final = 100 * 365 * DAY


def apply_expiry(session: Session, expiry: Any, age: float, *, browser: bool, new: bool) -> None:
    """Give a session the lifetime that Django's methods describe.

    Args:
        session: The session.
        expiry: The value that ``set_expiry`` has stored.
        age: The idle timeout, in seconds.
        browser: Whether the cookie lasts until the browser is closed.
        new: Whether this request has set the expiry.
    """
    if isinstance(expiry, str) and not new and own_idle(session._meta) is not None:
        session._passive, session._touch = True, False  # it ends at a fixed time
        return
    life = session._transport.runner.lifecycle.lifetimes.life
    if age > life:
        _warn_of_limit(age, life)
    set_lifetime(session, age, remember=not browser)


@lru_cache(maxsize=100)
def _warn_of_limit(age: float, life: float) -> None:
    """Warn once of each lifetime that is too long."""
    log.warning(
        "lembro: set_expiry() asks for %s seconds, but the session ends after the "
        'absolute timeout of %s seconds. Raise LEMBRO["ABSOLUTE_TIMEOUT"], or set it to None',
        age,
        life,
    )


def is_expiry(value: Any) -> bool:
    """Return whether ``set_expiry`` may have stored this value. Its key may hold anything."""
    if type(value) is str:
        try:
            moment = datetime.fromisoformat(value)
        except ValueError:
            return False
        return (moment.tzinfo is not None) is bool(settings.USE_TZ)
    return type(value) in (int, float) and -LONGEST <= value <= LONGEST


def check_expiry(value: Any) -> None:
    """Raise ConfigError for a value that is not an expiry, and would therefore be ignored.

    The value is the one that Django stores: a datetime is text.
    """
    if not is_expiry(value):
        kind = "with" if settings.USE_TZ else "without"
        raise ConfigError(
            f"set_expiry() takes at most 100 years in seconds, a datetime {kind} a time zone "
            f"(USE_TZ={settings.USE_TZ}), a timedelta or None, got {value!r}. Example: "
            f"set_expiry(8 * 3600)"
        )
