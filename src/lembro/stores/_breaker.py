"""The breaker: a backend that does not answer must not hold the application up.

After one timeout or refused connection, each verb fails at once. Meanwhile one thread asks the
backend whether it answers, and then lets verbs through again. Without a breaker each request would
wait for a timeout, and a few of them would occupy every worker.
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

PAUSE: Final = 0.5  # seconds between two probes, so that a backend is used within a second again
TRIAL: Final = 1.0  # seconds after which a verb is let through, where no thread can probe


class Breaker:
    """Lets verbs through while the backend answers.

    Args:
        place: The name of the backend, for errors and the log.
        probe: A bound method that asks the backend and raises if it does not answer; it is held
            weakly. None: after a second one verb is let through instead.
    """

    def __init__(self, place: str, probe: Callable[[], object] | None) -> None:
        self._place = place
        self._probe = None if probe is None else WeakMethod(probe)
        self._lock = threading.Lock()
        self._failure: StoreUnavailable | None = None
        self._pid = 0  # of the process that noted the failure, whose thread probes
        self._next_trial = 0.0
        self.last_error: str | None = None

    @property
    def is_open(self) -> bool:
        """Whether verbs fail at once."""
        return self._failure is not None and self._pid == os.getpid()

    def check(self) -> None:
        """Raise StoreUnavailable if the backend did not answer lately."""
        failure = self._failure
        if failure is None or self._pid != os.getpid():  # a forked child tries by itself
            return
        if self._probe is None and (now := time.monotonic()) >= self._next_trial:
            self._next_trial = now + TRIAL
            return
        raise StoreUnavailable(f"{self._place} does not answer ({failure}); not tried again yet")

    def trip(self, failure: StoreUnavailable) -> None:
        """Note that the backend did not answer."""
        self.last_error = str(failure)
        pid = os.getpid()
        with self._lock:
            known = self._failure is not None and self._pid == pid
            # A new error: one that was raised would keep the frames of a request alive.
            self._failure, self._pid = StoreUnavailable(*failure.args), pid
            self._next_trial = time.monotonic() + TRIAL
        if known:
            return
        log.error("lembro: %s does not answer: %s", self._place, failure)
        if self._probe is not None:
            thread = threading.Thread(target=_watch, args=(self, self._probe), daemon=True)
            try:
                thread.start()
            except RuntimeError:  # the process ends, or has too many threads: let one verb try
                self._probe = None

    def close(self) -> None:
        """Note that the backend answered."""
        if self._failure is not None:
            self._failure = None
            log.warning("lembro: %s answers again", self._place)


def _watch(breaker: Breaker, probe: WeakMethod[Callable[[], object]]) -> None:
    """Ask the backend until it answers or the store was collected."""
    while True:
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
            return
        del ask
