"""The store of a command, from ``--store`` or ``LEMBRO_STORE``; ``lembro ping``."""

from __future__ import annotations

import argparse
import os
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from typing import Any

from ..errors import ConfigError, StoreError
from ..stores.copying import existing_store
from ..stores.urls import VARIABLE
from .arguments import Parser, add_json, add_store
from .output import print_json


@contextmanager
def store_of(arguments: argparse.Namespace) -> Iterator[Any]:
    """Make the store of a command, and close it at the end.

    Raises:
        ConfigError: There is no URL, or it is wrong.
        StoreError: The store cannot be used.
    """
    url: str | None = arguments.store
    name = "--store"
    if url is None:
        url, name = os.environ.get(VARIABLE), VARIABLE
    if not url:
        raise ConfigError(
            f"no store is given. Set {VARIABLE} in the environment, or add --store URL, such as "
            f"--store redis://localhost:6379/0"
        )
    refuse_memory(name, url)
    with opened(name, url, existing_store) as store:
        yield store


def refuse_memory(name: str, url: str) -> None:
    """Raise ConfigError if a URL names a MemoryStore, which another process cannot reach.

    Args:
        name: The option with the URL, for the error.
        url: The URL.
    """
    if url.lower().startswith("memory:"):
        raise ConfigError(
            f"{name} must be a store outside of the process, got {url!r}. A MemoryStore exists "
            f"only in the process of its application. Example: {VARIABLE}=sqlite:///sessions.db"
        )


@contextmanager
def opened(name: str, url: str, make: Callable[[str], Any]) -> Iterator[Any]:
    """Make the store of a URL, and close it at the end.

    Args:
        name: The option with the URL, for the error.
        url: The URL.
        make: A function that makes the store.

    Raises:
        ConfigError: The URL is wrong, so nothing was tried.
        StoreError: The store cannot be used.
    """
    try:
        store = make(url)
    except ConfigError as error:
        if name != VARIABLE:
            raise
        raise ConfigError(f"the environment variable {VARIABLE}: {error}") from None
    with closing(store):
        try:
            yield store
        except ConfigError as error:  # some stores raise it if the server rejects a password
            raise StoreError(str(error)) from None


def name_of(store: Any) -> str:
    """Return the kind and the place of a store, without a password."""
    return repr(store)[1:-1]


def add(commands: Any) -> None:
    """Add ``lembro ping``."""
    parser: Parser = commands.add_parser(
        "ping", help="check that a store answers", description=_ping.__doc__
    )
    add_store(parser)
    add_json(parser)
    parser.set_defaults(run=_ping)


def _ping(arguments: argparse.Namespace) -> int:
    """Read from the store, and print how long its answer took."""
    with store_of(arguments) as store:
        store.get(bytes(32))  # connects
        begin = time.perf_counter()
        store.get(bytes(32))
        seconds = time.perf_counter() - begin
        if arguments.json:
            print_json({"store": name_of(store), "seconds": round(seconds, 6)})
        else:
            print(f"{name_of(store)} answers in {seconds * 1000:.2f} ms")
    return 0
