"""``lembro demo``: serve the demo."""

from __future__ import annotations

import argparse
import importlib.util
from typing import Any

from . import arguments as types
from .arguments import Parser
from .exits import WrongError


def add(commands: Any) -> None:
    """Add ``lembro demo``."""
    parser: Parser = commands.add_parser(
        "demo", help="serve a small application that shows the features", description=_demo.__doc__
    )
    parser.add_argument("--host", default="127.0.0.1", help="address to listen on (%(default)s)")
    parser.add_argument(
        "--port", type=types.port, default=8000, help="port, 0 for any (%(default)s)"
    )
    parser.add_argument(
        "--idle",
        type=types.seconds,
        default=120.0,
        metavar="SECONDS",
        help="idle timeout of a session (%(default)g)",
    )
    parser.add_argument(
        "--store", metavar="URL", help="keep the sessions in this store, such as sqlite:///demo.db"
    )
    parser.add_argument(
        "--workers",
        type=types.workers,
        default=1,
        metavar="N",
        help="number of processes that share the store (%(default)s)",
    )
    parser.set_defaults(run=_demo)


def _demo(arguments: argparse.Namespace) -> int:
    """Serve the demo until Ctrl-C or SIGTERM."""
    missing = [name for name in ("starlette", "uvicorn") if importlib.util.find_spec(name) is None]
    if missing:
        raise WrongError(f"the demo needs {' and '.join(missing)}: pip install 'lembro[demo]'")

    from ..demo import server  # noqa: PLC0415 - Starlette and uvicorn are an extra

    try:
        server.run(
            arguments.host,
            arguments.port,
            idle_timeout=arguments.idle,
            store=arguments.store,
            workers=arguments.workers,
        )
    except server.CannotListenError as error:
        raise WrongError(str(error)) from None
    return 0
