"""``lembro``, the command: ``lembro demo``, ``lembro --version``."""

from __future__ import annotations

import argparse
import importlib.util
import sys
from collections.abc import Sequence

from . import __version__


def main(argv: Sequence[str] | None = None) -> int:
    """Run a command and return its exit code; with wrong arguments exit with 2."""
    parser = argparse.ArgumentParser(
        prog="lembro", description="Server-side sessions for Python web applications."
    )
    parser.add_argument("--version", action="version", version=f"lembro {__version__}")
    commands = parser.add_subparsers(title="commands", metavar="COMMAND", required=True)

    demo = commands.add_parser(
        "demo", help="a small page that shows what lembro does", description=_demo.__doc__
    )
    demo.add_argument("--host", default="127.0.0.1", help="address to listen on (%(default)s)")
    demo.add_argument("--port", type=_port, default=8000, help="port, 0 for any (%(default)s)")
    demo.add_argument(
        "--idle",
        type=_seconds,
        default=120.0,
        metavar="SECONDS",
        help="a session ends when it is not used for so long (%(default)g)",
    )
    demo.set_defaults(run=_demo)

    arguments = parser.parse_args(argv)
    code: int = arguments.run(arguments)
    return code


def _demo(arguments: argparse.Namespace) -> int:
    """Serve the demo until Ctrl-C."""
    missing = [name for name in ("starlette", "uvicorn") if importlib.util.find_spec(name) is None]
    if missing:
        return _fail(f"the demo needs {' and '.join(missing)}: pip install 'lembro[demo]'")

    from .demo import server  # noqa: PLC0415 - Starlette and uvicorn are an extra

    try:
        server.run(arguments.host, arguments.port, idle_timeout=arguments.idle)
    except server.CannotListenError as error:
        return _fail(str(error))
    return 0


def _fail(message: str) -> int:
    print(f"lembro: {message}", file=sys.stderr)
    return 2


def _port(text: str) -> int:
    port = int(text)
    if not 0 <= port <= 65535:
        raise argparse.ArgumentTypeError(f"{port} is no port: write 0 to 65535")
    return port


def _seconds(text: str) -> float:
    seconds = float(text)
    if not 1 <= seconds <= 86_400:
        raise argparse.ArgumentTypeError(f"{text}: write 1 to 86400 seconds")
    return seconds


if __name__ == "__main__":
    sys.exit(main())
