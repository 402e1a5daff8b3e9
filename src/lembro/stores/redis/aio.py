"""Connections to Redis for an event loop; ``connector.py`` has the same for threads."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any, TypeVar

from ...errors import StoreUnavailable
from ..external.backend import Busy, Dropped, Steps
from ..external.pools import PoolUse
from .clients import Connections
from .connector import setup_error
from .failures import Failures
from .locator import Locator
from .scripts import Script
from .verbs import RedisVerbs

T = TypeVar("T")


class AsyncSlots:
    """Limits how many verbs run at a time; see ``connector.Slots``."""

    def __init__(self, size: int, timeout: float) -> None:
        self._size = size
        self._timeout = timeout
        self._semaphore = asyncio.Semaphore(size)
        self._failures = 0

    def use(self) -> tuple[int, int]:
        """Return how many verbs are running, and the limit."""
        return self._size - self._semaphore._value, self._size

    async def __aenter__(self) -> None:
        if not self._semaphore.locked():
            await self._semaphore.acquire()  # this never waits
            return
        failures = self._failures
        try:
            async with asyncio.timeout(self._timeout):
                await self._semaphore.acquire()
        except TimeoutError:
            raise Busy(
                f"all {self._size} connections are in use; increase max_connections"
            ) from None
        if self._failures != failures:
            self._semaphore.release()
            raise StoreUnavailable("the server did not answer another request")

    async def __aexit__(self, *error: object) -> None:
        self._semaphore.release()

    def failed(self) -> None:
        """Note that the server did not answer, so that waiting verbs fail too."""
        self._failures += 1


class AsyncRedisConnector:
    """Connections to the server that holds the sessions; see ``connector.RedisConnector``."""

    def __init__(
        self,
        connections: Connections,
        locator: Locator,
        verbs: RedisVerbs,
        failures: Failures,
        slots: AsyncSlots,
    ) -> None:
        self._connections = connections
        self._locator = locator
        self._verbs = verbs
        self._failures = failures
        self._slots = slots
        self._idle: list[Any] = []
        self.pool_use: PoolUse = slots.use

    async def open(self) -> None:
        try:
            await self.run(lambda: self._verbs.prepare(self._failures.place), reads=True)
        except self._failures.setup as error:
            raise setup_error(self._failures.place, error) from None

    async def run(self, verb: Callable[[], Steps[T]], *, reads: bool) -> T:
        failures = self._failures
        async with self._slots:
            try:
                connection = self._idle.pop() if self._idle else await self._connect()
            except failures.unavailable:
                self._slots.failed()
                raise
            # The error handlers never wait, so a second cancellation cannot interrupt them.
            try:
                result = await self._perform(connection, verb())
            except failures.response as error:  # the reply was read completely
                if isinstance(error, failures.read_only):  # a replica by now
                    await self._renew(connection)
                else:
                    self._idle.append(connection)
                raise
            except Dropped:
                await self._renew(connection)
                raise
            except BaseException as error:
                await connection.disconnect(nowait=True)
                if isinstance(error, failures.unavailable):
                    self._slots.failed()
                raise
            self._idle.append(connection)
            return result

    async def _connect(self) -> Any:
        finding = self._locator.find()
        reply: Any = None
        try:
            while True:
                host, command = finding.send(reply)
                try:
                    reply = await self._ask(self._connections.to_host(host), command)
                except self._failures.setup:
                    raise
                except (*self._failures.unavailable, self._failures.response) as error:
                    reply = str(error)
        except StopIteration as found:
            address = found.value
        connection = self._connections.to_server(address)
        try:
            await connection.connect()
            if self._locator.asks:
                self._locator.check_role(await self._call(connection, ("ROLE",)))
        except BaseException:
            await connection.disconnect(nowait=True)
            raise
        return connection

    async def _ask(self, connection: Any, *commands: Any) -> Any:
        """Perform commands, close the connection, and return the last reply."""
        reply = None
        try:
            for command in commands:
                reply = await self._call(connection, command)
            return reply
        finally:
            await connection.disconnect(nowait=True)

    async def _perform(self, connection: Any, steps: Steps[T]) -> T:
        failures = self._failures
        try:
            command = next(steps)
            while True:
                try:
                    reply = await self._send(connection, command)
                except (failures.connection, failures.response) as error:
                    failures.check_dropped(error, moves=self._locator.asks)
                    raise
                command = steps.send(reply)
        except StopIteration as stop:
            return stop.value  # type: ignore[no-any-return]

    async def _send(self, connection: Any, command: Any) -> Any:
        script, *arguments = command
        is_script = isinstance(script, Script)
        try:
            if not is_script:
                return await self._call(connection, command)
            try:
                return await self._call(connection, ("EVALSHA", script.sha, *arguments))
            except self._failures.no_script:
                return await self._call(connection, ("EVAL", script.text, *arguments))
        except self._failures.moved:
            raise
        except self._failures.ask as error:  # the key has moved to another node already
            other = self._connections.to_server(self._failures.address_of(error))
            full = ("EVAL", script.text, *arguments) if is_script else command
            return await self._ask(other, ("ASKING",), full)

    @staticmethod
    async def _call(connection: Any, command: Any) -> Any:
        await connection.send_command(*command)
        return await connection.read_response()

    async def _renew(self, connection: Any) -> None:
        """Close a connection, and the idle ones, which have probably failed too."""
        for each in (connection, *self._idle):
            await each.disconnect(nowait=True)
        self._idle.clear()

    async def close(self) -> None:
        while self._idle:
            await self._idle.pop().disconnect()

    def discard(self) -> None:
        for connection in self._idle:
            close_transport(connection)
        self._idle.clear()

    def __del__(self) -> None:  # the store was not closed
        self.discard()


class AsyncClientConnector:
    """Performs verbs with the application's client, which has its own connections."""

    def __init__(self, client: Any, verbs: RedisVerbs, failures: Failures) -> None:
        self._execute = client.execute_command
        self._verbs = verbs
        self._failures = failures

    async def open(self) -> None:
        try:
            await self.run(lambda: self._verbs.prepare(self._failures.place), reads=True)
        except self._failures.setup as error:
            raise setup_error(self._failures.place, error) from None

    async def run(self, verb: Callable[[], Steps[T]], *, reads: bool) -> T:
        steps = verb()
        try:
            command = next(steps)
            while True:
                try:
                    reply = await self._send(command)
                except self._failures.connection as error:
                    self._failures.check_dropped(error)
                    raise
                command = steps.send(reply)
        except StopIteration as stop:
            return stop.value  # type: ignore[no-any-return]

    async def _send(self, command: Any) -> Any:
        script, *arguments = command
        if not isinstance(script, Script):
            return await self._execute(*command)
        try:
            return await self._execute("EVALSHA", script.sha, *arguments)
        except self._failures.no_script:
            return await self._execute("EVAL", script.text, *arguments)

    async def close(self) -> None:
        """Leave the connections to the application."""

    def discard(self) -> None:
        """Leave the connections to the application."""


def close_transport(connection: Any) -> None:
    """Close a connection whose event loop may be closed."""
    writer = connection._writer
    connection._reader = connection._writer = None
    try:
        writer.close()
    except RuntimeError:  # the loop is closed, and nothing else closes the socket
        sock = getattr(writer.transport, "_sock", None)
        if sock is not None:
            sock.close()
            writer.transport._sock = None
