"""Checks of the arguments that the middlewares have in common."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, TypeVar

from ..errors import ConfigError

T = TypeVar("T")


def check_application(app: T, example: str) -> T:
    """Return the application that a middleware was given.

    Raises:
        ConfigError: it is not callable, probably because it was forgotten.
    """
    if not callable(app):
        raise ConfigError(
            f"the first argument must be a WSGI or ASGI application, got {app!r}. "
            f"Example: {example}"
        )
    return app


def path_prefixes(exclude: object) -> tuple[str, ...]:
    """Check ``exclude=``, the path prefixes without a session, and return them.

    Raises:
        ConfigError: a prefix does not begin with "/".
    """
    given: tuple[Any, ...] = (exclude,)
    if isinstance(exclude, Iterable) and not isinstance(exclude, str | bytes):
        given = tuple(exclude)
    for path in given:
        if not isinstance(path, str) or not path.startswith("/"):  # "" would exclude every path
            raise ConfigError(
                f"exclude takes path prefixes that begin with '/', got {exclude!r}. "
                f'Example: exclude=["/static/"]'
            )
    return given
