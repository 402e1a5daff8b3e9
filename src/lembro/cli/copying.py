"""Copy the sessions of one store into another, so that you can change the store without logouts."""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from typing import Any

from ..stores import Copied, copy_sessions, from_url
from ..stores.base import Found
from ..stores.copying import existing_store
from .arguments import Parser, add_json
from .output import Progress, print_json
from .stores import opened, refuse_memory


def add(commands: Any) -> None:
    """Add ``lembro copy``."""
    parser: Parser = commands.add_parser(
        "copy", help="copy the sessions of a store into another", description=_copy.__doc__
    )
    parser.add_argument("--from", dest="source", required=True, metavar="URL", help="the old store")
    parser.add_argument("--to", dest="target", required=True, metavar="URL", help="the new store")
    add_json(parser)
    parser.set_defaults(run=_copy)


def _copy(arguments: argparse.Namespace) -> int:
    """Copy the live sessions of one store into another, which may have sessions already."""
    count = copy(arguments.source, arguments.target)
    if arguments.json:
        print_json(count._asdict())
    else:
        print(
            f"copied {count.copied} sessions; {count.present} were there already, and "
            f"{count.too_large} were larger than the max_session_size of the target"
        )
    return 0


def copy(source: str, target: str) -> Copied:
    """Copy each live session that the target does not have. Return how many were copied.

    Args:
        source: The URL of the store to read.
        target: The URL of the store to write.

    Raises:
        ConfigError: A URL is wrong.
        StoreError: A store cannot be used, or failed. Run the command again to copy the others.
    """
    refuse_memory("--from", source)
    refuse_memory("--to", target)
    # open() is not called, because it does not raise if a server does not answer. Verbs raise.
    with (
        opened("--from", source, existing_store) as old,
        opened("--to", target, from_url) as new,
    ):
        new.get(bytes(32))  # raises if the target cannot be used, even if there is nothing to copy
        with Progress("sessions", old.stats().sessions) as progress:
            return copy_sessions(_Counted(old, progress), new)


class _Counted:
    """A store to read, whose sessions are counted while they are copied."""

    def __init__(self, store: Any, progress: Progress) -> None:
        self._store = store
        self._progress = progress

    def all(self) -> Iterator[tuple[bytes, Found]]:
        return self._progress.over(self._store.all())
