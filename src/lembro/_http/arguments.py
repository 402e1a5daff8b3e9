"""Checks of the arguments that the middlewares have in common."""

from __future__ import annotations

from typing import TypeVar

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
