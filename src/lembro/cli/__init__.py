"""The command line: ``lembro demo``, ``size``, ``copy``, ``schema`` and ``lembro --version``."""

from __future__ import annotations

import argparse
import importlib.util
import sys
from collections.abc import Sequence

from .. import __version__
from ..errors import ConfigError, StoreError
from ..ids import MAX_USER_ID
from ..stores.memory.settings import check_max_size
from ..stores.sql.settings import DIALECTS, TABLE, check_table
from . import capacity, copying


def main(argv: Sequence[str] | None = None) -> int:
    """Run a command and return its exit code. Exit with 2 if an argument is wrong.

    Without a command, print the help.
    """
    parser = argparse.ArgumentParser(
        prog="lembro", description="Server-side sessions for Python web applications."
    )
    parser.add_argument("--version", action="version", version=f"lembro {__version__}")
    parser.set_defaults(run=None)
    commands = parser.add_subparsers(title="commands", metavar="COMMAND")

    demo = commands.add_parser(
        "demo", help="serve a small application that shows the features", description=_demo.__doc__
    )
    demo.add_argument("--host", default="127.0.0.1", help="address to listen on (%(default)s)")
    demo.add_argument("--port", type=_port, default=8000, help="port, 0 for any (%(default)s)")
    demo.add_argument(
        "--idle",
        type=_seconds,
        default=120.0,
        metavar="SECONDS",
        help="idle timeout of a session (%(default)g)",
    )
    demo.add_argument(
        "--store", metavar="URL", help="keep the sessions in this store, such as sqlite:///demo.db"
    )
    demo.add_argument(
        "--workers",
        type=_workers,
        default=1,
        metavar="N",
        help="number of processes that share the store (%(default)s)",
    )
    demo.set_defaults(run=_demo)

    fits = commands.add_parser(
        "size", help="measure how many sessions fit into a store", description=_size.__doc__
    )
    fits.add_argument(
        "file", nargs="?", default="-", help="a sample of a session, as JSON; - for standard input"
    )
    fits.add_argument(
        "--max-size",
        type=_max_size,
        action="append",
        metavar="SIZE",
        help="size of the store, such as 64M; may be repeated (default: 4M to 1G)",
    )
    fits.add_argument(
        "--sessions",
        type=_count,
        action="append",
        metavar="N",
        help="show the max_size that N sessions need; may be repeated",
    )
    fits.add_argument(
        "--user",
        type=_user,
        default=capacity.USER,
        help="a user ID of typical length (%(default)s)",
    )
    fits.set_defaults(run=_size)

    moves = commands.add_parser(
        "copy", help="copy the sessions of a store into another", description=_copy.__doc__
    )
    moves.add_argument("--from", dest="source", required=True, metavar="URL", help="the old store")
    moves.add_argument("--to", dest="target", required=True, metavar="URL", help="the new store")
    moves.set_defaults(run=_copy)

    schema = commands.add_parser(
        "schema",
        help="print the statements that make the tables of an SQL database",
        description=_schema.__doc__,
    )
    schema.add_argument(
        "--dialect", required=True, choices=DIALECTS, metavar="NAME", help=", ".join(DIALECTS)
    )
    schema.add_argument(
        "--table", type=_table, default=TABLE, help="name of the table (%(default)s)"
    )
    schema.set_defaults(run=_schema)

    arguments = parser.parse_args(argv)
    if arguments.run is None:
        parser.print_help()
        return 0
    code: int = arguments.run(arguments)
    return code


def _demo(arguments: argparse.Namespace) -> int:
    """Serve the demo until Ctrl-C or SIGTERM."""
    missing = [name for name in ("starlette", "uvicorn") if importlib.util.find_spec(name) is None]
    if missing:
        return _fail(f"the demo needs {' and '.join(missing)}: pip install 'lembro[demo]'")

    from ..demo import server  # noqa: PLC0415 - Starlette and uvicorn are an extra

    try:
        server.run(
            arguments.host,
            arguments.port,
            idle_timeout=arguments.idle,
            store=arguments.store,
            workers=arguments.workers,
        )
    except (server.CannotListenError, ConfigError) as error:
        return _fail(str(error))
    return 0


def _size(arguments: argparse.Namespace) -> int:
    """Measure how large a session is, and how many fit into a MemoryStore."""
    name = "standard input" if arguments.file == "-" else arguments.file
    try:
        if arguments.file == "-":
            text = sys.stdin.buffer.read()
        else:
            with open(arguments.file, "rb") as file:
                text = file.read()
        counts: list[int] = arguments.sessions or []
        sizes = arguments.max_size or (() if counts else capacity.SIZES)
        lines = capacity.report(capacity.read(text), sizes, arguments.user, counts)
        print("\n".join(lines))
    except OSError as error:
        return _fail(f"can't read {name} ({(error.strerror or str(error)).lower()})")
    except capacity.SampleError as error:
        return _fail(f"{name}: {error}")
    return 0


def _copy(arguments: argparse.Namespace) -> int:
    """Copy the live sessions of one store into another, which may have sessions already."""
    try:
        print(copying.copy(arguments.source, arguments.target))
    except (ConfigError, StoreError) as error:
        return _fail(str(error))
    return 0


def _schema(arguments: argparse.Namespace) -> int:
    """Print the statements that make the tables, for a database administrator or a migration."""
    from ..stores.sql.other_dialects import dialect_of  # noqa: PLC0415 - slow to import
    from ..stores.sql.schema import script  # noqa: PLC0415

    print(script(dialect_of(arguments.dialect, arguments.table)), end="")
    return 0


def _fail(message: str) -> int:
    print(f"lembro: {message}", file=sys.stderr)
    return 2


def _port(text: str) -> int:
    if not text.isdecimal() or int(text) > 65535:
        raise argparse.ArgumentTypeError(f"must be a port from 0 to 65535, got {text}")
    return int(text)


def _table(text: str) -> str:
    try:
        return check_table(text)
    except ConfigError as error:
        raise argparse.ArgumentTypeError(str(error)) from None


def _workers(text: str) -> int:
    if not (text.isdecimal() and 1 <= int(text) <= 64):
        raise argparse.ArgumentTypeError(f"must be a number from 1 to 64, got {text}")
    return int(text)


def _max_size(text: str) -> int:
    try:
        return check_max_size(text)
    except ConfigError as error:
        raise argparse.ArgumentTypeError(str(error)) from None


def _count(text: str) -> int:
    number = text.replace(",", "").replace("_", "")
    if not (number.isdecimal() and 1 <= int(number) <= 1_000_000_000):
        raise argparse.ArgumentTypeError(f"must be a number from 1 to 1,000,000,000, got {text}")
    return int(number)


def _user(text: str) -> str:
    if not 1 <= len(text.encode("utf-8", "replace")) <= MAX_USER_ID:
        raise argparse.ArgumentTypeError(
            f"must be a user ID of 1 to {MAX_USER_ID} bytes, got {text[:MAX_USER_ID]!r}"
        )
    return text


def _seconds(text: str) -> float:
    try:
        seconds = float(text)
    except ValueError:
        seconds = 0
    if not 1 <= seconds <= 86_400:
        raise argparse.ArgumentTypeError(f"must be 1 to 86400 seconds, got {text}")
    return seconds
