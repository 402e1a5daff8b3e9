"""The client of pymongo for an event loop; ``connector.py`` has the same for threads."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from typing import Any, TypeVar

from ..external.backend import Busy, PreparedVerbs, Steps
from .clients import Clients
from .failures import CONFLICTED, Failures
from .verbs import BEGIN, COMMIT, Command

T = TypeVar("T")


class AsyncMongoConnector:
    """Performs verbs with an ``AsyncMongoClient``; see ``connector.MongoConnector``."""

    def __init__(self, clients: Clients, verbs: PreparedVerbs, failures: Failures) -> None:
        self._clients = clients
        self._verbs = verbs
        self._failures = failures
        self._client: Any = None
        self._database: Any = None
        self._unfinished: list[Any] = []

    async def open(self) -> None:
        self._client = self._clients.async_client()
        self._database = self._clients.database(self._client)
        try:
            await self.run(lambda: self._verbs.prepare(self._failures.place), reads=True)
        except BaseException as error:
            await self.close()
            if isinstance(error, self._failures.reply):
                raise self._failures.setup_error(error) from error
            raise

    async def run(self, verb: Callable[[], Steps[T]], *, reads: bool) -> T:
        failures, conflicts = self._failures, 0
        deadline = time.monotonic() + self._clients.timeout
        while True:
            try:
                result = await self._perform(verb())
            except failures.reply as error:
                if not failures.is_conflict(error):
                    raise
                conflicts += 1
                pause = failures.pause(conflicts)
                if time.monotonic() + pause > deadline:
                    raise Busy(f"{failures.place}: {CONFLICTED}") from error
                await self._abort_unfinished()
                await asyncio.sleep(pause)
            else:
                await self._abort_unfinished()
                return result

    async def _perform(self, steps: Steps[T]) -> T:
        session: Any = None
        try:
            command = next(steps)
            while True:
                reply = None
                if command == BEGIN:
                    session = self._client.start_session()
                    await session.start_transaction(self._clients.snapshot)
                elif command == COMMIT:
                    with self._clients.limit():
                        await session.commit_transaction()
                else:
                    reply = await self._call(command, session)
                command = steps.send(reply)
        except StopIteration as stop:
            return stop.value  # type: ignore[no-any-return]
        except self._failures.reply:
            raise
        except BaseException as error:  # a cancelled task must not wait for the server
            if self._failures.is_disconnect(error):
                self._clients.note_disconnect()
            if session is not None:
                self._unfinished.append(session)
                session = None
            raise
        finally:
            if session is not None:
                await self._end(session)

    async def _call(self, command: Command, session: Any) -> Any:
        options = self._clients.options
        with self._clients.limit(command.timeout):
            if command.cursor:
                cursor = await self._database.cursor_command(
                    command.body, codec_options=options, session=session
                )
                return await cursor.to_list()
            reply = await self._database.command(
                command.body, codec_options=options, session=session
            )
        return self._failures.check(reply)

    async def _end(self, session: Any) -> None:
        """End a session, and abort its transaction if it was not committed."""
        with self._clients.limit():
            await session.end_session()

    async def _abort_unfinished(self) -> None:
        while self._unfinished:
            await self._end(self._unfinished.pop())

    async def close(self) -> None:
        if self._clients.made:
            with self._clients.limit():
                await self._client.close()

    def discard(self) -> None:
        """Close the sockets of a client whose event loop has stopped."""
        if self._clients.made:
            discard(self._client)


def discard(client: Any) -> None:
    """Close the connections of an async client whose loop has stopped, without awaiting."""
    client._closed = True  # otherwise it warns when it is freed
    for server in client._topology._servers.values():
        monitor = server._monitor
        for pool in (server.pool, monitor._pool, monitor._rtt_monitor._pool):
            while pool.conns:
                transport = pool.conns.pop().conn.conn[0]
                try:
                    transport.abort()
                except RuntimeError:  # the loop is closed, and nothing else closes the socket
                    transport._sock.close()
                    transport._sock = None
