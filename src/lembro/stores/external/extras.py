"""Import the client library of a backend. An extra of lembro installs it."""

from __future__ import annotations

from typing import Any

from ...errors import ConfigError


def client(module: str, extra: str) -> Any:
    """Import a module of a client library.

    Args:
        module: The name of the module.
        extra: The extra of lembro that installs it.

    Raises:
        ConfigError: The module cannot be imported. The message names the extra.
    """
    import importlib  # noqa: PLC0415 - loaded where it is used

    try:
        return importlib.import_module(module)
    except ImportError as error:
        raise ConfigError(
            f"this store needs {module}, which cannot be imported ({error}). "
            f"Install it: pip install 'lembro[{extra}]'"
        ) from error
