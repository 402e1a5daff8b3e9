"""The client of pymongo for sync callers."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any, TypeVar

from ..external.backend import Busy, PreparedVerbs, Steps
from .clients import Clients
from .failures import CONFLICTED, Failures
from .verbs import BEGIN, COMMIT, Command

T = TypeVar("T")


class MongoConnector:
    """Performs verbs with a ``MongoClient``.

    Args:
        clients: Makes the client.
        verbs: The verbs. One of them prepares the server when the store opens.
        failures: The exceptions of pymongo.
    """

    def __init__(self, clients: Clients, verbs: PreparedVerbs, failures: Failures) -> None:
        self._clients = clients
        self._verbs = verbs
        self._failures = failures
        self._client: Any = None
        self._database: Any = None
        self._unfinished: list[Any] = []
        """Sessions whose transaction could not be aborted, because the server did not answer."""

    def open(self) -> None:
        self._client = self._clients.client()
        self._database = self._clients.database(self._client)
        try:
            self.run(lambda: self._verbs.prepare(self._failures.place), reads=True)
        except BaseException as error:
            self.close()
            if isinstance(error, self._failures.reply):
                raise self._failures.setup_error(error) from error
            raise

    def run(self, verb: Callable[[], Steps[T]], *, reads: bool) -> T:
        failures, conflicts = self._failures, 0
        deadline = time.monotonic() + self._clients.timeout
        while True:
            try:
                result = self._perform(verb())
            except failures.reply as error:
                if not failures.is_conflict(error):
                    raise
                conflicts += 1
                pause = failures.pause(conflicts)
                if time.monotonic() + pause > deadline:
                    raise Busy(f"{failures.place}: {CONFLICTED}") from error
                self._abort_unfinished()  # the verb may conflict with one of them
                time.sleep(pause)
            else:
                self._abort_unfinished()
                return result

    def _perform(self, steps: Steps[T]) -> T:
        session: Any = None
        try:
            command = next(steps)
            while True:
                reply = None
                if command == BEGIN:
                    session = self._client.start_session()
                    session.start_transaction(self._clients.snapshot)
                elif command == COMMIT:
                    with self._clients.limit():
                        session.commit_transaction()
                else:
                    reply = self._call(command, session)
                command = steps.send(reply)
        except StopIteration as stop:
            return stop.value  # type: ignore[no-any-return]
        except self._failures.reply:
            raise
        except BaseException as error:
            if self._failures.is_disconnect(error):
                self._clients.note_disconnect()
            if session is not None:
                self._unfinished.append(session)
                session = None
            raise
        finally:
            if session is not None:
                self._end(session)

    def _call(self, command: Command, session: Any) -> Any:
        options = self._clients.options
        with self._clients.limit(command.timeout):
            if command.cursor:
                cursor = self._database.cursor_command(
                    command.body, codec_options=options, session=session
                )
                return list(cursor)
            reply = self._database.command(command.body, codec_options=options, session=session)
        return self._failures.check(reply)

    def _end(self, session: Any) -> None:
        """End a session, and abort its transaction if it was not committed."""
        with self._clients.limit():
            session.end_session()

    def _abort_unfinished(self) -> None:
        # Otherwise no other transaction could change their sessions for a minute.
        while self._unfinished:
            self._end(self._unfinished.pop())

    def close(self) -> None:
        if self._clients.made:
            with self._clients.limit():
                self._client.close()
