"""Connections to PostgreSQL by psycopg 3 and its pool, for threads and for event loops.

The client enforces the deadline of a verb, because a server that hangs cannot. psycopg itself
would wait forever, or would ask the server to cancel. So the connections have their own
``wait``, which gives up at the deadline and closes the socket. The pool connects in its own threads
or tasks, so that slow name servers and TLS do not delay a verb either.
"""

from __future__ import annotations

import asyncio
import os
import threading
import time
from collections.abc import Callable
from functools import partial
from typing import Any, Final, TypeVar
from weakref import WeakSet

import psycopg
from psycopg import pq
from psycopg.types.numeric import Int8BinaryDumper
from psycopg_pool import ConnectionPool, PoolTimeout

from ...errors import ConfigError, StoreUnavailable
from ..external.backend import Busy, Steps
from ..external.pools import PoolUse
from .dialect import Statement
from .psycopg_connections import (
    NAME,
    AsyncDeadlineConnection,
    DeadlineConnection,
    LoopPool,
    is_alive,
)
from .psycopg_target import CONNECT, Target, native
from .schema import make_tables, remedy

T = TypeVar("T")

SETUP: Final = 5.0  # seconds to wait for other workers that make the tables
SLOW: Final = 60.0  # seconds for a statement whose time grows with the table
ATTEMPTS: Final = 2  # failed attempts to connect, after which a verb fails
SLICE: Final = 0.02  # seconds between two checks whether connecting has failed
IDLE: Final = pq.TransactionStatus.IDLE
IN_ERROR: Final = pq.TransactionStatus.INERROR


class Pooling:
    """The state of a pool, sync or async.

    The pool refers to this and not to the connector, so that a store that nobody has closed is
    collected at once.
    """

    def __init__(self, target: Target) -> None:
        self.target = target
        self.is_prepared: bool = False
        self.is_connected: bool = False
        self.failure: Exception | None = None
        self.failures: int = 0  # all failed attempts to connect
        self.used: set[Any] = set()
        self.made: WeakSet[Any] = WeakSet()

    def options(self) -> dict[str, Any]:
        """Return the options of the pool."""
        return {
            "min_size": 1,
            "max_size": self.target.max_connections,
            "open": False,
            "num_workers": 2,
            "name": NAME,
            # The pool would wait longer after each failure. The probe of the breaker tries again.
            "reconnect_timeout": 0.0,
            "kwargs": {**self.target.keywords, "note": self.note},
        }

    def use(self) -> tuple[int, int]:
        """Return how many connections are in use, and the limit."""
        return len(self.used), self.target.max_connections

    def note(self, error: Exception) -> None:
        """Note that connecting has failed."""
        self.failure = error
        self.failures += 1

    def setting_up(self, connection: Any) -> Steps[None]:
        """Set up a new connection. The first one makes the tables."""
        connection.adapters.register_dumper(int, Int8BinaryDumper)
        connection.deadline = time.monotonic() + SETUP
        self.made.add(connection)
        if not self.is_prepared:
            yield from make_tables(self.target.dialect)
            self.is_prepared = True
        if self.target.settings is not None:
            yield Statement(self.target.settings, rows=True), {}
        self.is_connected = True

    def note_setup(self, error: psycopg.Error) -> None:
        """Note that a new connection could not be set up, or that it could not make the tables."""
        dialect = self.target.dialect
        if error.sqlstate is None or self.is_prepared:
            self.note(error)
            return
        self.note(
            ConfigError(
                f"{self.target.place} has no table {dialect.table} that this version of lembro "
                f"can use ({error}). {dialect.remedy or remedy('postgresql', dialect.table)}"
            )
        )

    def patience(self) -> float:
        """Return the seconds to wait for a connection."""
        timeout = self.target.timeout
        return timeout if self.is_connected else max(timeout, CONNECT)

    def unavailable(self, failures: int, deadline: float) -> Exception | None:
        """Return why there is no connection, or None to wait longer.

        Args:
            failures: How many attempts to connect had failed before the verb.
            deadline: The time of ``time.monotonic()`` until which the verb waits.
        """
        place, late = self.target.place, time.monotonic() >= deadline
        failed = self.failures - failures
        if self.failure is not None and (failed >= ATTEMPTS or (failed and late)):
            if isinstance(self.failure, ConfigError):
                return self.failure
            return StoreUnavailable(f"{place}: {self.failure}")
        if not late:
            return None
        if self.used:
            return Busy(f"{place}: all connections of this process are in use")
        return StoreUnavailable(f"{place} did not accept a connection in time")

    def failure_of(self, error: BaseException, connection: Any) -> BaseException:
        """Return the error for one that a verb raised.

        Close the connection unless the next verb can use it.
        """
        late = time.monotonic() >= connection.deadline
        if isinstance(error, psycopg.Error):
            if error.sqlstate == "25006":
                connection.pgconn.finish()  # another server may have become the primary
            if error.sqlstate == "42P01":  # no table: this is a new database, or one was dropped
                self.is_prepared = False
                connection.pgconn.finish()  # the connection that replaces it makes the tables
            if error.sqlstate is not None:
                return error
            if late:
                timeout = self.target.timeout
                connection.pgconn.finish()
                return StoreUnavailable(f"{self.target.place} did not answer within {timeout:g} s")
        connection.pgconn.finish()
        return error


class PsycopgConnector:
    """The connections of a process."""

    def __init__(self, target: Target) -> None:
        self._pid = os.getpid()
        self._target = target
        self._pooling = Pooling(target)
        self.pool_use: PoolUse = self._pooling.use
        self._pool: ConnectionPool[Any] = ConnectionPool(
            connection_class=DeadlineConnection,
            configure=partial(_configure, self._pooling, threading.Lock()),
            **self._pooling.options(),
        )

    def open(self) -> None:
        self._pool.open()

    def run(self, verb: Callable[[], Steps[T]], *, reads: bool) -> T:
        connection = self._take()
        try:
            return perform(connection, verb())
        except BaseException as error:
            failure = self._pooling.failure_of(error, connection)
            if failure is error:
                raise
            raise failure from error
        finally:
            self._give_back(connection)

    def _give_back(self, connection: DeadlineConnection) -> None:
        self._pooling.used.discard(connection)
        self._pool.putconn(connection)

    def _take(self) -> DeadlineConnection:
        pooling = self._pooling
        failures, deadline = pooling.failures, time.monotonic() + pooling.patience()
        while True:
            try:
                connection: DeadlineConnection = self._pool.getconn(SLICE)
            except PoolTimeout:
                failure = pooling.unavailable(failures, deadline)
                if failure is not None:
                    raise failure from None
                continue
            if is_alive(connection):
                connection.deadline = time.monotonic() + self._target.timeout
                pooling.used.add(connection)
                return connection
            self._pool.putconn(connection)

    def close(self) -> None:
        self._pool.close()

    def __del__(self) -> None:  # of a store that nobody has closed
        if self._pid == os.getpid():  # a forked child must not close connections of its parent
            self._pool.close(timeout=0.0)


class AsyncPsycopgConnector:
    """The connections of an event loop."""

    def __init__(self, target: Target) -> None:
        self._pid = os.getpid()
        self._target = target
        self._pooling = Pooling(target)
        self.pool_use: PoolUse = self._pooling.use
        self._pool = LoopPool(
            connection_class=AsyncDeadlineConnection,
            configure=partial(_aconfigure, self._pooling, asyncio.Lock()),
            **self._pooling.options(),
        )

    async def open(self) -> None:
        await self._pool.open()

    async def run(self, verb: Callable[[], Steps[T]], *, reads: bool) -> T:
        connection = await self._take()
        try:
            return await aperform(connection, verb())
        except BaseException as error:
            failure = self._pooling.failure_of(error, connection)
            if failure is error:
                raise
            raise failure from error
        finally:
            await self._give_back(connection)

    async def _give_back(self, connection: AsyncDeadlineConnection) -> None:
        self._pooling.used.discard(connection)
        await self._pool.putconn(connection)

    async def _take(self) -> AsyncDeadlineConnection:
        pooling = self._pooling
        failures, deadline = pooling.failures, time.monotonic() + pooling.patience()
        while True:
            try:
                connection: AsyncDeadlineConnection = await self._pool.getconn(SLICE)
            except PoolTimeout:
                failure = pooling.unavailable(failures, deadline)
                if failure is not None:
                    raise failure from None
                continue
            if is_alive(connection):
                connection.deadline = time.monotonic() + self._target.timeout
                pooling.used.add(connection)
                return connection
            await self._pool.putconn(connection)

    async def close(self) -> None:
        await self._pool.close()

    def discard(self) -> None:
        for connection in list(self._pooling.made):
            connection.pgconn.finish()

    def __del__(self) -> None:  # of a store that nobody has closed
        if self._pid == os.getpid():
            self.discard()


def _configure(pooling: Pooling, lock: threading.Lock, connection: DeadlineConnection) -> None:
    try:
        with lock:
            perform(connection, pooling.setting_up(connection))
    except psycopg.Error as error:
        pooling.note_setup(error)
        raise


async def _aconfigure(pooling: Pooling, lock: Any, connection: AsyncDeadlineConnection) -> None:
    try:
        async with lock:
            await aperform(connection, pooling.setting_up(connection))
    except psycopg.Error as error:
        pooling.note_setup(error)
        raise


def perform(connection: DeadlineConnection, steps: Steps[T]) -> T:
    """Perform a verb on a connection, and roll back what it has not committed."""
    cursor = connection.cursor(binary=True)
    try:
        statement, values = next(steps)
        while True:
            if statement.slow:
                connection.deadline = time.monotonic() + SLOW
            cursor.execute(native(statement.text), values)
            statement, values = steps.send(cursor.fetchall() if statement.rows else cursor.rowcount)
    except StopIteration as stop:
        if connection.pgconn.transaction_status != IDLE:
            cursor.execute(b"rollback")
        return stop.value  # type: ignore[no-any-return]
    except psycopg.Error:
        if connection.pgconn.transaction_status == IN_ERROR:
            cursor.execute(b"rollback")
        raise


async def aperform(connection: AsyncDeadlineConnection, steps: Steps[T]) -> T:
    """Perform a verb on a connection of an event loop."""
    cursor = connection.cursor(binary=True)
    try:
        statement, values = next(steps)
        while True:
            if statement.slow:
                connection.deadline = time.monotonic() + SLOW
            await cursor.execute(native(statement.text), values)
            statement, values = steps.send(
                (await cursor.fetchall()) if statement.rows else cursor.rowcount
            )
    except StopIteration as stop:
        if connection.pgconn.transaction_status != IDLE:
            await cursor.execute(b"rollback")
        return stop.value  # type: ignore[no-any-return]
    except psycopg.Error:
        if connection.pgconn.transaction_status == IN_ERROR:
            await cursor.execute(b"rollback")
        raise
