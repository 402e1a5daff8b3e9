"""The connector of each process, opened at its first use."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable
from typing import Final

from ...errors import StoreUnavailable
from .backend import Connector

inherited: Final[list[object]] = []
"""Connectors of a parent process. A forked child keeps them: to collect one could send a farewell
over the connection that the parent still uses."""


class PerProcess:
    """The connector of this process. A forked child gets another one.

    Args:
        make: Makes a connector.
        opened: Called when one was opened.
    """

    def __init__(self, make: Callable[[], Connector], opened: Callable[[], None]) -> None:
        self._make = make
        self._opened = opened
        self._locks: dict[int, threading.Lock] = {}  # by process: a fork may copy a held lock
        self._held: tuple[int, Connector] | None = None
        self._failures = 0  # of opening

    def get(self) -> Connector:
        """Return the connector, opened.

        Raises:
            StoreUnavailable: Another thread failed to open it while this one waited. To try again
                would double the deadline.
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
                raise StoreUnavailable(
                    "the backend could not be opened by another thread meanwhile"
                )
            connector = self._make()
            try:
                connector.open()
            except Exception:
                self._failures += 1
                raise
            self._held = pid, connector
        self._opened()
        return connector

    def take(self) -> Connector | None:
        """Return the connector to close it, and forget it; None if none is open."""
        held, self._held = self._held, None
        if held is None or held[0] != os.getpid():
            inherited.append(held)
            return None
        return held[1]
