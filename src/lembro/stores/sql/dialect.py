"""The statements of the verbs, as text with ``:names``, for each kind of database.

Times are microseconds since 1970 by the database's clock, in one BIGINT. ``expires`` is the idle
deadline. It is never later than ``death``, the absolute deadline. The user is stored as bytes, so
that no collation treats two users as equal, and so that a NUL can be stored.

``expires`` has no index, because each request would change it. ``sweep`` is ``expires`` in steps of
five minutes, and has an index for the purger.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import Final, NamedTuple

NEVER: Final = 2**62
"""The value of ``death`` if there is no absolute deadline."""
COLUMNS: Final = "id, skey, payload, owner, successor, reputation, born, expires, death, sweep"
SWEEP: Final = 300_000_000
"""Microseconds in a step of ``sweep``."""
PAGE: Final = 256
"""Sessions in a page of an iteration."""
SLOW: Final = ("page", "length", "clear", "purge")
"""Statements whose time grows with the table."""


class Statement(NamedTuple):
    """A command of a verb."""

    text: str
    rows: bool = False
    """Whether it returns rows. Otherwise the result is a count."""
    slow: bool = False
    """Whether its time grows with the table, so that the deadline of a request is too short."""


@dataclass(frozen=True)
class Dialect:
    """The parts of the statements that differ between the kinds of databases.

    Args:
        now: The expression for the database's clock in microseconds. If Python supplies the time,
            it is ``:now``.
        least: The function that returns the smaller of two numbers.
        ignore: The beginning of an INSERT that does nothing if the key exists.
        on_conflict: The end of such an INSERT.
        returning: Whether UPDATE and DELETE can return rows. If not, the row is read first.
        begin: The statement that begins a transaction.
        for_update: The end of a SELECT that locks its rows.
        lock: The statement that lets one transaction at a time change the sessions of the user
            whose 64-bit hash is ``:lock``. None: ``begin`` is enough.
        number: The placeholder of a number. For PostgreSQL it has a cast, because its drivers would
            guess the type.
        div: The operator of an integer division.
        table: The name of the table.
        added: More columns of a new record: the column and its expression.
        used: More assignments for each use of a record.
        purge: The statement that deletes at most ``:count`` expired records.
        patience: The statement that allows the next statement of a transaction more time than a
            request has. None: the server has no limit.
        slow: The beginning of a statement that may take longer than a request.
        exists: The statement that returns whether the tables exist.
        create: The statements that make the tables.
        locks: The statement that counts the rows of the table that ``lock`` needs, if any.
        seed: The statement that makes those rows.
        guards: The statements of ``create`` that only let workers make the tables one by one.
        columns: The columns that the table must have.
        remedy: How to get a table that is missing, if ``lembro schema`` does not make it.
    """

    now: str
    least: str = "least"
    ignore: str = "insert into"
    on_conflict: str = " on conflict do nothing"
    returning: bool = True
    begin: str = "begin"
    for_update: str = " for update"
    lock: str | None = None
    number: str = ":{}"
    div: str = "/"
    table: str = "lembro_sessions"
    added: tuple[tuple[str, str], ...] = ()
    used: str = ""
    purge: str = (
        "delete from {table} where id in (select id from {table} where sweep <= {now} / {sweep}"
        " and expires <= {now} limit :count)"
    )
    patience: str | None = None
    slow: str = ""
    exists: str = ""
    create: tuple[str, ...] = ()
    locks: str | None = None
    seed: str = ""
    guards: tuple[str, ...] = ()
    columns: str = COLUMNS
    remedy: str = ""


_NUMBERS: Final = r":(now|idle|life|until|born|death|count|lock)\b"
_ROW: Final = "payload, owner, successor, reputation, born, expires, death, {now}"


@dataclass(frozen=True)
class Statements:
    """The statements of one dialect."""

    dialect: Dialect
    begin: Statement = field(init=False)
    commit: Statement = field(init=False)
    lock: Statement | None = field(init=False)
    patience: Statement | None = field(init=False)
    get: Statement = field(init=False)
    get_locked: Statement = field(init=False)
    insert: Statement = field(init=False)
    insert_until: Statement = field(init=False)
    drop_expired: Statement = field(init=False)
    set: Statement = field(init=False)
    touch: Statement = field(init=False)
    rotate: Statement = field(init=False)
    link: Statement = field(init=False)
    delete: Statement = field(init=False)
    destroy: Statement = field(init=False)
    destroy_expected: Statement = field(init=False)
    heads: Statement = field(init=False)
    of_user: Statement = field(init=False)
    page: Statement = field(init=False)
    length: Statement = field(init=False)
    clear: Statement = field(init=False)
    purge: Statement = field(init=False)
    ping: Statement = field(init=False)

    def __post_init__(self) -> None:
        d = self.dialect
        live = "expires > {now}"
        head = f"skey = :key and successor is null and {live}"
        idle = "{least}({now} + :idle, death)"
        used = f"expires = {idle}, sweep = {idle} {d.div} {{sweep}}{d.used}"
        columns = "skey, payload, owner, reputation, born, expires, death, sweep"
        values = (
            ":key, :payload, :owner, :reputation, {born}, {until}, {death}, "
            f"{{until}} {d.div} {{sweep}}"
        )
        for name, expression in d.added:
            columns, values = f"{columns}, {name}", f"{values}, {expression}"
        insert = f"{{ignore}} {{table}} ({columns}) values ({values}){{on_conflict}}"
        row = f" returning {_ROW}" if d.returning else ""
        same = " and payload = :expected"

        def new(born: str, death: str) -> str:
            until = f"{d.least}({d.now} + :idle, {death})"
            return (
                insert.replace("{born}", born).replace("{death}", death).replace("{until}", until)
            )

        texts = {
            "begin": (d.begin, False),
            "commit": ("commit", False),
            "ping": ("select 1", True),
            "get": (f"select {_ROW} from {{table}} where skey = :key and {live}", True),
            "get_locked": (
                f"select {_ROW} from {{table}} where skey = :key and {live}{d.for_update}",
                True,
            ),
            "insert": (
                new("{now} - :age", f"case when :life < 0 then {NEVER} else {{now}} + :life end"),
                False,
            ),
            "insert_until": (new(":born", ":death"), False),
            "drop_expired": ("delete from {table} where skey = :key and expires <= {now}", False),
            "set": (
                f"update {{table}} set payload = :payload, {used} where {head}{same}{row}",
                d.returning,
            ),
            "touch": (f"update {{table}} set {used} where {head}", False),
            "rotate": (
                "update {table} set payload = :empty, successor = :new, reputation = null, "
                f"expires = :until, death = :until, sweep = :until {d.div} {{sweep}} "
                "where skey = :key",
                False,
            ),
            "link": ("update {table} set successor = :new where skey = :key", False),
            "delete": ("delete from {table} where skey = :key", False),
            "destroy": (
                f"delete from {{table}} where skey = :key and {live}{row}",
                d.returning,
            ),
            "destroy_expected": (f"delete from {{table}} where {head}{same}{row}", d.returning),
            "heads": (
                "select skey, successor, expires, {now} from {table} where owner = :owner "
                f"order by born, id{d.for_update}",
                True,
            ),
            "of_user": (
                f"select skey, {_ROW} from {{table}} where owner = :owner and successor is null "
                f"and {live} order by born, id",
                True,
            ),
            "page": (
                f"select skey, {_ROW} from {{table}} where skey > :after and successor is null "
                f"and {live} order by skey limit {PAGE}",
                True,
            ),
            "length": (
                f"select count(*) from {{table}} where successor is null and {live}",
                True,
            ),
            "clear": ("delete from {table} where skey < :first or skey >= :end", False),
            "purge": (d.purge, False),
        }
        for name, (text, rows) in texts.items():
            slow = name in SLOW
            statement = Statement(self._filled(d.slow * slow + text), rows, slow)
            object.__setattr__(self, name, statement)
        lock = None if d.lock is None else Statement(self._filled(d.lock), rows=True)
        object.__setattr__(self, "lock", lock)
        patience = None if d.patience is None else Statement(d.patience, slow=True)
        object.__setattr__(self, "patience", patience)

    def _filled(self, text: str) -> str:
        d = self.dialect
        for name in ("table", "least", "ignore", "on_conflict", "now"):
            text = text.replace(f"{{{name}}}", getattr(d, name))
        text = text.replace("{sweep}", str(SWEEP))
        return re.sub(_NUMBERS, lambda match: d.number.format(match[1]), text)
