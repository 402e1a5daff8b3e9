"""The thread that removes expired records. Some backends need it, others remove them themselves."""

from __future__ import annotations

import os
import random
import threading
from collections.abc import Callable
from typing import Final
from weakref import WeakMethod

from ..._log import log
from ...errors import StoreUnavailable

NAME: Final = "lembro-purger"
"""The name of the thread."""


class Purger:
    """Removes expired records at intervals, in a daemon thread that holds only a weak reference.

    Each pause is between half and one and a half of ``interval``, so that the workers of one
    application do not all purge at the same time. Without an interval no thread is started.
    """

    def __init__(self, purge: Callable[[int], int], at_once: int, interval: float | None) -> None:
        """Prepare a thread for a store.

        Args:
            purge: A bound method that takes a limit, removes at most that many expired records,
                and returns how many it removed.
            at_once: The limit for one call.
            interval: The seconds between two rounds, on average. None: no thread is started.
        """
        self._purge = WeakMethod(purge, self._collected)
        self._at_once = at_once
        self._interval = interval
        self._stops: dict[int, threading.Lock] = {}
        """For each process whose thread runs: a lock that is held until the thread must end."""

    def start(self) -> None:
        """Start the thread, unless this process has one."""
        if self._interval is None or os.getpid() in self._stops:
            return
        stop = threading.Lock()
        stop.acquire()
        if self._stops.setdefault(os.getpid(), stop) is not stop:  # another thread was first
            return
        args = (self._purge, self._at_once, stop, self._interval)
        thread = threading.Thread(target=_run, args=args, name=NAME, daemon=True)
        try:
            thread.start()
        except RuntimeError as error:  # the process is ending, or has too many threads
            log.debug("lembro: the purge thread was not started: %s", error)

    def stop(self) -> None:
        """Tell the thread to end. It may finish the current round first."""
        stop = self._stops.pop(os.getpid(), None)
        if stop is not None:
            stop.release()

    def _collected(self, _: object) -> None:
        self.stop()


def _run(
    method: WeakMethod[Callable[[int], int]], at_once: int, stop: threading.Lock, interval: float
) -> None:
    while not stop.acquire(timeout=interval * random.uniform(0.5, 1.5)):  # noqa: S311 - no secret
        purge = method()
        if purge is None:
            return
        try:
            while purge(at_once) == at_once:
                pass
        except StoreUnavailable:
            pass  # the breaker has logged it, or the backend was busy: the next round tries again
        except Exception:
            log.exception("lembro: removing expired sessions failed. The next round tries again.")
        del purge
