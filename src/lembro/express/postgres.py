"""ConnectPgSimple: the sessions of connect-pg-simple, in PostgreSQL."""

from __future__ import annotations

from datetime import timedelta
from typing import Any, Final

from .._hints import explain_keywords
from ..stores.external.backend import Verbs
from ..stores.external.settings import check_timeout
from ..stores.external.store import MAX_SESSION_SIZE
from ..stores.memory.settings import check_interval
from ..stores.sql.dialect import Dialect
from ..stores.sql.postgres import PostgresBackend
from ..stores.sql.settings import MAX_CONNECTIONS, check_connections, check_table
from .sql import SQLSteps, Statements
from .store import ExpressStore, users_of
from .users import ReadUser, Users, WriteUser

_NOW: Final = "cast(extract(epoch from clock_timestamp()) * 1000 as bigint)"
# The column has no time zone. Like connect-pg-simple, each statement lets the zone of the
# connection decide.
_LEFT: Final = (
    "cast(extract(epoch from cast(expire as timestamptz) - clock_timestamp()) as double precision)"
)
_UNTIL: Final = "clock_timestamp() + cast(:idle as double precision) * interval '1 second'"
_LIVE: Final = "expire >= clock_timestamp()"
_HELD: Final = f"sid = :sid and cast(sess as text) = :before and {_LIVE}"


def statements(table: str) -> Statements:
    """Return the statements for a table, whose name is quoted."""
    return Statements(
        time=f"select {_NOW}",
        read=(
            f"select cast(sess as text), {_LEFT}, {_NOW} from {table} where sid = :sid and {_LIVE}"
        ),
        insert=(
            f"insert into {table} (sid, sess, expire) values (:sid, cast(:raw as json), {_UNTIL}) "
            "on conflict do nothing"
        ),
        swap=f"update {table} set sess = cast(:raw as json), expire = {_UNTIL} where {_HELD}",
        move=(
            f"with gone as (delete from {table} where {_HELD} "
            f"and not exists (select 1 from {table} where sid = :new) returning 1) "
            f"insert into {table} (sid, sess, expire) "
            f"select :new, cast(:raw as json), {_UNTIL} from gone"
        ),
        extend=f"update {table} set expire = {_UNTIL} where sid = :sid and {_LIVE}",
        remove=f"delete from {table} where sid = :sid and cast(sess as text) = :before",
        page=(
            f"select sid, cast(sess as text), {_LEFT} from {table} "
            f"where sid > :after and {_LIVE} order by sid limit :count"
        ),
        length=f"select count(*) from {table} where {_LIVE}",
        clear=f"delete from {table}",
        purge=(
            f"delete from {table} where sid in (select sid from {table} "
            "where expire < clock_timestamp() limit :count for update skip locked)"
        ),
        patience=(
            "select set_config('statement_timeout', '60000', true), "
            "set_config('lock_timeout', '60000', true)"
        ),
    )


def dialect(table: str) -> Dialect:
    """Return the dialect with the table of connect-pg-simple."""
    quoted = ".".join(f'"{part}"' for part in table.split("."))
    name = table.rpartition(".")[2]
    return Dialect(
        now=_NOW,
        table=quoted,
        columns="sid, sess, expire",
        exists=f"select to_regclass('{quoted}') is not null",
        create=(
            "begin",
            "select pg_advisory_xact_lock(7811886604230617)",
            f"create table if not exists {quoted} (sid varchar not null primary key, "
            "sess json not null, expire timestamp(6) not null)",
            f'create index if not exists "IDX_{name}_expire" on {quoted} (expire)',
            "commit",
        ),
        remedy="Let an administrator make it with the table.sql of connect-pg-simple",
    )


class _Backend(PostgresBackend):
    def __init__(self, users: Users, *args: Any, **options: Any) -> None:
        self._users = users
        super().__init__(*args, **options)

    def make_verbs(self, table: str, clock: object) -> tuple[Dialect, Verbs]:
        sql = dialect(table)
        return sql, SQLSteps(self._users, statements(sql.table))


@explain_keywords
class ConnectPgSimple(ExpressStore):
    """The sessions of connect-pg-simple, in PostgreSQL.

    It needs psycopg and its pool: ``pip install 'lembro[postgres]'``. The column ``expire`` has no
    time zone, so the connections of Express and Python must have the same ``TimeZone``. By default,
    it is the server's.

    Args:
        url: A URL such as ``postgresql://user:password@host/database``, with the parameters of
            libpq. Or a connection string of libpq.
        table: The ``tableName`` of connect-pg-simple, with its schema if it has one.
        user: The path of the user ID in the session's data, or a function that takes the data and
            returns the ID. Default: ``passport.user``.
        set_user: A function that takes the data and a user ID, and notes the login in the data.
            Only if ``user`` is a function.
        user_type: The type of the ID at the path: str or int.
        max_session_size: The maximum size of a session in bytes.
        max_connections: The maximum number of connections of each process, and of each event loop.
        timeout: The maximum number of seconds to wait for a connection and for the reply to a verb.
        interval: How often a thread removes expired sessions: seconds or a timedelta.
        pgbouncer: Whether the URL is that of a PgBouncer in transaction mode.

    Raises:
        ConfigError: An argument is invalid, or psycopg is not installed.
    """

    def __init__(
        self,
        url: str,
        *,
        table: str = "session",
        user: ReadUser | None = None,
        set_user: WriteUser | None = None,
        user_type: type[str] | type[int] | None = None,
        max_session_size: int | str = MAX_SESSION_SIZE,
        max_connections: int = MAX_CONNECTIONS,
        timeout: float = 0.2,
        interval: float | timedelta = 900,
        pgbouncer: bool = False,
    ) -> None:
        users = users_of(user, set_user, user_type)
        backend = _Backend(
            users,
            url,
            check_table(table),
            check_timeout(timeout),
            check_connections(max_connections),
            pgbouncer=pgbouncer,
            clock=None,
        )
        super().__init__(
            backend, users, max_session_size=max_session_size, interval=check_interval(interval)
        )
