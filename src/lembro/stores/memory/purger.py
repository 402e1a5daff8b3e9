"""The thread that removes expired sessions without traffic.

It keeps neither the store nor the process alive, and it continues after an error.
"""

from __future__ import annotations

import threading
from contextlib import suppress
from typing import Any, Protocol
from weakref import ref

from ..._log import log


class Purgeable(Protocol):
    """The part of a store that the thread uses."""

    def _purge_round(self) -> None: ...
    def _purge_failed(self, error: Exception) -> None: ...


class Purger:
    """The thread. It ends when ``stop`` is called or the store is collected."""

    def __init__(self, store: Purgeable, interval: float) -> None:
        """Start a thread that purges ``store`` every ``interval`` seconds.

        Raises:
            RuntimeError: The process cannot start threads any more.
        """
        # The signal to stop is the release of a bare lock, because a weakref's callback may do
        # that. A threading.Event has an inner lock, which the interrupted thread may hold.
        self._stop = threading.Lock()
        self._stop.acquire()
        stop = self._stop

        def collected(_: object) -> None:
            try:  # noqa: SIM105 - suppress may be None already when the process ends
                stop.release()
            except RuntimeError:  # stopped already
                pass

        self._thread = threading.Thread(
            target=_run, args=(ref(store, collected), stop, interval), name="lembro-purger"
        )
        self._thread.daemon = True
        self._thread.start()

    def stop(self) -> None:
        """Tell the thread to end. It may still finish a slice."""
        _release(self._stop)

    @property
    def thread(self) -> threading.Thread:
        """The thread."""
        return self._thread


def start(store: Purgeable, interval: float) -> Purger | None:
    """Return a purger, or None if the process cannot start threads any more."""
    try:
        return Purger(store, interval)
    except RuntimeError as error:
        log.debug("lembro: the purge thread was not started: %s", error)
        return None


def _release(stop: threading.Lock) -> None:
    with suppress(RuntimeError):  # stopped already
        stop.release()


def _run(store_ref: ref[Any], stop: threading.Lock, interval: float) -> None:
    while not stop.acquire(timeout=interval):
        store: Purgeable | None = store_ref()
        if store is None:
            return
        try:
            store._purge_round()
        except Exception as error:
            store._purge_failed(error)
        del store
