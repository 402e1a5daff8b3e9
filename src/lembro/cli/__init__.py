"""The command line, ``lembro``. ``exits`` lists the exit codes."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from functools import partial

from .. import __version__
from . import capacity, completion, copying, demo, exits, schema, sessions, stores
from .arguments import Parser, handle_last


def main(argv: Sequence[str] | None = None) -> int:
    """Run a command and return its exit code. Exit with 2 if an argument is wrong.

    Without a command, print the help.
    """
    words = list(sys.argv[1:] if argv is None else argv)
    arguments = parser().parse_args(handle_last(words))
    return exits.run(partial(arguments.run, arguments))


def parser() -> Parser:
    """Return the parser of all commands."""
    whole = Parser(prog="lembro", description="Server-side sessions for Python web applications.")
    whole.add_argument("--version", action="version", version=f"lembro {__version__}")
    commands = whole.add_subparsers(title="commands", metavar="COMMAND")
    for module in (demo, sessions, stores, capacity, copying, schema):
        module.add(commands)
    completion.add(commands, whole)
    return whole
