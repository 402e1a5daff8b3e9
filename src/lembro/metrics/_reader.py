"""Read the values of the metrics of one manager."""

from __future__ import annotations

import threading
from collections.abc import Mapping
from typing import Any, Final

from .._threads import in_event_loop
from ..errors import ConfigError, LembroError, UsageError
from ..events import Event
from ..manager import SessionManager, runner_of
from ._catalogue import COUNTED_EVENTS, COUNTERS, GAUGES, SESSIONS
from ._fork import new_lock_after_fork

NAME: Final = "lembro-metrics"  # of the thread that reads the statistics
DEFAULT: Final = "default"  # the name of a manager that is measured alone
ALL: Final = "all"  # the tier of the sessions of a store without tiers
_FIELDS: Final = [metric.value for metric in (SESSIONS, *GAUGES, *COUNTERS)]

Managers = SessionManager | Mapping[str, SessionManager]


class Reader:
    """Counts the events of a manager, and reads the statistics of its store."""

    def __init__(self, name: str, manager: SessionManager) -> None:
        self.name: str = name
        self.manager: SessionManager = manager
        self._lock = threading.Lock()
        new_lock_after_fork(self)
        self._counts = dict.fromkeys(COUNTED_EVENTS, 0)
        self._last: dict[str, Any] = {}
        self._thread: threading.Thread | None = None
        for event in COUNTED_EVENTS:
            manager.on(event, self._count)

    def values(self) -> dict[str, float]:
        """Return the values by their keys in the catalogue. Those that are not known are absent."""
        found = self._statistics()
        known = {name: float(found[name]) for name in _FIELDS if found.get(name) is not None}
        return {**known, **self._counts}

    def tiers(self, values: Mapping[str, float]) -> dict[str, float]:
        """Return the sessions of each tier."""
        tiers = self._last.get("tiers")
        if tiers is not None:
            return {str(tier): count for tier, count in enumerate(tiers)}
        return {ALL: values["sessions"]} if "sessions" in values else {}

    def _count(self, event: Event) -> None:
        with self._lock:
            self._counts[event.name] += 1

    def _statistics(self) -> dict[str, Any]:
        """Return the statistics of the store.

        In an event loop, a store that blocks must not be asked. A thread asks it, and this returns
        the result of the thread of the previous collection.
        """
        if runner_of(self.manager).in_process or not in_event_loop():
            self._read()
        elif self._thread is None or not self._thread.is_alive():
            self._thread = threading.Thread(target=self._read, name=NAME, daemon=True)
            self._thread.start()
        return self._last

    def _read(self) -> None:
        if not hasattr(self.manager.store, "stats"):
            return
        try:
            stats: Any = self.manager.stats()
        except UsageError:  # the store is asynchronous, and no event loop runs that could ask it
            self._last = {}
        except LembroError:  # also ConfigError, if the server rejects the password
            self._last = {"available": False}
        else:
            found = {name: getattr(stats, name, None) for name in (*_FIELDS, "tiers")}
            self._last = {**found, "available": found["available"] is not False}


def by_name(managers: Managers) -> dict[str, SessionManager]:
    """Return the managers by their names.

    Raises:
        ConfigError: There is no manager, two share their events, or a name is not valid.
    """
    named = {DEFAULT: managers} if isinstance(managers, SessionManager) else managers
    if not isinstance(named, Mapping) or not named:
        raise ConfigError(
            f"managers must be a SessionManager, or a dict of them by name, got {managers!r}. "
            f"Example: {{'shop': shop, 'admin': admin}}"
        )
    for name, manager in named.items():
        if not isinstance(name, str) or not name:
            raise ConfigError(f"the name of a manager must be a str, got {name!r}. Example: 'shop'")
        if not isinstance(manager, SessionManager):
            raise ConfigError(
                f"{name!r} must name a SessionManager, got {manager!r}. Example: SessionManager()"
            )
    by_events: dict[int, str] = {}
    for name, manager in named.items():
        other = by_events.setdefault(id(manager.events), name)
        if other != name:
            raise ConfigError(
                f"{other!r} and {name!r} must not share their sessions, which would be counted "
                f"twice. Leave one of them out: their store reports the events of both"
            )
    return dict(named)
