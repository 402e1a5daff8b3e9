"""The lifetime of a session after ``request.session.set_expiry(...)``."""

from __future__ import annotations

from datetime import datetime
from typing import Any, Final
from weakref import WeakKeyDictionary

from django.conf import settings

from ..._log import log
from ...errors import ConfigError
from ...options import DAY
from .._adapter import Runner

EXPIRY: Final = "_session_expiry"
"""Django's key of the expiry in the data."""

LONGEST: Final = 100 * 365 * DAY

MOST: Final = 100
"""The most runners that are cached for each manager: one for each lifetime."""

_others: Final[WeakKeyDictionary[Runner, dict[Any, Runner]]] = WeakKeyDictionary()


def runner_lasting(runner: Runner, age: float, *, browser: bool) -> Runner:
    """Return a runner for sessions with this lifetime.

    Runners are cached, because checking their options takes longer than the rest of a request.

    Args:
        runner: The runner of the manager.
        age: The idle timeout, in seconds.
        browser: Whether the cookie lasts until the browser is closed.
    """
    others = _others.setdefault(runner, {})
    other = others.get((age, browser))
    if other is None:
        writer = runner.lifecycle.writer
        if age > writer.life:
            log.warning(
                "lembro: set_expiry() asks for %s seconds, but the session ends after the "
                'absolute timeout of %s. Raise LEMBRO["ABSOLUTE_TIMEOUT"], or set it to None',
                age,
                runner.options.absolute_timeout,
            )
        if len(others) >= MOST:
            others.clear()
        other = others[age, browser] = runner.with_lifetime(age, None if browser else age)
        other.lifecycle.writer.idle_of_data = writer.idle_of_data
        other.lifecycle.writer.id_of = writer.id_of
    return other


def is_expiry(value: Any) -> bool:
    """Return whether ``set_expiry`` may have stored this value. Its key may hold anything."""
    if type(value) is str:
        try:
            moment = datetime.fromisoformat(value)
        except ValueError:
            return False
        return (moment.tzinfo is not None) is bool(settings.USE_TZ)
    return type(value) in (int, float) and -LONGEST <= value <= LONGEST


def idle_of(usual: float, data: dict[str, Any]) -> float | None:
    """Return the idle timeout of a session with these data, in seconds.

    None: the session ends at a fixed time, and nothing extends it.
    """
    expiry = data.get(EXPIRY)
    if not expiry or not is_expiry(expiry):
        return usual
    return None if isinstance(expiry, str) else float(expiry)


def check_expiry(value: Any) -> None:
    """Raise ConfigError for a number of seconds that no session can last."""
    if isinstance(value, int | float) and not is_expiry(value):
        raise ConfigError(
            f"set_expiry() takes at most 100 years in seconds, a datetime, a timedelta or None, "
            f"got {value!r}. Example: set_expiry(8 * 3600)"
        )
