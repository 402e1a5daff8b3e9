"""The thread that purges when there is no traffic. It keeps neither the store nor the process
alive, and goes on after an error."""

from __future__ import annotations

import threading
from contextlib import suppress
from typing import Any, Protocol
from weakref import ref

from ..._log import log


class Purgeable(Protocol):
    def _purge_round(self) -> None: ...
    def _purge_failed(self, error: Exception) -> None: ...


class Purger:
    def __init__(self, store: Purgeable, interval: float) -> None:
        """``interval`` in seconds. The thread starts at once."""
        # A bare lock is the signal to stop, as one may be released in a weakref's callback:
        # an Event takes a lock of its own, which the interrupted thread may hold.
        self._stop = threading.Lock()
        self._stop.acquire()
        stop = self._stop

        def collected(_: object) -> None:
            try:  # noqa: SIM105 - at the end of the process this module's names are None already
                stop.release()
            except RuntimeError:  # stopped already
                pass

        self._thread = threading.Thread(
            target=_run, args=(ref(store, collected), stop, interval), name="lembro-purger"
        )
        self._thread.daemon = True
        self._thread.start()

    def stop(self) -> None:
        """Let the thread end; it may be in the midst of its last slice."""
        _release(self._stop)

    @property
    def thread(self) -> threading.Thread:
        return self._thread


def start(store: Purgeable, interval: float) -> Purger | None:
    """A purger, or None if the process is past starting threads."""
    try:
        return Purger(store, interval)
    except RuntimeError as error:
        log.debug("the purger was not started: %s", error)
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
