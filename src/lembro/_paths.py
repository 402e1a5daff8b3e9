"""Path prefixes: the paths without a session, and those that are not activity."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from .errors import ConfigError


def path_prefixes(
    given: object, option: str = "exclude", example: str = "/static/"
) -> tuple[str, ...]:
    """Check the path prefixes of an option, and return them.

    Raises:
        ConfigError: a prefix does not begin with "/".
    """
    paths: tuple[Any, ...] = (given,)
    if isinstance(given, Iterable) and not isinstance(given, str | bytes):
        paths = tuple(given)
    for path in paths:
        if not isinstance(path, str) or not path.startswith("/"):  # "" would match every path
            raise ConfigError(
                f"{option} takes path prefixes that begin with '/', got {given!r}. "
                f'Example: {option}=["{example}"]'
            )
    return paths
