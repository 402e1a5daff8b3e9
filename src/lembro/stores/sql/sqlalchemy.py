"""SQLAlchemyStore: sessions in MySQL, MariaDB and others, or with the engine of an application."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from ..._hints import explain_keywords
from ...errors import StoreError
from ..external.backend import AsyncConnector, Connector, Verbs
from ..external.extras import client
from ..external.settings import check_timeout
from ..external.store import MAX_SESSION_SIZE, ExternalStore
from ..memory.settings import check_interval
from .settings import MAX_CONNECTIONS, TABLE, check_connections, check_table

if TYPE_CHECKING:
    from .sqlalchemy_target import Target
    from .verbs import Clock


@explain_keywords
class SQLAlchemyStore(ExternalStore):
    """Sessions in a database that SQLAlchemy 2 connects to.

    It needs SQLAlchemy and, for MySQL and MariaDB, PyMySQL and asyncmy:
    ``pip install 'lembro[sql]'``. The first use makes the tables if they are missing. A thread
    removes expired sessions. For PostgreSQL, ``PostgresStore`` is faster.

    Args:
        database: A URL such as ``mysql://user:password@host/database``. Or an ``Engine`` for sync
            callers, or an ``AsyncEngine`` for async callers; the store never closes it.
        table: The name of the table, with its schema if it has one. Give each application its own.
        max_session_size: The maximum size of a session in bytes.
        max_connections: The maximum number of connections of each process, and of each event loop.
            Only with a URL.
        timeout: The maximum number of seconds to wait for a connection and for the reply to a verb.
            With an ``Engine``, set the timeouts of its driver instead.
        interval: How often the thread removes expired sessions: seconds or a timedelta.
        clock: A function that returns seconds, for tests. The default is the server's clock.

    Raises:
        ConfigError: An argument is invalid, or a package is not installed.
    """

    def __init__(
        self,
        database: Any,
        *,
        table: str = TABLE,
        max_session_size: int | str = MAX_SESSION_SIZE,
        max_connections: int = MAX_CONNECTIONS,
        timeout: float = 0.2,
        interval: float | timedelta = 360,
        clock: Clock | None = None,
    ) -> None:
        backend = SQLAlchemyBackend(
            database,
            check_table(table),
            check_timeout(timeout),
            check_connections(max_connections),
            clock,
        )
        super().__init__(
            backend, max_session_size=max_session_size, interval=check_interval(interval)
        )
        self.system: str = backend.system


class SQLAlchemyBackend:
    """The verbs and connectors of one database."""

    def __init__(
        self,
        database: Any,
        table: str,
        timeout: float,
        max_connections: int,
        clock: Clock | None,
    ) -> None:
        client("sqlalchemy", "sql")
        # Imported here, because only an application with such a database has SQLAlchemy.
        from . import sqlalchemy_connector as connectors  # noqa: PLC0415
        from .sqlalchemy_target import target_of, translate  # noqa: PLC0415

        target = target_of(database, table, timeout, max_connections, clock=clock is not None)
        self.verbs: Verbs = self.make_verbs(target, clock)
        self.place: str = target.place
        self.system: str = target.kind
        self.connector: Callable[[], Connector] | None = None
        self.async_connector: Callable[[], AsyncConnector] | None = None
        if target.make_engine is not None:
            self.connector = lambda: connectors.SQLAlchemyConnector(target)
        if target.make_async_engine is not None:
            self.async_connector = lambda: connectors.AsyncSQLAlchemyConnector(target)
        self._translate = translate

    def make_verbs(self, target: Target, clock: Clock | None) -> Verbs:
        """Make the verbs. A store with another table overrides this, and changes the dialect."""
        from .other_dialects import verbs_of  # noqa: PLC0415

        return verbs_of(target.dialect, target.kind, clock)

    def translate(self, error: Exception) -> StoreError | None:
        """Return the error of lembro for one of SQLAlchemy or of its driver."""
        return error if isinstance(error, StoreError) else self._translate(error, self.place)
