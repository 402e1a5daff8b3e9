"""How long a session lasts that has an expiry of its own: ``request.session.set_expiry(...)``."""

from __future__ import annotations

from datetime import datetime
from typing import Any, Final
from weakref import WeakKeyDictionary

from django.conf import settings

from ..._log import log
from ...errors import ConfigError
from ...manager import SessionManager
from ...options import DAY

EXPIRY: Final = "_session_expiry"
"""The key under which Django keeps it, among the data."""

LONGEST: Final = 100 * 365 * DAY

MOST: Final = 100
"""Managers that are kept, as many as there are different ages."""

_others: Final[WeakKeyDictionary[SessionManager, dict[Any, SessionManager]]] = WeakKeyDictionary()


def lasting(manager: SessionManager, age: float, *, browser: bool) -> SessionManager:
    """``manager``, for sessions of another age. What most sessions of an application have is kept,
    since to check the options takes longer than the rest of a request."""
    others = _others.setdefault(manager, {})
    other = others.get((age, browser))
    if other is None:
        if age > manager.core.writer.life:
            log.warning(
                "set_expiry() asks for %s seconds, and LEMBRO's absolute_timeout is %s: such a "
                "session ends then; raise absolute_timeout, or set it to None",
                age,
                manager.options.absolute_timeout,
            )
        if len(others) >= MOST:
            others.clear()
        other = others[age, browser] = manager.lasting(age, None if browser else age)
    return other


def is_expiry(value: Any) -> bool:
    """Whether ``set_expiry`` may have made it; under its key may be anything."""
    if type(value) is str:
        try:
            moment = datetime.fromisoformat(value)
        except ValueError:
            return False
        return (moment.tzinfo is not None) is bool(settings.USE_TZ)
    return type(value) in (int, float) and -LONGEST <= value <= LONGEST


def idle_of(usual: float, data: dict[str, Any]) -> float | None:
    """What a session with these data may idle; None: it ends at a moment, and nothing extends
    it."""
    expiry = data.get(EXPIRY)
    if not expiry or not is_expiry(expiry):
        return usual
    return None if isinstance(expiry, str) else float(expiry)


def check_expiry(value: Any) -> None:
    """Raise ConfigError for a number of seconds that no session can last."""
    if isinstance(value, int | float) and not is_expiry(value):
        raise ConfigError(
            f"set_expiry({value!r}): give seconds, at most 100 years, for example "
            f"set_expiry(8 * 3600), or a datetime, a timedelta or None"
        )
