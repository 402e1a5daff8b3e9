"""``session.edit()``, and whose turn it is: one edit of a session at a time, the others wait."""

from __future__ import annotations

import asyncio
import sys
import threading
from collections import deque
from collections.abc import Awaitable, Callable
from contextlib import suppress
from functools import partial
from typing import TYPE_CHECKING, Final, NamedTuple

from ..errors import LembroError

if TYPE_CHECKING:
    from .session import Session

_making: Final = threading.Lock()


class Edit:
    """What ``session.edit()`` returns: a context manager, sync and async."""

    __slots__ = ("_session", "_turns")

    def __init__(self, session: Session) -> None:
        self._session = session
        self._turns = _turns_of(session)

    def __enter__(self) -> Session:
        self._session._manager._check_sync(self._session, "`async with session.edit():`")
        self._turns.take()
        try:
            self._session._manager.run_for(self._session, "begin_edit")
        except BaseException:
            self._turns.give()
            raise
        return self._session

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        try:
            self._session._manager.run_for(self._session, "end_edit", kind is not None)
        finally:
            self._turns.give()

    async def __aenter__(self) -> Session:
        await self._turns.atake()
        try:
            await self._session._manager.arun_for(self._session, "begin_edit")
        except BaseException:
            self._turns.give()
            raise
        return self._session

    async def __aexit__(self, kind: type[BaseException] | None, *_: object) -> None:
        try:
            await self._session._manager.arun_for(self._session, "end_edit", kind is not None)
        finally:
            self._turns.give()


class _Turn(NamedTuple):
    who: object
    wake: Callable[[], object] | None = None


class Turns:
    """A lock for tasks and threads alike, handed on in the order in which it was asked for.

    It belongs to a task, or to a thread in which no event loop runs; anybody may give it back, as a
    generator that is abandoned may be ended by another task than its own.
    """

    __slots__ = ("_lock", "_now", "_waiting")

    def __init__(self) -> None:
        # Reentrant: a garbage collection in the midst of it may end such a generator.
        self._lock = threading.RLock()
        self._now: _Turn | None = None
        self._waiting: deque[_Turn] = deque()

    def take(self) -> None:
        """Wait for one's turn, in a thread. Raises LembroError if one has it already, and instead
        of blocking an event loop."""
        who = _who()
        if self._begin(_Turn(who)):
            return
        if not isinstance(who, int):
            raise LembroError(
                "this session is being edited elsewhere, and to wait for that would block the "
                "event loop: write `async with session.edit():`"
            )
        come = threading.Event()
        turn = _Turn(who, come.set)
        if not self._begin(turn):
            try:
                come.wait()
            except BaseException:
                self._leave(turn)
                raise

    async def atake(self) -> None:
        """As ``take``, in a task."""
        who = _who()
        if self._begin(_Turn(who)):
            return
        wait, wake = _signal()
        turn = _Turn(who, wake)
        if not self._begin(turn):
            try:
                await wait()
            except BaseException:
                self._leave(turn)
                del who, turn  # the task that is cancelled, which holds what is raised
                raise

    def give(self) -> None:
        """Hand it on to whoever has waited longest."""
        with self._lock:
            self._now = None
            while self._waiting and self._now is None:
                turn = self._waiting.popleft()
                assert turn.wake is not None
                with suppress(RuntimeError):  # its event loop is closed: nobody waits there
                    turn.wake()
                    self._now = turn

    def _begin(self, turn: _Turn) -> bool:
        """Whether this turn is now; if not, one that can be woken is put in line."""
        with self._lock:
            if self._now is None:
                self._now = turn
                return True
            if self._now.who in (turn.who, threading.get_ident()):
                raise LembroError("this session is being edited already; edits do not nest")
            if turn.wake is not None:
                self._waiting.append(turn)
            return False

    def _leave(self, turn: _Turn) -> None:
        """Wait no longer; if it has come meanwhile, it is the next one's."""
        with self._lock:
            if self._now is turn:
                self.give()
            elif turn in self._waiting:
                self._waiting.remove(turn)


def _turns_of(session: Session) -> Turns:
    """Made at the first edit, so that a session that is never edited pays nothing."""
    with suppress(AttributeError):
        return session._turns
    with _making:
        if not hasattr(session, "_turns"):
            session._turns = Turns()
    return session._turns


def _who() -> object:
    """The task that is running; the number of the thread, where there is none."""
    with suppress(RuntimeError):
        task = asyncio.current_task()
        if task is not None:
            return task
    if sys.modules.get("trio") is not None:
        import trio  # noqa: PLC0415 - it is not a dependency, and takes a while

        with suppress(RuntimeError):
            return trio.lowlevel.current_task()
    return threading.get_ident()


def _signal() -> tuple[Callable[[], Awaitable[object]], Callable[[], object]]:
    """An event of the loop that runs here: how to wait for it, and how to set it from anywhere."""
    with suppress(RuntimeError):
        loop = asyncio.get_running_loop()
        if asyncio.current_task() is not None:
            event = asyncio.Event()
            return event.wait, partial(loop.call_soon_threadsafe, event.set)
    import trio  # noqa: PLC0415

    happening = trio.Event()
    token = trio.lowlevel.current_trio_token()
    return happening.wait, partial(token.run_sync_soon, happening.set)
