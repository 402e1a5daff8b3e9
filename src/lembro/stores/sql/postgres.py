"""PostgresStore: sessions in a PostgreSQL database, shared by the workers of many machines."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from typing import TYPE_CHECKING

from ..._hints import explain_keywords
from ...errors import StoreError
from ..external.backend import AsyncConnector, Connector, Verbs
from ..external.extras import client
from ..external.settings import check_timeout
from ..external.store import MAX_SESSION_SIZE, ExternalStore
from ..memory.settings import check_interval
from .settings import MAX_CONNECTIONS, TABLE, check_connections, check_table

if TYPE_CHECKING:
    from .dialect import Dialect
    from .verbs import Clock


@explain_keywords
class PostgresStore(ExternalStore):
    """Sessions in a PostgreSQL database.

    It needs psycopg and its pool: ``pip install 'lembro[postgres]'``. The first use makes the table
    if it is missing. A thread removes expired sessions.

    Args:
        url: A URL such as ``postgresql://user:password@host/database``, with the parameters of
            libpq. Or a connection string of libpq.
        table: The name of the table, with its schema if it has one. Give each application its own.
        max_session_size: The maximum size of a session in bytes.
        max_connections: The maximum number of connections of each process, and of each event loop.
        timeout: The maximum number of seconds to wait for a connection and for the reply to a verb.
        interval: How often the thread removes expired sessions: seconds or a timedelta.
        pgbouncer: Whether the URL is that of a PgBouncer in transaction mode. Then the store uses
            no prepared statements and no settings of a connection.
        clock: A function that returns seconds, for tests. The default is the server's clock.

    Raises:
        ConfigError: An argument is invalid, or psycopg is not installed.
    """

    system: str = "postgresql"

    def __init__(
        self,
        url: str,
        *,
        table: str = TABLE,
        max_session_size: int | str = MAX_SESSION_SIZE,
        max_connections: int = MAX_CONNECTIONS,
        timeout: float = 0.2,
        interval: float | timedelta = 360,
        pgbouncer: bool = False,
        clock: Clock | None = None,
    ) -> None:
        backend = PostgresBackend(
            url,
            check_table(table),
            check_timeout(timeout),
            check_connections(max_connections),
            pgbouncer=pgbouncer,
            clock=clock,
        )
        super().__init__(
            backend, max_session_size=max_session_size, interval=check_interval(interval)
        )


class PostgresBackend:
    """The verbs and connectors of one database."""

    def __init__(
        self,
        url: str,
        table: str,
        timeout: float,
        max_connections: int,
        *,
        pgbouncer: bool,
        clock: Clock | None,
    ) -> None:
        client("psycopg_pool", "postgres")
        # Imported here, because only an application with PostgreSQL has the client library.
        from . import psycopg_connector as connectors  # noqa: PLC0415
        from .psycopg_target import Target, translate  # noqa: PLC0415

        sql, verbs = self.make_verbs(table, clock)
        target = Target(url, sql, timeout, max_connections, pgbouncer=pgbouncer)
        self.verbs: Verbs = verbs
        self.place: str = target.place
        self.connector: Callable[[], Connector] = lambda: connectors.PsycopgConnector(target)
        self.async_connector: Callable[[], AsyncConnector] = lambda: (
            connectors.AsyncPsycopgConnector(target)
        )
        self._translate = translate

    def make_verbs(self, table: str, clock: Clock | None) -> tuple[Dialect, Verbs]:
        """Make the verbs, and the dialect of their table. A store with another table overrides
        this."""
        from . import postgres_verbs  # noqa: PLC0415

        sql = postgres_verbs.dialect(table, clock=clock is not None)
        return sql, postgres_verbs.PostgresVerbs(sql, clock)

    def translate(self, error: Exception) -> StoreError | None:
        """Return the error of lembro for one of psycopg."""
        return error if isinstance(error, StoreError) else self._translate(error, self.place)
