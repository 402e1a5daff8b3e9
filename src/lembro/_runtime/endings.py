"""Tell waiters that their session has ended.

Events of the manager and of its store report at once that a session has ended in this process. A
thread finds all other ends: it asks the store at each waiter's interval, and when a session is due
to expire. The thread runs only while somebody waits.
"""

from __future__ import annotations

import heapq
import itertools
import os
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from math import inf
from typing import Any, Final
from weakref import WeakSet

from .._core.load import Lost, find_current
from .._core.turns import loop_event
from .._log import log
from ..events import Event
from ..ids import handle_for
from ..stores.base import Found

_ENDS: Final = ("destroyed", "expired", "evicted")
_SOONEST: Final = 0.01  # seconds between two checks of one session

Reason = Any  # one of the values of Ended in _core/timed.py


def _no_callback(reason: Reason) -> None: ...


class _Watch:
    """A callback that waits for the end of one session."""

    __slots__ = ("callback", "due", "expires", "handle", "is_gone", "key", "poll", "user")

    def __init__(
        self,
        key: bytes,
        user: str | None,
        poll: float,
        expires: float,
        callback: Callable[[Reason], object],
    ) -> None:
        self.key = key
        self.handle = handle_for(key)
        self.user = user
        self.poll = poll
        self.callback = callback
        self.due: float
        """When the store is asked next, by the monotonic clock."""
        self.expires = expires
        """When the session expires, as far as is known."""
        self.is_gone: bool = False
        """Whether the store did not have the session when it was asked last."""


class Endings:
    """The watches of one runner.

    Args:
        runner: The runner, whose store and events are watched.
    """

    def __init__(self, runner: Any) -> None:
        self._runner = runner
        self._changed = threading.Condition()
        self._watches: dict[str, dict[_Watch, None]] = {}  # by handle, in order
        self._due: list[tuple[float, int, _Watch]] = []
        self._numbers = itertools.count()
        self._thread: threading.Thread | None = None
        _all.add(self)

    def watch(
        self,
        session: tuple[bytes, str | None, float],
        poll: float,
        callback: Callable[[Reason], object],
    ) -> Callable[[], None]:
        """Call ``callback(reason)`` once, when a session has ended.

        Args:
            session: Its key, its user, and the seconds until it expires.
            poll: Seconds between two checks of the store.
            callback: The function to call.

        Returns:
            A function that stops the watch.
        """
        key, user, left = session
        grace = self._runner.lifecycle.writer.grace
        # A rotated key can be followed for its grace only.
        poll = min(poll, grace / 2) if grace else poll
        watch = _Watch(key, user, poll, time.monotonic() + left, callback)
        with self._changed:
            if not self._watches:
                self._listen()
            self._watches.setdefault(watch.handle, {})[watch] = None
            self._schedule(watch, -inf)
            if self._thread is None or not self._thread.is_alive():
                self._thread = threading.Thread(
                    target=self._run, name="lembro-endings", daemon=True
                )
                self._thread.start()
        return partial(self._stop, watch)

    async def wait(self, session: tuple[bytes, str | None, float], poll: float) -> Reason:
        """Wait until a session has ended, in an event loop; see :meth:`watch`."""
        wait, wake = loop_event()
        reasons: list[Reason] = []

        def ended(reason: Reason) -> None:
            reasons.append(reason)
            with suppress(RuntimeError):  # the event loop is closed, so nobody waits
                wake()

        stop = self.watch(session, poll, ended)
        try:
            await wait()  # no limit: the application waits for as long as the session lives
        finally:
            stop()
        return reasons[0]

    def stop(self) -> None:
        """Stop all watches, because the store is closed."""
        for watches in tuple(self._watches.values()):
            for watch in tuple(watches):
                self._remove(watch)

    # -- events of this process --------------------------------------------------------------------

    def _listen(self) -> None:
        for name in _ENDS:
            self._runner.events.on(name, self._hear_end)
        self._runner.events.on("regenerated", self._hear_rotation)

    def _ignore(self) -> None:
        for name in _ENDS:
            self._runner.events.off(name, self._hear_end)
        self._runner.events.off("regenerated", self._hear_rotation)

    def _hear_end(self, event: Event) -> None:
        for watch in tuple(self._watches.get(event.handle or "", ())):
            self._end(watch, event.name)

    def _hear_rotation(self, event: Event) -> None:
        grace = self._runner.lifecycle.writer.grace
        for watch in tuple(self._watches.get(event.previous or "", ())):
            if not grace or watch.user is None or watch.user != event.user_id:
                self._end(watch, "replaced")
            else:
                with self._changed:
                    self._move(watch, event.handle or "")
                    self._schedule(watch, -inf)  # find the new key while the old one still works

    # -- the thread --------------------------------------------------------------------------------

    def _run(self) -> None:
        """Ask the store about each session when that is due. End when nobody waits any more."""
        while True:
            with self._changed:
                watch = self._next()
                if watch is None:
                    self._thread = None
                    return
                wait = watch.due - time.monotonic()
                if wait > 0:
                    self._changed.wait(wait)
                    continue
                watch.due = inf  # so the queue drops it
            self._check(watch)

    def _next(self) -> _Watch | None:
        """Return the watch that is due next."""
        while self._due:
            due, _, watch = self._due[0]
            if due == watch.due and watch in self._watches.get(watch.handle, ()):
                return watch
            heapq.heappop(self._due)  # it has ended, or has another time now
        return None

    def _check(self, watch: _Watch) -> None:
        """Ask the store about a session."""
        current: tuple[bytes, Found] | Lost | None = None
        try:
            current = self._runner.run(find_current(watch.key), "wait_ended")
        except Exception:  # the store is down, or the event loop that could await it has ended
            log.debug("lembro: cannot ask the store whether a session has ended", exc_info=True)
        with self._changed:
            if watch.due < inf:  # its ID was rotated meanwhile, so the answer may be old
                return
            wait, now = watch.poll, time.monotonic()
            if isinstance(current, tuple):
                watch.key, found = current
                watch.expires = now + found.idle_left
                self._move(watch, handle_for(watch.key))
                wait = min(wait, found.idle_left)
            elif current is Lost.GONE and not watch.is_gone:
                watch.is_gone, wait = True, 0.0  # first, an event may tell why
            if not isinstance(current, Lost) or wait == 0.0:
                self._schedule(watch, now + max(_SOONEST, wait))
                return
        gone = "expired" if now >= watch.expires else "destroyed"
        self._end(watch, gone if current is Lost.GONE else "replaced")

    # -- with the lock -----------------------------------------------------------------------------

    def _schedule(self, watch: _Watch, due: float) -> None:
        watch.due = due
        heapq.heappush(self._due, (due, next(self._numbers), watch))
        self._changed.notify()

    def _move(self, watch: _Watch, handle: str) -> None:
        """Watch the session under another handle."""
        if watch.handle != handle and self._discard(watch):
            watch.handle = handle
            self._watches.setdefault(handle, {})[watch] = None

    def _discard(self, watch: _Watch) -> bool:
        """Remove a watch. Return whether it was there."""
        watches = self._watches.get(watch.handle, {})
        if watch not in watches:
            return False
        del watches[watch]
        if not watches:
            del self._watches[watch.handle]
        return True

    def _remove(self, watch: _Watch) -> bool:
        """Stop a watch. Return whether it was there."""
        with self._changed:
            removed = self._discard(watch)
            watch.callback = _no_callback  # the watch stays in the queue until it would be due
            if removed and not self._watches:
                self._ignore()
                self._changed.notify()  # the thread ends
            return removed

    def _stop(self, watch: _Watch) -> None:
        self._remove(watch)

    def _end(self, watch: _Watch, reason: Reason) -> None:
        callback = watch.callback
        if self._remove(watch):
            try:
                callback(reason)
            except KeyboardInterrupt:
                raise
            except BaseException:  # SystemExit would end the thread, and the other watches
                log.exception("lembro: a callback for the end of a session failed")

    def _after_fork(self) -> None:
        """Forget the watches in a forked child: their callbacks belong to the parent."""
        self._changed = threading.Condition()  # a thread of the parent may hold it
        self._watches.clear()
        self._due.clear()
        self._thread = None


_all: Final[WeakSet[Endings]] = WeakSet()


def _in_child() -> None:
    for endings in list(_all):
        endings._after_fork()


if hasattr(os, "register_at_fork"):  # pragma: no branch - Windows does not fork
    os.register_at_fork(after_in_child=_in_child)
