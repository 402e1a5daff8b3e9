"""The circuit breaker: a backend that does not answer must not block the application.

After one timeout or refused connection, each verb fails at once. Meanwhile one thread probes the
backend. When it answers, the breaker closes and verbs run again. Without a breaker, each request
would wait for a timeout, and a few requests would occupy every worker.
"""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable
from typing import Final
from weakref import WeakMethod

from .._log import log
from ..errors import StoreUnavailable

PAUSE: Final = 0.5  # seconds between two probes: a backend is used again within a second
NAME: Final = "lembro-breaker"  # of the thread that probes
TRIAL: Final = 1.0  # seconds after which one verb may try the backend, if no thread can probe


class Breaker:
    """Lets verbs through while the backend answers.

    Args:
        place: The name of the backend, for errors and the log.
        probe: A bound method that raises if the backend does not answer. The breaker holds a weak
            reference to it. None: one verb each second may try the backend instead.
    """

    def __init__(self, place: str, probe: Callable[[], object] | None) -> None:
        self._place = place
        self._probe = None if probe is None else WeakMethod(probe)
        self._locks: dict[int, threading.Lock] = {}  # by process: a fork may copy a held lock
        self._failure: StoreUnavailable | None = None
        self._pid = 0  # the process that noted the failure
        self._probing = 0  # the process whose thread probes
        self._next_trial = 0.0
        self.last_error: str | None = None

    @property
    def is_open(self) -> bool:
        """Whether verbs fail at once."""
        return self._failure is not None and self._pid == os.getpid()

    def check(self) -> None:
        """Raise StoreUnavailable while the breaker is open."""
        failure = self._failure
        if failure is None or self._pid != os.getpid():  # a forked child tries the backend itself
            return
        if self._probe is None and (now := time.monotonic()) >= self._next_trial:
            self._next_trial = now + TRIAL
            return
        raise StoreUnavailable(
            f"{self._place} does not answer ({failure}). Until it does, each call fails at once"
        )

    def trip(self, failure: StoreUnavailable) -> None:
        """Note that the backend did not answer."""
        self.last_error = str(failure)
        pid = os.getpid()
        with self._lock():
            known = self.is_open
            # A copy, because the traceback of the raised error keeps the frames of a request alive.
            self._failure, self._pid = StoreUnavailable(*failure.args), pid
            self._next_trial = time.monotonic() + TRIAL
            probe = None if self._probing == pid else self._probe
            if probe is not None:
                self._probing = pid
        if not known:
            log.error("lembro: %s does not answer: %s", self._place, failure)
        if probe is not None:
            thread = threading.Thread(target=_watch, args=(self, probe), name=NAME, daemon=True)
            try:
                thread.start()
            except RuntimeError:  # the process is ending, or has too many threads
                self._probe = None

    def close(self) -> None:
        """Note that the backend answered."""
        if self._failure is not None:
            self._failure = None
            log.warning("lembro: %s answers again", self._place)

    def needs_probing(self) -> bool:
        """Return whether the thread that probes must continue. If not, another one may start."""
        with self._lock():
            if not self.is_open:
                self._probing = 0
            return self._probing != 0

    def _lock(self) -> threading.Lock:
        return self._locks.setdefault(os.getpid(), threading.Lock())


def _watch(breaker: Breaker, probe: WeakMethod[Callable[[], object]]) -> None:
    """Probe the backend until it answers or the store is garbage-collected."""
    while breaker.needs_probing():
        time.sleep(PAUSE)
        ask = probe()
        if ask is None:
            return
        try:
            ask()
        except Exception as error:
            breaker.last_error = str(error)
        else:
            breaker.close()
        del ask
