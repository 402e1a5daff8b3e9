"""The parser of the command line, and the types of its arguments."""

from __future__ import annotations

import argparse
import re
from typing import Any, Final, NoReturn

from ..errors import ConfigError
from ..ids import MAX_USER_ID, is_id
from ..stores.memory.settings import check_max_size
from ..stores.sql.settings import check_table
from ..stores.urls import VARIABLE

HANDLE: Final = 12
"""The length of a handle, in characters."""

_is_handle: Final = re.compile(r"[A-Za-z0-9_-]{12}", re.ASCII).fullmatch
_SECRET: Final = re.compile(r"(?<=://).*|[A-Za-z0-9_-]{40,}", re.DOTALL)
_WITH_HANDLE: Final = (["sessions", "show"], ["sessions", "revoke"])


class Parser(argparse.ArgumentParser):
    """A parser whose errors contain neither a password of a URL nor a session ID.

    Options have one spelling: they cannot be abbreviated.
    """

    def __init__(self, **keywords: Any) -> None:
        super().__init__(**keywords, allow_abbrev=False)
        self.set_defaults(run=self._print_help)

    def error(self, message: str) -> NoReturn:
        super().error(_SECRET.sub("...", message))

    def _print_help(self, _: argparse.Namespace) -> int:
        self.print_help()
        return 0


def handle_last(argv: list[str]) -> list[str]:
    """Put the handle after ``--``. A handle may begin with a hyphen, as an option does."""
    if argv[:2] not in _WITH_HANDLE or "--" in argv:
        return argv
    hyphened = [word for word in argv if word.startswith("-") and _is_handle(word)]
    if not hyphened:  # argparse refuses a "--" with nothing behind it
        return argv
    return [*(word for word in argv if word not in hyphened), "--", *hyphened]


def add_store(parser: argparse.ArgumentParser) -> None:
    """Add the option ``--store``."""
    parser.add_argument(
        "--store",
        metavar="URL",
        help=f"the store, such as redis://localhost:6379/0 (default: the variable {VARIABLE})",
    )


def add_json(parser: argparse.ArgumentParser) -> None:
    """Add the option ``--json``."""
    parser.add_argument("--json", action="store_true", help="print JSON instead of a table")


def handle(text: str) -> str:
    """Check the handle of a session."""
    if _is_handle(text):
        return text
    hint = "a session ID is a secret: do not type it into a command" if is_id(text) else ""
    raise argparse.ArgumentTypeError(
        f"must be a handle of {HANDLE} characters, as `lembro sessions list` prints it, got "
        f"{len(text)} characters{f' ({hint})' if hint else ''}"
    )


def user(text: str) -> str:
    """Check a user ID."""
    try:
        size = len(text.encode())
    except UnicodeEncodeError:
        raise argparse.ArgumentTypeError("must be a user ID in UTF-8") from None
    if not 1 <= size <= MAX_USER_ID:
        raise argparse.ArgumentTypeError(
            f"must be a user ID of 1 to {MAX_USER_ID} bytes, got {text[:MAX_USER_ID]!r}"
        )
    return text


def port(text: str) -> int:
    """Check the number of a port."""
    if not text.isdecimal() or int(text) > 65535:
        raise argparse.ArgumentTypeError(f"must be a port from 0 to 65535, got {text}")
    return int(text)


def table(text: str) -> str:
    """Check the name of a table."""
    try:
        return check_table(text)
    except ConfigError as error:
        raise argparse.ArgumentTypeError(str(error)) from None


def workers(text: str) -> int:
    """Check a number of workers."""
    if not (text.isdecimal() and 1 <= int(text) <= 64):
        raise argparse.ArgumentTypeError(f"must be a number from 1 to 64, got {text}")
    return int(text)


def max_size(text: str) -> int:
    """Check the size of a MemoryStore, and return it in bytes."""
    try:
        return check_max_size(text)
    except ConfigError as error:
        raise argparse.ArgumentTypeError(str(error)) from None


def count(text: str) -> int:
    """Check a number of sessions."""
    number = text.replace(",", "").replace("_", "")
    if not (number.isdecimal() and 1 <= int(number) <= 1_000_000_000):
        raise argparse.ArgumentTypeError(f"must be a number from 1 to 1,000,000,000, got {text}")
    return int(number)


def seconds(text: str) -> float:
    """Check a number of seconds."""
    try:
        number = float(text)
    except ValueError:
        number = 0
    if not 1 <= number <= 86_400:
        raise argparse.ArgumentTypeError(f"must be 1 to 86400 seconds, got {text}")
    return number
