"""A lock for the edits of one session, which tasks and threads take in turns."""

from __future__ import annotations

import sys
import threading
from collections import deque
from collections.abc import Awaitable, Callable
from contextlib import suppress
from functools import partial
from typing import Any, NamedTuple

from ..errors import UsageError


class _Turn(NamedTuple):
    owner: object
    wake: Callable[[], object] | None = None


class Turns:
    """A first-come, first-served lock for tasks and threads alike.

    Its owner is a task, or a thread in which no event loop runs. Any task or thread may release it:
    an abandoned generator may be closed by another task than the one that entered it.
    """

    __slots__ = ("_current", "_lock", "_waiting")

    def __init__(self) -> None:
        # Reentrant: a garbage collection while it is held may close such a generator.
        self._lock = threading.RLock()
        self._current: _Turn | None = None
        self._waiting: deque[_Turn] = deque()

    def acquire(self) -> None:
        """Wait for a turn, in a thread.

        Raises:
            UsageError: the caller has its turn already, or waiting would block an event loop.
        """
        owner = _owner()
        if self._start(_Turn(owner)):
            return
        if not isinstance(owner, int):
            raise UsageError(
                "another task or thread edits this session, and waiting for it would block the "
                "event loop; write `async with session.edit():`"
            )
        turn_came = threading.Event()
        turn = _Turn(owner, turn_came.set)
        if not self._start(turn):
            try:
                turn_came.wait()
            except BaseException:
                self._withdraw(turn)
                raise

    async def aacquire(self) -> None:
        """Wait for a turn, in a task.

        Raises:
            UsageError: the task has its turn already.
        """
        owner = _owner()
        if self._start(_Turn(owner)):
            return
        wait, wake = loop_event()
        turn = _Turn(owner, wake)
        if not self._start(turn):
            try:
                await wait()
            except BaseException:
                self._withdraw(turn)
                del owner, turn  # the cancelled task, which holds the exception
                raise

    def release(self) -> None:
        """End the turn and wake the task or thread that has waited longest."""
        with self._lock:
            self._current = None
            while self._waiting and self._current is None:
                turn = self._waiting.popleft()
                assert turn.wake is not None
                with suppress(RuntimeError):  # its event loop is closed, so it does not wait
                    turn.wake()
                    self._current = turn

    def _start(self, turn: _Turn) -> bool:
        """Return whether this turn starts at once. If not, queue it if it can be woken."""
        with self._lock:
            if self._current is None:
                self._current = turn
                return True
            if self._current.owner in (turn.owner, threading.get_ident()):
                raise UsageError(
                    "this task or thread is editing the session already, and edits do not nest. "
                    "Make all changes inside the outer edit()"
                )
            if turn.wake is not None:
                self._waiting.append(turn)
            return False

    def _withdraw(self, turn: _Turn) -> None:
        """Stop waiting. If the turn has come meanwhile, wake the next in the queue."""
        with self._lock:
            if self._current is turn:
                self.release()
            elif turn in self._waiting:
                self._waiting.remove(turn)


def _owner() -> object:
    """Return the running task, or the thread's number if no task runs."""
    asyncio: Any = sys.modules.get("asyncio")  # if it is not imported, no task of it runs
    if asyncio is not None:
        with suppress(RuntimeError):
            task = asyncio.current_task()
            if task is not None:
                return task
    if sys.modules.get("trio") is not None:
        import trio  # noqa: PLC0415 - optional, and slow to import

        with suppress(RuntimeError):
            return trio.lowlevel.current_task()
    return threading.get_ident()


def loop_event() -> tuple[Callable[[], Awaitable[object]], Callable[[], object]]:
    """Make an event of the running loop. Return how to wait for it, and how to set it from any
    thread."""
    asyncio: Any = sys.modules.get("asyncio")
    if asyncio is not None:
        with suppress(RuntimeError):
            loop = asyncio.get_running_loop()
            if asyncio.current_task() is not None:
                event = asyncio.Event()
                return event.wait, partial(loop.call_soon_threadsafe, event.set)
    import trio  # noqa: PLC0415

    trio_event = trio.Event()
    token = trio.lowlevel.current_trio_token()
    return trio_event.wait, partial(token.run_sync_soon, trio_event.set)
