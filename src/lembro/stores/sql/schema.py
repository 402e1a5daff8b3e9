"""The tables of the SQL stores, and the steps that make them."""

from __future__ import annotations

from typing import Final

from ..external.backend import Steps
from .dialect import Dialect, Statement

LOCKS: Final = 256


def make_tables(dialect: Dialect) -> Steps[None]:
    """Make the tables unless they exist. Several workers may call this at the same time."""
    [(exists,)] = yield Statement(dialect.exists, rows=True), {}
    if not exists:
        for text in dialect.create:
            yield Statement(text), {}
    if dialect.locks is not None:
        [(rows,)] = yield Statement(dialect.locks, rows=True), {}
        if rows < LOCKS:
            yield Statement(dialect.seed), {}
    yield Statement(f"select {dialect.columns} from {dialect.table} where 1 = 0", rows=True), {}


def remedy(kind: str, table: str) -> str:
    """Return what to do if the tables cannot be made."""
    return f"Let an administrator make it: lembro schema --dialect {kind} --table {table}"


def statements(dialect: Dialect) -> list[str]:
    """Return the statements that make the tables, for a migration."""
    made = [text.strip() for text in dialect.create if text not in dialect.guards]
    return [*made, dialect.seed] if dialect.seed else made


def script(dialect: Dialect) -> str:
    """Return the statements as a script for an administrator."""
    return "".join(f"{text};\n" for text in statements(dialect))
