"""The context manager that ``session.edit()`` returns."""

from __future__ import annotations

import threading
from contextlib import suppress
from typing import Final, Generic, TypeVar

from . import actions
from .state import SessionState
from .turns import Turns

S = TypeVar("S", bound=SessionState)

_creating: Final = threading.Lock()


class Edit(Generic[S]):
    """Open a session for writing after the response has begun, in a stream or a WebSocket.

    A context manager, ``with`` and ``async with``. Edits of one session take turns.
    """

    __slots__ = ("_runner", "_session", "_turns")

    def __init__(self, session: S) -> None:
        self._session = session
        self._runner = session._transport.runner
        self._turns = _turns_of(session)

    def __enter__(self) -> S:
        self._runner.check_may_block("`async with session.edit():`")
        self._turns.acquire()
        try:
            self._runner.run_action(self._session, actions.begin_edit)
        except BaseException:
            self._turns.release()
            raise
        return self._session

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        try:
            self._runner.run_action(self._session, actions.end_edit, kind is not None)
        finally:
            self._turns.release()

    async def __aenter__(self) -> S:
        await self._turns.aacquire()
        try:
            await self._runner.arun_action(self._session, actions.begin_edit)
        except BaseException:
            self._turns.release()
            raise
        return self._session

    async def __aexit__(self, kind: type[BaseException] | None, *_: object) -> None:
        try:
            await self._runner.arun_action(self._session, actions.end_edit, kind is not None)
        finally:
            self._turns.release()


def _turns_of(session: SessionState) -> Turns:
    """Return the turns of a session, made at its first edit."""
    with suppress(AttributeError):
        return session._turns
    with _creating:
        if not hasattr(session, "_turns"):
            session._turns = Turns()
    return session._turns
