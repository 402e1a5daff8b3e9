"""Connections to Redis for sync callers.

The connections are those of the client library, but lembro has its own pool, which halves the time
of a verb. The pool closes a connection after any error in the middle of a command. Otherwise
another visitor would get the unread reply, as with the Sentinel connections of redis-py.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any, TypeVar

from ...errors import ConfigError, StoreUnavailable
from ..external.backend import Busy, Dropped, Steps
from ..external.pools import PoolUse
from .clients import Connections
from .failures import Failures
from .locator import Locator
from .scripts import Script
from .verbs import RedisVerbs

T = TypeVar("T")


class Slots:
    """Limits how many verbs run at a time.

    Args:
        size: The limit.
        timeout: The maximum number of seconds that a verb waits until fewer are running.
    """

    def __init__(self, size: int, timeout: float) -> None:
        self._size = size
        self._timeout = timeout
        self._semaphore = threading.Semaphore(size)
        self._failures = 0  # verbs that the server did not answer

    def use(self) -> tuple[int, int]:
        """Return how many verbs are running, and the limit."""
        return self._size - self._semaphore._value, self._size

    def __enter__(self) -> None:
        if self._semaphore.acquire(blocking=False):
            return
        failures = self._failures
        if not self._semaphore.acquire(timeout=self._timeout):
            raise Busy(f"all {self._size} connections are in use; increase max_connections")
        if self._failures != failures:  # a second try would take twice the timeout
            self._semaphore.release()
            raise StoreUnavailable("the server did not answer another request")

    def __exit__(self, *error: object) -> None:
        self._semaphore.release()

    def failed(self) -> None:
        """Note that the server did not answer, so that waiting verbs fail too."""
        self._failures += 1


def setup_error(place: str, error: Exception) -> ConfigError:
    """Return the error for a server that rejects the credentials."""
    return ConfigError(
        f"{place} rejects the credentials of the store ({error}). Check the user and password in "
        f"the URL, the password of the Sentinels, and the permissions of the user"
    )


class RedisConnector:
    """Connections to the server that holds the sessions.

    Args:
        connections: Makes the connections.
        locator: Finds the server.
        verbs: The verbs. One of them checks the server when the store opens.
        failures: The exceptions of the client library.
        slots: Limits the number of connections.
    """

    def __init__(
        self,
        connections: Connections,
        locator: Locator,
        verbs: RedisVerbs,
        failures: Failures,
        slots: Slots,
    ) -> None:
        self._connections = connections
        self._locator = locator
        self._verbs = verbs
        self._failures = failures
        self._slots = slots
        self._idle: list[Any] = []
        self.pool_use: PoolUse = slots.use

    def open(self) -> None:
        try:
            self.run(lambda: self._verbs.prepare(self._failures.place), reads=True)
        except self._failures.setup as error:
            raise setup_error(self._failures.place, error) from None

    def run(self, verb: Callable[[], Steps[T]], *, reads: bool) -> T:
        failures = self._failures
        with self._slots:
            try:
                connection = self._take()
            except failures.unavailable:
                self._slots.failed()
                raise
            try:
                result = self._perform(connection, verb())
            except failures.response as error:  # the reply was read completely
                if isinstance(error, failures.read_only):  # a replica by now
                    self._renew(connection)
                else:
                    self._idle.append(connection)
                raise
            except Dropped:
                self._renew(connection)
                raise
            except BaseException as error:
                connection.disconnect()
                if isinstance(error, failures.unavailable):
                    self._slots.failed()
                raise
            self._idle.append(connection)
            return result

    def _take(self) -> Any:
        try:
            return self._idle.pop()
        except IndexError:
            return self._connect()

    def _connect(self) -> Any:
        finding = self._locator.find()
        reply: Any = None
        try:
            while True:
                host, command = finding.send(reply)
                try:
                    reply = self._ask(self._connections.to_host(host), command)
                except self._failures.setup:
                    raise
                except (*self._failures.unavailable, self._failures.response) as error:
                    reply = str(error)
        except StopIteration as found:
            address = found.value
        connection = self._connections.to_server(address)
        try:
            connection.connect()
            if self._locator.asks:
                self._locator.check_role(self._call(connection, ("ROLE",)))
        except BaseException:
            connection.disconnect()
            raise
        return connection

    def _ask(self, connection: Any, *commands: Any) -> Any:
        """Perform commands, close the connection, and return the last reply."""
        reply = None
        try:
            for command in commands:
                reply = self._call(connection, command)
            return reply
        finally:
            connection.disconnect()

    def _perform(self, connection: Any, steps: Steps[T]) -> T:
        failures = self._failures
        try:
            command = next(steps)
            while True:
                try:
                    reply = self._send(connection, command)
                except (failures.connection, failures.response) as error:
                    failures.check_dropped(error, moves=self._locator.asks)
                    raise
                command = steps.send(reply)
        except StopIteration as stop:
            return stop.value  # type: ignore[no-any-return]

    def _send(self, connection: Any, command: Any) -> Any:
        script, *arguments = command
        is_script = isinstance(script, Script)
        try:
            if not is_script:
                return self._call(connection, command)
            try:
                return self._call(connection, ("EVALSHA", script.sha, *arguments))
            except self._failures.no_script:
                return self._call(connection, ("EVAL", script.text, *arguments))
        except self._failures.moved:
            raise
        except self._failures.ask as error:  # the key has moved to another node already
            other = self._connections.to_server(self._failures.address_of(error))
            full = ("EVAL", script.text, *arguments) if is_script else command
            return self._ask(other, ("ASKING",), full)

    @staticmethod
    def _call(connection: Any, command: Any) -> Any:
        connection.send_command(*command)
        return connection.read_response()

    def _renew(self, connection: Any) -> None:
        """Close a connection, and the idle ones, which have probably failed too."""
        connection.disconnect()
        self.close()

    def close(self) -> None:
        while True:
            try:
                self._idle.pop().disconnect()
            except IndexError:
                return


class ClientConnector:
    """Performs verbs with the application's client, which has its own connections.

    Args:
        client: The client.
        verbs: The verbs. One of them checks the server when the store opens.
        failures: The exceptions of the client library.
    """

    def __init__(self, client: Any, verbs: RedisVerbs, failures: Failures) -> None:
        self._execute = client.execute_command
        self._verbs = verbs
        self._failures = failures

    def open(self) -> None:
        try:
            self.run(lambda: self._verbs.prepare(self._failures.place), reads=True)
        except self._failures.setup as error:
            raise setup_error(self._failures.place, error) from None

    def run(self, verb: Callable[[], Steps[T]], *, reads: bool) -> T:
        steps = verb()
        try:
            command = next(steps)
            while True:
                try:
                    reply = self._send(command)
                except self._failures.connection as error:
                    self._failures.check_dropped(error)
                    raise
                command = steps.send(reply)
        except StopIteration as stop:
            return stop.value  # type: ignore[no-any-return]

    def _send(self, command: Any) -> Any:
        script, *arguments = command
        if not isinstance(script, Script):
            return self._execute(*command)
        try:
            return self._execute("EVALSHA", script.sha, *arguments)
        except self._failures.no_script:
            return self._execute("EVAL", script.text, *arguments)

    def close(self) -> None:
        """Leave the connections to the application."""
