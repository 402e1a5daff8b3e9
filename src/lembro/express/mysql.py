"""ExpressMySQLSession: the sessions of express-mysql-session, in MySQL or MariaDB."""

from __future__ import annotations

from datetime import timedelta
from typing import Any, Final

from .._hints import explain_keywords
from ..errors import ConfigError
from ..stores.external.backend import Steps, Verbs
from ..stores.external.settings import check_timeout
from ..stores.external.store import MAX_SESSION_SIZE
from ..stores.memory.settings import check_interval
from ..stores.sql.dialect import Dialect, Statement
from ..stores.sql.settings import MAX_CONNECTIONS, check_connections, check_table
from ..stores.sql.sqlalchemy import SQLAlchemyBackend
from .sql import SQLSteps, Statements
from .store import ExpressStore, users_of
from .users import ReadUser, Users, WriteUser
from .verbs import Row

_NOW: Final = "timestampdiff(microsecond, '1970-01-01', utc_timestamp(6)) div 1000"
_LEFT: Final = "cast(expires as signed) - unix_timestamp()"
_UNTIL: Final = "least(4294967295, cast(round(unix_timestamp() + :idle) as unsigned))"
_LIVE: Final = "expires >= unix_timestamp()"
# As bytes, because the column may have a collation in which different texts are equal. The column
# may also be NULL.
_SAME: Final = "cast(convert(data using utf8mb4) as binary) <=> cast(:before as binary)"
_HELD: Final = f"session_id = :sid and {_SAME} and {_LIVE}"

# An executable comment of MariaDB, which MySQL ignores.
_SLOW: Final = "/*M! set statement max_statement_time = 60 for */ "

_BEGIN: Final = Statement("set transaction isolation level read committed; begin")
_COMMIT: Final = Statement("commit")


def statements(table: str) -> Statements:
    """Return the statements for a table, whose name is quoted."""
    return Statements(
        time=f"select {_NOW}",
        read=f"select data, {_LEFT}, {_NOW} from {table} where session_id = :sid and {_LIVE}",
        insert=f"insert into {table} (session_id, expires, data) values (:sid, {_UNTIL}, :raw)",
        swap=f"update {table} set data = :raw, expires = {_UNTIL} where {_HELD}",
        move=f"select 1 from {table} where {_HELD} for update",
        extend=f"update {table} set expires = {_UNTIL} where session_id = :sid and {_LIVE}",
        remove=f"delete from {table} where session_id = :sid and {_SAME}",
        page=(
            f"{_SLOW}select session_id, data, {_LEFT} from {table} "
            f"where session_id > :after and {_LIVE} order by session_id limit :count"
        ),
        length=f"{_SLOW}select count(*) from {table} where {_LIVE}",
        clear=f"{_SLOW}delete from {table}",
        purge=f"{_SLOW}delete from {table} where expires < unix_timestamp() limit :count",
    )


def dialect(table: str) -> Dialect:
    """Return the dialect with the table of express-mysql-session."""
    quoted = ".".join(f"`{part}`" for part in table.split("."))
    schema, _, name = table.rpartition(".")
    return Dialect(
        now=_NOW,
        table=quoted,
        columns="session_id, expires, data",
        exists=(
            "select count(*) = 1 from information_schema.tables where table_schema = "
            f"{repr(schema) if schema else 'database()'} and table_name = '{name}'"
        ),
        create=(
            f"create table if not exists {quoted} ("
            "session_id varchar(128) character set utf8mb4 collate utf8mb4_bin not null, "
            "expires int(11) unsigned not null, "
            "data mediumtext character set utf8mb4 collate utf8mb4_bin, "
            "primary key (session_id)) engine = InnoDB",
        ),
        remedy="Let an administrator make it with the schema.sql of express-mysql-session",
    )


class MySQLSteps(SQLSteps):
    """The steps in MySQL and MariaDB. A transaction gives a session its new ID."""

    def move(
        self, old: str, new: str, before: Any, raw: Any, idle: float
    ) -> Steps[Row | bool | None]:
        yield _BEGIN, {}
        held = yield Statement(self.statements.move, rows=True), {"sid": old, "before": before}
        if not held:
            return (yield from self.read(old))
        if not (yield from self.insert(new, raw, idle)):
            return None
        yield Statement(self.statements.remove), {"sid": old, "before": before}
        yield _COMMIT, {}
        return True


class _Backend(SQLAlchemyBackend):
    def __init__(self, users: Users, *args: Any) -> None:
        self._users = users
        super().__init__(*args)

    def make_verbs(self, target: Any, clock: object) -> Verbs:
        if target.kind not in ("mysql", "mariadb"):
            raise ConfigError(
                f"express-mysql-session needs MySQL or MariaDB, got a {target.kind}: URL. Example: "
                f"ExpressMySQLSession('mysql://user:password@localhost/database')"
            )
        target.dialect = dialect(target.dialect.table)
        return MySQLSteps(self._users, statements(target.dialect.table))


@explain_keywords
class ExpressMySQLSession(ExpressStore):
    """The sessions of express-mysql-session, in MySQL or MariaDB.

    It needs SQLAlchemy, PyMySQL and asyncmy: ``pip install 'lembro[sql]'``.

    Args:
        database: A URL such as ``mysql://user:password@host/database``. Or an ``Engine`` for sync
            callers, or an ``AsyncEngine`` for async callers; the store never closes it.
        table: The ``tableName`` of express-mysql-session, with its database if it has another one.
            The columns have the default names.
        user: The path of the user ID in the session's data, or a function that takes the data and
            returns the ID. Default: ``passport.user``.
        set_user: A function that takes the data and a user ID, and notes the login in the data.
            Only if ``user`` is a function.
        user_type: The type of the ID at the path: str or int.
        max_session_size: The maximum size of a session in bytes.
        max_connections: The maximum number of connections of each process, and of each event loop.
            Only with a URL.
        timeout: The maximum number of seconds to wait for a connection and for the reply to a verb.
        interval: How often a thread removes expired sessions: seconds or a timedelta.

    Raises:
        ConfigError: An argument is invalid, or a package is not installed.
    """

    def __init__(
        self,
        database: Any,
        *,
        table: str = "sessions",
        user: ReadUser | None = None,
        set_user: WriteUser | None = None,
        user_type: type[str] | type[int] | None = None,
        max_session_size: int | str = MAX_SESSION_SIZE,
        max_connections: int = MAX_CONNECTIONS,
        timeout: float = 0.2,
        interval: float | timedelta = 900,
    ) -> None:
        users = users_of(user, set_user, user_type)
        backend = _Backend(
            users,
            database,
            check_table(table),
            check_timeout(timeout),
            check_connections(max_connections),
            None,
        )
        super().__init__(
            backend, users, max_session_size=max_session_size, interval=check_interval(interval)
        )
