"""DjangoStore: sessions in a database of Django's settings, on Django's own connections."""

from __future__ import annotations

import threading
from collections.abc import Callable
from datetime import timedelta
from functools import partial
from typing import TYPE_CHECKING, Any

from ..._hints import explain_keywords
from ...errors import ConfigError, StoreError
from ..external.backend import AsyncConnector, Connector
from ..external.extras import client
from ..external.purger import NAME
from ..external.store import MAX_SESSION_SIZE, ExternalStore
from ..memory.settings import check_interval
from .settings import TABLE, check_table

if TYPE_CHECKING:
    from .verbs import Clock, SQLVerbs


@explain_keywords
class DjangoStore(ExternalStore):
    """Sessions in one of the databases of Django's settings.

    It uses ``connections[alias]`` of the calling thread, as the ORM does. Inside
    ``transaction.atomic()``, its writes are part of that transaction. The first use makes the
    tables if they are missing; :func:`create_tables` makes them in a migration. The deadlines are
    those of the database's ``OPTIONS``.

    Args:
        alias: The database, a key of ``DATABASES``: PostgreSQL, MySQL, MariaDB or SQLite.
        table: The name of the table.
        max_session_size: The maximum size of a session in bytes.
        interval: How often a thread removes expired sessions: seconds or a timedelta.
        clock: A function that returns seconds, for tests. The default is the server's clock.

    Raises:
        ConfigError: An argument is invalid, or Django is not installed.
    """

    def __init__(
        self,
        alias: str = "default",
        *,
        table: str = TABLE,
        max_session_size: int | str = MAX_SESSION_SIZE,
        interval: float | timedelta = 360,
        clock: Clock | None = None,
    ) -> None:
        self._backend = DjangoBackend(alias, check_table(table), clock)
        super().__init__(
            self._backend,
            max_session_size=max_session_size,
            interval=check_interval(interval),
        )

    def purge(self, limit: int | None = None) -> int:
        """Remove expired records, at most ``limit``. Return how many were removed."""
        try:
            return super().purge(limit)
        finally:
            # Django closes the connections of requests, but not that of the purge thread.
            if threading.current_thread().name == NAME:
                self._backend.close()


class DjangoBackend:
    """The verbs and connectors of one database of Django's settings."""

    def __init__(self, alias: str, table: str, clock: Clock | None) -> None:
        db = client("django.db", "django")
        # Imported here, because only an application with Django has it.
        from . import django_connector as connectors  # noqa: PLC0415
        from .other_dialects import dialect_of, verbs_of  # noqa: PLC0415

        wrong = client("django.core.exceptions", "django").ImproperlyConfigured
        try:
            known = [*db.connections.settings]
        except (wrong, ImportError) as error:
            raise ConfigError(
                f"DjangoStore needs Django's settings ({error}). In a command, set the environment "
                f"variable DJANGO_SETTINGS_MODULE"
            ) from error
        if alias not in known:
            raise ConfigError(
                f"alias must be a key of DATABASES in Django's settings, got {alias!r} "
                f"(there are {', '.join(map(repr, known))})"
            )
        vendor = db.connections[alias].vendor
        dialect = dialect_of(vendor, table, clock=clock is not None)
        tables = connectors.Tables(alias, dialect)
        self.verbs: SQLVerbs = verbs_of(dialect, vendor, clock)
        self.place: str = f"django://{alias}"
        self.close: Callable[[], None] = partial(_close, db.connections, alias)
        self.connector: Callable[[], Connector] = lambda: connectors.DjangoConnector(tables)
        self.async_connector: Callable[[], AsyncConnector] = lambda: (
            connectors.AsyncDjangoConnector(tables)
        )
        self._translate = connectors.translate

    def translate(self, error: Exception) -> StoreError | None:
        """Return the error of lembro for one of Django's."""
        return error if isinstance(error, StoreError) else self._translate(error, self.place)


def _close(connections: Any, alias: str) -> None:
    """Close the connection of this thread."""
    connections[alias].close()


def create_tables(schema_editor: Any, table: str = TABLE) -> None:
    """Make the tables in a migration, in the database that it migrates.

    Args:
        schema_editor: The editor that Django passes to the functions of a migration.
        table: The name of the table.

    Raises:
        ConfigError: The name is invalid, or lembro has no statements for this database.

    Example::

        def forwards(apps, schema_editor):
            create_tables(schema_editor)

        operations = [migrations.RunPython(forwards, migrations.RunPython.noop)]
    """
    from .django_connector import perform  # noqa: PLC0415
    from .other_dialects import dialect_of  # noqa: PLC0415
    from .schema import make_tables  # noqa: PLC0415

    connection = schema_editor.connection
    perform(connection, make_tables(dialect_of(connection.vendor, check_table(table))))
