"""The PostgreSQL database of a store, the types of its errors, and its placeholders."""

from __future__ import annotations

import re
from functools import lru_cache
from typing import Any, Final

import psycopg
from psycopg import conninfo

from ...errors import ConfigError, StoreError
from ..external.backend import Dropped
from .dialect import Dialect
from .sql_errors import STATES, message_of

CONNECT: Final = 2.0  # seconds to wait for the first connection; the least that libpq allows

_NAMES: Final = re.compile(r":([a-z]+)")


@lru_cache(maxsize=256)
def native(text: str) -> bytes:
    """Return a statement with the placeholders of psycopg."""
    return _NAMES.sub(r"%(\1)s", text).encode()


def translate(error: Exception, place: str) -> StoreError | None:
    """Return the error of lembro for one of psycopg."""
    if not isinstance(error, psycopg.Error):
        return StoreError(f"{place}: {error}") if isinstance(error, OSError) else None
    message = f"{place}: {message_of(error)}"
    if error.sqlstate is not None:
        return STATES.get(error.sqlstate, StoreError)(message)
    broken = isinstance(error, psycopg.OperationalError | psycopg.InterfaceError)
    return Dropped(message) if broken else StoreError(message)


class Target:
    """A database, and how its connections are set up.

    Args:
        url: The URL or the connection string.
        dialect: The statements that make the tables.
        timeout: Seconds that a verb may take.
        max_connections: The maximum number of connections of a pool.
        pgbouncer: Whether prepared statements and settings of a connection are not used.

    Raises:
        ConfigError: The URL cannot be read.
    """

    def __init__(
        self, url: str, dialect: Dialect, timeout: float, max_connections: int, *, pgbouncer: bool
    ) -> None:
        self.place: str
        self.place, parameters = read_url(url)
        parameters.setdefault("connect_timeout", CONNECT)
        parameters.setdefault("application_name", "lembro")
        self.dialect = dialect
        self.timeout = timeout
        self.max_connections = max_connections
        self.settings: str | None = (
            None
            if pgbouncer
            # If a lock is held for too long, only that verb fails. A worker that hangs in a
            # transaction must not hold the lock of a user.
            else f"select set_config('lock_timeout', '{int(timeout * 700)}', false), "
            f"set_config('statement_timeout', '{int(timeout * 900)}', false), "
            f"set_config('idle_in_transaction_session_timeout', '{int(timeout * 5000)}', false)"
        )
        self.keywords: dict[str, Any] = {
            **parameters,
            "autocommit": True,
            "prepare_threshold": None if pgbouncer else 5,
        }


def read_url(url: str) -> tuple[str, dict[str, Any]]:
    """Return the name of a database for errors, and its parameters.

    Raises:
        ConfigError: The URL cannot be read. The message contains no password.
    """
    reason = ""
    try:
        if _has_split_password(url):
            raise psycopg.ProgrammingError
        parameters: dict[str, Any] = dict(conninfo.conninfo_to_dict(url))
    except (psycopg.ProgrammingError, AttributeError) as error:  # of another type than str
        parameters = {}
        # Other messages of libpq may contain the password.
        unknown = re.search(r'query parameter: "(\w+)"', str(error))
        reason = f": libpq has no parameter {unknown[1]!r}" if unknown else ""
    if not parameters:
        raise ConfigError(
            f"the URL of the PostgreSQL database cannot be read{reason}. "
            f"Example: 'postgresql://user:password@localhost/database?sslmode=require'. "
            f"Write special characters of a password as %XX, for example %40 for @"
        ) from None
    hosts = str(parameters.get("host") or "localhost").split(",")
    ports = str(parameters.get("port") or "").split(",")
    ports += ports[-1:] * (len(hosts) - len(ports))
    address = ",".join(
        f"{host}:{port}" if port else host for host, port in zip(hosts, ports, strict=False)
    )
    return f"postgresql://{address}/{parameters.get('dbname') or ''}", parameters


def _has_split_password(url: str) -> bool:
    """Return whether an @ or a slash in a password splits a URL, so that the place contains a part
    of the password."""
    address, _, path = url.partition("://")[2].partition("?")[0].partition("/")
    return address.count("@") > 1 or "@" in path
