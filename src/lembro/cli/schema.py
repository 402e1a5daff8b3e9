"""``lembro schema``: print the statements that make the tables of an SQL database."""

from __future__ import annotations

import argparse
from typing import Any

from ..stores.sql.settings import DIALECTS, TABLE
from . import arguments as types
from .arguments import Parser


def add(commands: Any) -> None:
    """Add ``lembro schema``."""
    parser: Parser = commands.add_parser(
        "schema",
        help="print the statements that make the tables of an SQL database",
        description=_schema.__doc__,
    )
    parser.add_argument(
        "--dialect", required=True, choices=DIALECTS, metavar="NAME", help=", ".join(DIALECTS)
    )
    parser.add_argument(
        "--table", type=types.table, default=TABLE, help="name of the table (%(default)s)"
    )
    parser.set_defaults(run=_schema)


def _schema(arguments: argparse.Namespace) -> int:
    """Print the statements that make the tables, for a database administrator or a migration."""
    from ..stores.sql.other_dialects import dialect_of  # noqa: PLC0415 - slow to import
    from ..stores.sql.schema import script  # noqa: PLC0415

    print(script(dialect_of(arguments.dialect, arguments.table)), end="")
    return 0
