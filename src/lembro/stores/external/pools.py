"""The connector of each process, opened at its first use."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Iterable
from typing import Any, Final, TypeAlias

from ...errors import StoreUnavailable
from .backend import Connector

PoolUse: TypeAlias = Callable[[], tuple[int | None, int | None]]
"""An optional method of a connector, ``pool_use``: how many connections are in use, and the limit.
Both are None if they are not known."""

inherited: Final[list[object]] = []
"""Connectors of a parent process. A forked child never frees them: a client may send a closing
message when its connection is freed, and the parent still uses that connection."""


class PerProcess:
    """Holds the connector of this process. A forked child gets its own.

    Args:
        make: A function that makes a connector.
        opened: A function that is called each time a connector was opened.
    """

    def __init__(self, make: Callable[[], Connector], opened: Callable[[], None]) -> None:
        self._make = make
        self._opened = opened
        self._locks: dict[int, threading.Lock] = {}  # by process: a fork may copy a held lock
        self._held: tuple[int, Connector] | None = None
        self._failures = 0  # of opening

    def get(self) -> Connector:
        """Return the open connector, and open it first if necessary.

        Raises:
            StoreUnavailable: Another thread failed to open it while this one waited. A second try
                would take twice the timeout.
        """
        pid, held = os.getpid(), self._held
        if held is not None and held[0] == pid:
            return held[1]
        failures = self._failures
        with self._locks.setdefault(pid, threading.Lock()):
            held = self._held
            if held is not None:
                if held[0] == pid:  # another thread was first
                    return held[1]
                inherited.append(held)
                self._held = None
            if self._failures != failures:
                raise StoreUnavailable("another thread could not connect to the backend")
            connector = self._make()
            try:
                connector.open()
            except Exception:
                self._failures += 1
                raise
            self._held = pid, connector
        self._opened()
        return connector

    def pool_use(self) -> Iterable[PoolUse]:
        """Return the method ``pool_use`` of the open connector, if it has one."""
        held = self._held
        return pool_use_of([held[1]] if held is not None and held[0] == os.getpid() else [])

    def take(self) -> Connector | None:
        """Return the connector, which the caller then closes, or None if it is not open."""
        held, self._held = self._held, None
        if held is None:
            return None
        if held[0] != os.getpid():
            inherited.append(held)
            return None
        return held[1]


def pool_use_of(connectors: Iterable[Any]) -> list[PoolUse]:
    """Return the methods ``pool_use`` of those connectors that have one."""
    return [each.pool_use for each in connectors if hasattr(each, "pool_use")]
