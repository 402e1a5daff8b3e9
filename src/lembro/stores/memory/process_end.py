"""Saves the snapshots of this process when it ends.

Servers that stop cleanly either close the store or end the interpreter normally, which runs the
exit handlers. Some leave SIGTERM to the system, which ends the process at once: waitress, and the
development servers of Flask and Django without their reloaders. If nothing handles the signal when
the store is made, it ends the interpreter normally, as Ctrl-C does. A forked child leaves the
signal to the system again, unless it will be the first process that uses a store.
"""

from __future__ import annotations

import atexit
import os
import signal
import sys
import threading
from types import FrameType
from typing import Any, Final, Protocol
from weakref import WeakSet

from .restart import Restart

BUSY: Final = 0.001  # seconds until a signal that arrived during a verb is sent again


class Restartable(Protocol):
    """The part of a store that this module uses."""

    _lock: Any
    _restart: Restart | None

    def _save(self, *, end: bool) -> None: ...


_stores: WeakSet[Any] = WeakSet()


def watch(store: Restartable) -> None:
    """Save the sessions of a store when the process ends."""
    _stores.add(store)
    if threading.current_thread() is not threading.main_thread():
        return  # only the main thread can handle signals
    if signal.getsignal(signal.SIGTERM) is signal.SIG_DFL:
        signal.signal(signal.SIGTERM, _terminate)


def _terminate(number: int, frame: FrameType | None) -> None:
    """End the interpreter. The exit status is 0, as that of other servers after SIGTERM."""
    if any(store._lock.locked() for store in list(_stores)):
        # Perhaps this thread is in the middle of a verb, which must not be interrupted.
        again = threading.Timer(BUSY, os.kill, (os.getpid(), number))
        again.daemon = True
        again.start()
        return
    sys.exit(0)


def _in_child() -> None:
    may_write = any(not store._restart.loaded for store in list(_stores))
    if not may_write and signal.getsignal(signal.SIGTERM) is _terminate:
        signal.signal(signal.SIGTERM, signal.SIG_DFL)


os.register_at_fork(after_in_child=_in_child)


@atexit.register
def _save_all() -> None:
    if signal.getsignal(signal.SIGTERM) is _terminate:
        signal.signal(signal.SIGTERM, signal.SIG_IGN)  # a second one would interrupt the writing
    for store in list(_stores):
        store._save(end=True)
