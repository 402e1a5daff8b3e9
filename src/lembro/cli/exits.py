"""The exit codes of the commands, and the errors that lead to them.

<!-- table -->
| code | meaning |
|---|---|
| 0 | The command has done its work. An empty list is a result too. |
| 1 | There is no such session: the handle or the user that you named has none. |
| 2 | The command or the URL is wrong, so nothing was tried. |
| 3 | Anything else failed: the store, its password, the output, or lembro itself. |
| 130 | You pressed Ctrl-C. |
| 141 | The program that reads the output has ended, as `head` does. |
<!-- /table -->
"""

from __future__ import annotations

import io
import logging
import os
import sys
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Final

from .._log import log
from ..errors import ConfigError, StoreError, UsageError, printable

DONE: Final = 0
NOT_FOUND: Final = 1
WRONG: Final = 2
FAILED: Final = 3
INTERRUPTED: Final = 128 + 2  # SIGINT, as shells report it
BROKEN_PIPE: Final = 128 + 13  # SIGPIPE


class NotFoundError(Exception):
    """No session has this handle, or belongs to this user."""


class WrongError(Exception):
    """The command cannot work in this way."""


def run(command: Callable[[], int]) -> int:
    """Run a command, and return its exit code. An error becomes one line on stderr."""
    for name in ("stdout", "stderr"):
        if getattr(sys, name) is None:  # the shell has closed it
            setattr(sys, name, open(os.devnull, "w", encoding="utf-8"))  # noqa: SIM115
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")  # a terminal may lack a user's letters
    try:
        with _warnings_only():
            code = command()
            sys.stdout.flush()
            return code
    except NotFoundError as error:
        return _fail(NOT_FOUND, error)
    except (ConfigError, UsageError, WrongError) as error:
        return _fail(WRONG, error)
    except StoreError as error:
        return _fail(FAILED, error)
    except BrokenPipeError:
        _drop_output()
        return BROKEN_PIPE
    except OSError as error:
        _drop_output()
        return _fail(FAILED, error)
    except KeyboardInterrupt:
        return _fail(INTERRUPTED, "interrupted")
    except Exception:  # a mistake in lembro, or a damaged record. 1 would be "no such session"
        traceback.print_exc()
        return FAILED


def _fail(code: int, error: object) -> int:
    message = " ".join(str(error).split())
    message = printable(message, len(message))  # a server's text may hold a user ID
    print(f"lembro: {message.removeprefix('lembro: ')}", file=sys.stderr)
    return code


def _drop_output() -> None:
    """Discard the output that was not written, because Python would try again when it exits."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


class _Warnings(logging.Handler):
    """Prints warnings. Errors are not printed, because a command raises them too."""

    def emit(self, record: logging.LogRecord) -> None:
        if record.levelno < logging.ERROR:
            print(record.getMessage(), file=sys.stderr)


@contextmanager
def _warnings_only() -> Iterator[None]:
    handler = _Warnings(logging.WARNING)
    silent = logging.NullHandler()
    clients = [logging.getLogger(name) for name in ("psycopg", "pymongo")]
    log.addHandler(handler)
    for client in clients:  # lembro raises their errors
        client.addHandler(silent)
    try:
        yield
    finally:
        log.removeHandler(handler)
        for client in clients:
            client.removeHandler(silent)
