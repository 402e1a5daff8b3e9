"""The statements of MySQL, MariaDB and SQLite, for SQLAlchemy and Django."""

from __future__ import annotations

import time
from typing import Final

from ...errors import ConfigError
from .dialect import Dialect
from .postgres_verbs import PostgresVerbs
from .postgres_verbs import dialect as postgres_dialect
from .settings import TABLE
from .verbs import Clock, SQLVerbs

_MYSQL: Final = (
    """
create table if not exists {table} (
    id bigint not null auto_increment primary key,
    skey varbinary(32) not null,
    payload longblob not null,
    owner varbinary(1024),
    successor varbinary(32),
    reputation varbinary(64),
    born bigint not null,
    expires bigint not null,
    death bigint not null,
    sweep integer not null,
    unique key {name}_skey (skey),
    key {name}_owner (owner, born),
    key {name}_sweep (sweep)
) engine = InnoDB""",
    "create table if not exists {table}_locks (n smallint not null primary key) engine = InnoDB",
)
_ROWS: Final = ", ".join(f"({number})" for number in range(256))
_SQLITE: Final = (
    """
create table if not exists {table} (
    id integer primary key,
    skey blob not null unique,
    payload blob not null,
    owner blob,
    successor blob,
    reputation blob,
    born integer not null,
    expires integer not null,
    death integer not null,
    sweep integer not null
)""",
    "create index if not exists {name}_owner on {table} (owner, born) where owner is not null",
    "create index if not exists {name}_sweep on {table} (sweep)",
)


def mysql_dialect(table: str = TABLE, *, clock: bool = False) -> Dialect:
    """Return the dialect of MySQL and MariaDB; the arguments are those of PostgreSQL's."""
    schema, _, name = table.rpartition(".")
    # Not unix_timestamp(), which is ambiguous for an hour when the summer time ends.
    now = "timestampdiff(microsecond, '1970-01-01', utc_timestamp(6))"
    return Dialect(
        now=":now" if clock else now,
        on_conflict="",
        returning=False,
        # With the default, REPEATABLE READ, the gaps between sessions are locked too.
        begin="set transaction isolation level read committed; begin",
        # An INSERT would lock the row whether it exists or not, but causes deadlocks.
        lock="select n from {table}_locks where n = :lock & 255 for update",
        div="div",
        table=table,
        purge=(
            "delete from {table} where sweep <= {now} div {sweep} and expires <= {now} limit :count"
        ),
        # An executable comment of MariaDB, which MySQL ignores.
        slow="/*M! set statement max_statement_time = 60 for */ ",
        exists=(
            "select count(*) = 2 from information_schema.tables where table_schema = "
            f"{repr(schema) if schema else 'database()'} and table_name in "
            f"('{name}', '{name}_locks')"
        ),
        create=tuple(text.format(table=table, name=name) for text in _MYSQL),
        locks=f"select count(*) from {table}_locks",
        seed=f"insert ignore into {table}_locks (n) values {_ROWS}",
    )


def sqlite_dialect(table: str = TABLE, *, clock: bool = False) -> Dialect:
    """Return the dialect of SQLite. The time is always a parameter, because the file is local."""
    schema, _, name = table.rpartition(".")
    return Dialect(
        now=":now",
        least="min",
        ignore="insert or ignore into",
        on_conflict="",
        returning=False,
        begin="begin immediate",
        for_update="",
        table=table,
        exists=(
            f"select count(*) from {f'{schema}.' if schema else ''}sqlite_master "
            f"where type = 'table' and name = '{name}'"
        ),
        create=tuple(text.format(table=table, name=name) for text in _SQLITE),
    )


DIALECTS: Final = {
    "postgresql": postgres_dialect,
    "mysql": mysql_dialect,
    "mariadb": mysql_dialect,
    "sqlite": sqlite_dialect,
}


def dialect_of(name: str, table: str, *, clock: bool = False) -> Dialect:
    """Return the dialect of a kind of database.

    Raises:
        ConfigError: lembro has no statements for it.
    """
    try:
        return DIALECTS[name](table, clock=clock)
    except KeyError:
        raise ConfigError(
            f"the database must be one of {', '.join(DIALECTS)}, got {name!r}"
        ) from None


def verbs_of(dialect: Dialect, kind: str, clock: Clock | None) -> SQLVerbs:
    """Return the verbs over a dialect."""
    if kind == "postgresql":
        return PostgresVerbs(dialect, clock)
    return SQLVerbs(dialect, time.time if kind == "sqlite" and clock is None else clock)
