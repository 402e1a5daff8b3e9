"""Path prefixes: the paths without a session, and those that are not activity."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
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


def path_of_scope(scope: Mapping[str, Any]) -> str:
    """Return the path of an ASGI connection within the application.

    Servers and mounts put ``root_path`` before the path. It is left out here, as it is in the
    paths of routes.
    """
    path: str = scope["path"]
    root: str = scope.get("root_path", "").rstrip("/")
    if root and path.startswith(root) and path[len(root) : len(root) + 1] in ("/", ""):
        return path[len(root) :] or "/"
    return path


def path_of_environ(environ: Mapping[str, Any]) -> str:
    """Return the path of a WSGI request within the application.

    A server gives the bytes of the path, each as one character (PEP 3333). They are decoded here.
    """
    path = str(environ.get("PATH_INFO", ""))
    if path.isascii():
        return path
    try:
        return path.encode("latin-1").decode()
    except UnicodeError:  # Django under ASGI has decoded it, or it is not UTF-8
        return path
