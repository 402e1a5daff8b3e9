"""The database of a SQLAlchemyStore, its engines, and the types of its errors."""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final

from sqlalchemy import create_engine, exc
from sqlalchemy.engine import URL, Engine, make_url
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine

from ...errors import ConfigError, StoreError, StoreUnavailable
from ..external.backend import Busy, Dropped
from ..external.extras import client
from .dialect import Dialect
from .other_dialects import dialect_of
from .sql_errors import kind_of, message_of

CONNECT: Final = 2.0  # seconds to connect
OPTIONS: Final[dict[str, Any]] = {"preserve_rowcount": True}  # of an INSERT, on PostgreSQL
_DRIVERS: Final = {
    "mysql": ("pymysql", "asyncmy"),
    "mariadb": ("pymysql", "asyncmy"),
    "postgresql": ("psycopg", "psycopg"),
    "sqlite": ("pysqlite", "aiosqlite"),
}
"""The sync and the async driver, unless the URL names one."""
_MODULES: Final = ("pymysql", "asyncmy", "psycopg", "aiosqlite")
"""Drivers that are modules outside of the standard library."""


@dataclass
class Target:
    """A database."""

    place: str
    kind: str
    dialect: Dialect
    timeout: float
    make_engine: Callable[[], Engine] | None
    make_async_engine: Callable[[], AsyncEngine] | None
    owned: bool
    """Whether lembro made the engines, and closes them."""


def target_of(
    database: Any, table: str, timeout: float, max_connections: int, *, clock: bool
) -> Target:
    """Return the database of a URL, or of an engine.

    Raises:
        ConfigError: The URL cannot be read, or lembro has no statements for this database.
    """
    given = isinstance(database, Engine | AsyncEngine)
    url = database.url if given else _read(database)
    kind = url.get_backend_name()
    dialect = dialect_of(kind, table, clock=clock)
    host = f"{url.host or ''}{f':{url.port}' if url.port else ''}"
    place = f"{kind}://{host}/{url.database or ''}"
    sync: Callable[[], Engine] | None = None
    aio: Callable[[], AsyncEngine] | None = None
    if isinstance(database, Engine):
        sync = _inherited(database)
    elif isinstance(database, AsyncEngine):
        given_engine = database.execution_options(isolation_level="AUTOCOMMIT", **OPTIONS)
        aio = lambda: given_engine  # noqa: E731
    else:
        options = _options(kind, timeout, max_connections)
        sync, aio = _makers(url, kind, options, timeout)
    return Target(place, kind, dialect, timeout, sync, aio, owned=not given)


def _read(database: Any) -> URL:
    driver = ""
    try:
        if not isinstance(database, str | URL):
            raise TypeError
        url = make_url(database)
        driver = url.drivername
        if "+" in driver:
            url.get_dialect()
        if "@" in (url.host or ""):  # of the password
            raise ValueError
    except exc.NoSuchModuleError:
        raise ConfigError(
            f"SQLAlchemy has no dialect and driver {driver!r}. "
            f"Examples: 'postgresql+asyncpg', 'mysql+pymysql'"
        ) from None
    except (exc.ArgumentError, TypeError, ValueError):  # the message may contain the password
        raise ConfigError(
            "SQLAlchemyStore needs a URL of SQLAlchemy, an Engine or an AsyncEngine. "
            "Example: SQLAlchemyStore('mysql://user:password@localhost/database'). Write special "
            "characters of a password as %XX, for example %40 for @"
        ) from None
    return url


def _inherited(engine: Engine) -> Callable[[], Engine]:
    """Return a function that returns an engine, without the connections of a parent process."""
    pid = os.getpid()

    def make() -> Engine:
        if os.getpid() != pid:
            engine.dispose(close=False)
        return engine.execution_options(isolation_level="AUTOCOMMIT", **OPTIONS)

    return make


def _options(kind: str, timeout: float, max_connections: int) -> dict[str, Any]:
    """Return the options of an engine."""
    options: dict[str, Any] = {
        "isolation_level": "AUTOCOMMIT",
        "skip_autocommit_rollback": True,
        "pool_reset_on_return": None,  # a verb ends its transactions itself
        "execution_options": OPTIONS,
    }
    if kind != "sqlite":
        options |= {
            "pool_size": max_connections,
            "max_overflow": 0,
            "pool_timeout": timeout,
            "pool_recycle": 1800,
        }
    return options


def _makers(
    url: URL, kind: str, options: dict[str, Any], timeout: float
) -> tuple[Callable[[], Engine], Callable[[], AsyncEngine]]:
    """Return functions that make the sync and the async engine."""
    sync_driver, async_driver = _DRIVERS[kind]
    if "+" in url.drivername:  # a sync or an async driver: the other one is the default
        if url.get_dialect().is_async:
            async_driver = url.get_driver_name()
        else:
            sync_driver = url.get_driver_name()
    sync_url = url.set(drivername=f"{kind}+{sync_driver}")
    async_url = url.set(drivername=f"{kind}+{async_driver}")
    if sync_driver in _MODULES:
        client(sync_driver, "sql")
    # An error would quote the parameters, which contain sessions.
    options = {**options, "hide_parameters": True}

    def make() -> Engine:
        return create_engine(
            sync_url, **options, **_connecting(sync_url, sync_driver, timeout, "creator")
        )

    def amake() -> AsyncEngine:
        if async_driver in _MODULES:
            client(async_driver, "sql")
        return create_async_engine(
            async_url, **options, **_connecting(async_url, async_driver, timeout, "async_creator")
        )

    return make, amake


def _connecting(url: URL, driver: str, timeout: float, creator: str) -> dict[str, Any]:
    """Return the options with which a driver keeps its deadlines.

    The server ends a statement a little earlier than the client, so that the connection stays.
    MySQL cannot do so. There the client closes a connection that has waited for a lock for too
    long.
    """
    settings = (
        "set session innodb_lock_wait_timeout = 1 "
        f"/*M!, max_statement_time = {timeout * 0.9:.3f} */"
    )
    mysql: dict[str, Any] = {"connect_timeout": CONNECT, "init_command": settings}
    match driver:
        case "pymysql":
            # The timeout while it connects. Each verb sets its own.
            return {"connect_args": {**mysql, "read_timeout": CONNECT, "write_timeout": timeout}}
        case "asyncmy":
            return {"connect_args": mysql}
        case "psycopg":
            return {creator: _psycopg(url, timeout)[creator]}
        case "pysqlite" | "aiosqlite":
            return {"connect_args": {"timeout": timeout * 0.8}}  # "busy" comes before the deadline
        case _:
            return {}


def _psycopg(url: URL, timeout: float) -> dict[str, Any]:
    """Return functions that connect with lembro's own classes, which give up at a deadline."""
    client("psycopg", "postgres")
    from .psycopg_connections import AsyncDeadlineConnection, DeadlineConnection  # noqa: PLC0415

    _, keywords = url.get_dialect()().create_connect_args(url)
    keywords.setdefault("connect_timeout", int(CONNECT))
    keywords.setdefault("application_name", "lembro")
    keywords.setdefault(
        "options",
        f"-c lock_timeout={int(timeout * 700)} -c statement_timeout={int(timeout * 900)} "
        f"-c idle_in_transaction_session_timeout={int(timeout * 5000)}",
    )

    def connect() -> DeadlineConnection:
        connection = DeadlineConnection.connect(**keywords)
        connection.deadline = time.monotonic() + CONNECT
        return connection

    async def aconnect() -> AsyncDeadlineConnection:
        connection = await AsyncDeadlineConnection.connect(**keywords)
        connection.deadline = time.monotonic() + CONNECT
        return connection

    return {"creator": connect, "async_creator": aconnect}


def translate(error: Exception, place: str) -> StoreError | None:
    """Return the error of lembro for one of SQLAlchemy."""
    if isinstance(error, exc.TimeoutError):
        return Busy(f"{place}: all connections of this process are in use")
    if isinstance(error, asyncio.TimeoutError | ConnectionError):
        return StoreUnavailable(f"{place}: {error or type(error).__name__}")
    if isinstance(error, exc.DBAPIError):
        cause: Any = error.orig
        kind = Dropped if error.connection_invalidated else kind_of(cause)
        return (kind or _of_sqlite(cause, place) or StoreError)(f"{place}: {message_of(cause)}")
    return StoreError(f"{place}: {error}") if isinstance(error, OSError) else None


def _of_sqlite(cause: Any, place: str) -> type[StoreError] | None:
    if not hasattr(cause, "sqlite_errorcode"):
        return None
    from .sqlite_connector import translate as of_sqlite  # noqa: PLC0415

    found = of_sqlite(cause, place)
    return None if found is None else type(found)
