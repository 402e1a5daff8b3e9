"""Connections of SQLAlchemy 2, for threads and for event loops.

The drivers keep the deadline of a sync verb in different ways. psycopg has a connection class of
lembro, and PyMySQL has a timeout of its socket. An async verb is cancelled at its deadline, with
any driver.
"""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import Callable
from functools import lru_cache, partial
from typing import Any, Final, TypeVar

from sqlalchemy import exc, text

from ...errors import ConfigError, StoreError, StoreUnavailable
from ..external.backend import Busy, Dropped, Steps
from ..external.pools import PoolUse
from .schema import make_tables, remedy
from .sql_errors import DEADLOCK, DUPLICATE, number_of
from .sqlalchemy_target import CONNECT, Target, translate

T = TypeVar("T")

SETUP: Final = 5.0  # seconds to wait for other workers that make the tables
SLOW: Final = 60.0  # seconds for a statement whose time grows with the table
ATTEMPTS: Final = 3  # attempts of a verb that the database aborts because of a deadlock


@lru_cache(maxsize=256)
def native(statement: str) -> tuple[Any, ...]:
    """Return the statements of a text, as SQLAlchemy takes them."""
    return tuple(text(part) for part in statement.split("; "))


class Progress:
    """The state of a verb in flight: its deadline, and whether it is in a transaction."""

    def __init__(self, timeout: float) -> None:
        self.deadline: float = time.monotonic() + timeout
        self.in_transaction: bool = False

    def note(self, statement: str) -> None:
        """Note a statement that was performed."""
        if statement.endswith(("begin", "begin immediate", "read committed")):
            self.in_transaction = True
        elif statement == "commit":
            self.in_transaction = False

    def left(self) -> float:
        """Return the seconds until the deadline."""
        return max(self.deadline - time.monotonic(), 0.001)

    def failure(self, error: BaseException, target: Target) -> BaseException:
        """Return the error for one that a verb raised."""
        lost = not isinstance(error, exc.DBAPIError) or error.connection_invalidated
        late = time.monotonic() >= self.deadline
        if lost and late and isinstance(error, exc.DBAPIError | TimeoutError):
            return StoreUnavailable(f"{target.place} did not answer within {target.timeout:g} s")
        return error


def is_duplicate(error: exc.IntegrityError) -> bool:
    """Return whether an INSERT has found its key. MySQL only has an error for this, because
    INSERT IGNORE would also cut a user ID that is too long."""
    return number_of(error.orig) == DUPLICATE


def may_repeat(error: BaseException, attempt: int) -> bool:
    """Return whether the database has ended the verb because of a deadlock."""
    cause = getattr(error, "orig", None)
    return number_of(cause) == DEADLOCK and attempt < ATTEMPTS


def no_tables(target: Target, error: BaseException) -> ConfigError:
    """Return the error for tables that cannot be made or used."""
    dialect = target.dialect
    return ConfigError(
        f"{target.place} has no table {dialect.table} that this version of lembro can use "
        f"({getattr(error, 'orig', error)}). "
        f"{dialect.remedy or remedy(target.kind, dialect.table)}"
    )


def cannot_be_used(target: Target, error: Exception) -> bool:
    """Return whether the server answers, but refuses to make or read the tables."""
    return type(translate(error, target.place)) is StoreError


def not_connected(target: Target, error: Exception, begun: float) -> Exception:
    """Return the error for a connection that cannot be made, so that no verb has begun."""
    failure = translate(error, target.place)
    if type(failure) is Busy or (
        type(failure) is Dropped and time.monotonic() - begun < target.timeout
    ):
        return failure
    return StoreUnavailable(f"{target.place}: {getattr(error, 'orig', error)}")


def set_deadline(connection: Any, progress: Progress) -> None:
    """Tell the driver of a sync connection how long it may wait."""
    driver = connection.connection.dbapi_connection
    if hasattr(driver, "_read_timeout"):  # PyMySQL, which has no public way after connecting
        driver._read_timeout = progress.left()
    elif hasattr(driver, "deadline"):  # lembro's own class for psycopg
        driver.deadline = progress.deadline


def _pool_use(engine: Any, target: Target) -> tuple[int | None, int | None]:
    """Return how many connections are in use, and the limit of lembro's own engine."""
    pool = engine.pool
    if not hasattr(pool, "checkedout"):  # such as a NullPool
        return None, None
    bounded = target.owned and target.kind != "sqlite"  # see `_options` of the target
    return pool.checkedout(), pool.size() if bounded else None


class SQLAlchemyConnector:
    """The connections of a process."""

    def __init__(self, target: Target) -> None:
        assert target.make_engine is not None
        self._pid = os.getpid()
        self._target = target
        self._engine = target.make_engine()
        self.pool_use: PoolUse = partial(_pool_use, self._engine, target)
        self._is_prepared = False

    def open(self) -> None:
        """Do nothing: the first verb connects. So no thread waits for another one's attempt."""

    def run(self, verb: Callable[[], Steps[T]], *, reads: bool) -> T:
        target = self._target
        if not self._is_prepared:
            try:
                self._run(lambda: make_tables(target.dialect), max(SETUP, target.timeout))
            except exc.DBAPIError as error:
                if cannot_be_used(target, error):
                    raise no_tables(target, error) from error
                raise
            self._is_prepared = True
        try:
            return self._run(verb, target.timeout)
        except exc.ProgrammingError:  # a table is missing: the next verb makes it
            self._is_prepared = False
            raise

    def _run(self, verb: Callable[[], Steps[T]], timeout: float) -> T:
        attempt = 1
        while True:
            with self._connect() as connection:
                progress = Progress(timeout)
                try:
                    return perform(connection, verb(), progress)
                except BaseException as error:
                    if not isinstance(error, exc.DBAPIError):
                        connection.invalidate()
                    if not may_repeat(error, attempt):
                        failure = progress.failure(error, self._target)
                        if failure is error:
                            raise
                        raise failure from error
            attempt += 1

    def _connect(self) -> Any:
        begun = time.monotonic()
        try:
            return self._engine.connect()
        except (exc.SQLAlchemyError, OSError) as error:
            raise not_connected(self._target, error, begun) from error

    def close(self) -> None:
        if self._target.owned:
            self._engine.dispose()

    def __del__(self) -> None:  # of a store that nobody has closed
        if self._pid == os.getpid():  # a forked child must not close connections of its parent
            self.close()


class AsyncSQLAlchemyConnector:
    """The connections of an event loop."""

    def __init__(self, target: Target) -> None:
        assert target.make_async_engine is not None
        self._target = target
        self._engine = target.make_async_engine()
        self.pool_use: PoolUse = partial(_pool_use, self._engine, target)
        self._is_prepared = False

    async def open(self) -> None:
        """Do nothing: the first verb connects."""

    async def run(self, verb: Callable[[], Steps[T]], *, reads: bool) -> T:
        target = self._target
        if not self._is_prepared:
            try:
                await self._run(lambda: make_tables(target.dialect), max(SETUP, target.timeout))
            except exc.DBAPIError as error:
                if cannot_be_used(target, error):
                    raise no_tables(target, error) from error
                raise
            self._is_prepared = True
        try:
            return await self._run(verb, target.timeout)
        except exc.ProgrammingError:  # a table is missing: the next verb makes it
            self._is_prepared = False
            raise

    async def _run(self, verb: Callable[[], Steps[T]], timeout: float) -> T:
        attempt = 1
        while True:
            progress = Progress(max(timeout, CONNECT))
            try:
                async with asyncio.timeout(progress.left()) as limit:
                    connection = await self._connect()
                    progress = Progress(timeout)
                    try:
                        return await aperform(connection, verb(), progress, limit)
                    except BaseException as error:
                        if not isinstance(error, exc.DBAPIError):
                            await connection.invalidate()
                        raise
                    finally:
                        # If this was cancelled, the pool would miss the connection.
                        await asyncio.shield(asyncio.ensure_future(connection.close()))
            except Exception as error:
                if not may_repeat(error, attempt):
                    failure = progress.failure(error, self._target)
                    if failure is error:
                        raise
                    raise failure from error
            attempt += 1

    async def _connect(self) -> Any:
        begun = time.monotonic()
        try:
            return await self._engine.connect()
        except (exc.SQLAlchemyError, OSError) as error:
            raise not_connected(self._target, error, begun) from error

    async def close(self) -> None:
        if self._target.owned:
            await self._engine.dispose()

    def discard(self) -> None:
        if self._target.owned:
            self._engine.sync_engine.dispose(close=False)


def perform(connection: Any, steps: Steps[T], progress: Progress) -> T:
    """Perform a verb on a connection, and roll back what it has not committed."""
    try:
        statement, values = next(steps)
        while True:
            if statement.slow:
                progress.deadline = time.monotonic() + SLOW
            result: Any = 0
            for part in native(statement.text):
                set_deadline(connection, progress)
                try:
                    result = _result(connection.execute(part, values))
                except exc.IntegrityError as error:
                    if not is_duplicate(error):
                        raise
                progress.note(part.text)
            statement, values = steps.send(result)
    except StopIteration as stop:
        return stop.value  # type: ignore[no-any-return]
    finally:
        if progress.in_transaction and not connection.invalidated:
            connection.execute(*native("rollback"))


async def aperform(connection: Any, steps: Steps[T], progress: Progress, limit: Any) -> T:
    """Perform a verb on a connection of an event loop."""
    loop = asyncio.get_running_loop()
    driver = (await connection.get_raw_connection()).driver_connection
    try:
        statement, values = next(steps)
        while True:
            if statement.slow:
                progress.deadline = time.monotonic() + SLOW
            limit.reschedule(loop.time() + progress.left())
            if hasattr(driver, "deadline"):  # lembro's own class for psycopg
                driver.deadline = progress.deadline
            result: Any = 0
            for part in native(statement.text):
                try:
                    result = _result(await connection.execute(part, values))
                except exc.IntegrityError as error:
                    if not is_duplicate(error):
                        raise
                progress.note(part.text)
            statement, values = steps.send(result)
    except StopIteration as stop:
        return stop.value  # type: ignore[no-any-return]
    finally:
        if progress.in_transaction and not connection.invalidated:
            await connection.execute(*native("rollback"))


def _result(result: Any) -> Any:
    return result.fetchall() if result.returns_rows else result.rowcount
