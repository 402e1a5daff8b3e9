"""The connections of Django, which opens and closes them for each thread.

In an event loop, a verb runs in the thread of ``sync_to_async``, as Django's own async methods do.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from functools import lru_cache, partial
from typing import Any, Final, TypeVar

from asgiref.sync import sync_to_async
from django.db import (
    DatabaseError,
    IntegrityError,
    InterfaceError,
    OperationalError,
    ProgrammingError,
    connections,
)

from ...errors import ConfigError, StoreError
from ..external.backend import Dropped, Steps
from .dialect import Dialect
from .schema import make_tables
from .sql_errors import DUPLICATE, kind_of, message_of, number_of

T = TypeVar("T")

_NAMES: Final = re.compile(r":([a-z]+)")


@lru_cache(maxsize=256)
def native(text: str) -> tuple[str, ...]:
    """Return the statements of a text, with Django's placeholders."""
    return tuple(_NAMES.sub(r"%(\1)s", part) for part in text.split("; "))


def translate(error: Exception, place: str) -> StoreError | None:
    """Return the error of lembro for one of Django's."""
    if not isinstance(error, DatabaseError | InterfaceError):
        return None
    cause: Any = error.__cause__
    kind = kind_of(cause)
    if kind is None and hasattr(cause, "sqlite_errorcode"):
        from .sqlite_connector import translate as of_sqlite  # noqa: PLC0415

        return of_sqlite(cause, place)
    if kind is None:
        broken = isinstance(error, OperationalError | InterfaceError)
        kind = Dropped if broken and not isinstance(number_of(cause), int) else StoreError
    return kind(f"{place}: {message_of(error)}")


class Tables:
    """The tables of a database. The first verb makes them.

    Args:
        alias: The database.
        dialect: The statements that make the tables.
    """

    def __init__(self, alias: str, dialect: Dialect) -> None:
        self.alias = alias
        self._dialect = dialect
        self.are_made: bool = False

    def ensure(self, connection: Any) -> None:
        """Make the tables unless this process has done so."""
        if self.are_made:
            return
        try:
            perform(connection, make_tables(self._dialect))
        except DatabaseError as error:
            if type(translate(error, "")) is not StoreError:
                raise
            raise ConfigError(
                f"the database {self.alias!r} has no table {self._dialect.table} that this version "
                f"of lembro can use ({error}). Make it in a migration, by "
                f"lembro.stores.sql.django.create_tables"
            ) from error
        self.are_made = not connection.in_atomic_block  # which may be rolled back


class DjangoConnector:
    """The connections of a process."""

    def __init__(self, tables: Tables) -> None:
        self._tables = tables

    def open(self) -> None:
        """Do nothing: Django connects when a thread first needs it."""

    def run(self, verb: Callable[[], Steps[T]], *, reads: bool) -> T:
        connection = connections[self._tables.alias]
        try:
            self._tables.ensure(connection)
            return perform(connection, verb())
        except BaseException as error:
            if isinstance(error, ProgrammingError):  # a table is missing: the next verb makes it
                self._tables.are_made = False
            known = isinstance(error, DatabaseError) and kind_of(error.__cause__) is not Dropped
            if not connection.in_atomic_block and not (known and connection.is_usable()):
                connection.close()  # a reply may still arrive
            raise

    def close(self) -> None:
        """Do nothing: Django closes its connections."""


class AsyncDjangoConnector:
    """The connections for event loops, in Django's thread for them."""

    def __init__(self, tables: Tables) -> None:
        self._connector = DjangoConnector(tables)

    async def open(self) -> None:
        """Do nothing: Django connects when a thread first needs it."""

    async def run(self, verb: Callable[[], Steps[T]], *, reads: bool) -> T:
        run = partial(self._connector.run, verb, reads=reads)
        return await sync_to_async(run, thread_sensitive=True)()

    async def close(self) -> None:
        """Do nothing: Django closes its connections."""

    def discard(self) -> None:
        """Do nothing: Django closes its connections."""


def perform(connection: Any, steps: Steps[T]) -> T:
    """Perform a verb, and roll back what it has not committed.

    Inside a transaction of the application, the transaction of a verb is a savepoint.
    """
    atomic, begun, savepoint = connection.in_atomic_block, False, None
    with connection.cursor() as cursor:
        try:
            statement, values = next(steps)
            while True:
                result: Any = 0
                if atomic and "begin" in statement.text:
                    savepoint = connection.savepoint()
                elif savepoint is not None and statement.text == "commit":
                    connection.savepoint_commit(savepoint)
                    savepoint = None
                else:
                    result = _execute(cursor, statement.text, values)
                    begun = "begin" in statement.text or (begun and statement.text != "commit")
                statement, values = steps.send(result)
        except StopIteration as stop:
            return stop.value  # type: ignore[no-any-return]
        finally:
            if savepoint is not None:
                connection.savepoint_rollback(savepoint)
            elif begun and connection.connection is not None:
                cursor.execute("rollback")


def _execute(cursor: Any, text: str, values: Any) -> Any:
    for part in native(text):
        try:
            cursor.execute(part, values)
        except IntegrityError as error:
            if number_of(error.__cause__) != DUPLICATE:
                raise
            return 0
    return cursor.fetchall() if cursor.description else cursor.rowcount
