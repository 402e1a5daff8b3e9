"""``lembro completion``: print the completion of the command for a shell."""

from __future__ import annotations

import argparse
from typing import Any, Final

from .arguments import Parser
from .exits import WrongError

SHELLS: Final = ("bash", "zsh", "fish")

FILES: Final = {
    "bash": "_shtab_compgen_files",
    "zsh": "_files",
    "fish": "(__fish_complete_path (commandline -ct))",
}
"""The value of ``shtab.FILE`` for these shells. An argument with it completes names of files."""


def add(commands: Any, whole: Parser) -> None:
    """Add ``lembro completion``.

    Args:
        commands: The commands of the parser.
        whole: The parser of all commands.
    """
    parser: Parser = commands.add_parser(
        "completion",
        help="print the completion of this command for a shell",
        description=_completion.__doc__,
    )
    parser.add_argument("shell", choices=SHELLS, metavar="SHELL", help=", ".join(SHELLS))
    parser.set_defaults(run=_completion, parser=whole)


def _completion(arguments: argparse.Namespace) -> int:
    """Print the script that completes `lembro` in bash, zsh or fish."""
    try:
        import shtab  # noqa: PLC0415 - an extra
    except ModuleNotFoundError:
        raise WrongError(
            "the completion is made by shtab: pip install 'lembro[completion]'. The script that "
            "it prints works without shtab"
        ) from None
    print(shtab.complete(arguments.parser, arguments.shell))
    return 0
