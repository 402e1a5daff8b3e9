"""Import the client of a backend, which an extra of lembro installs."""

from __future__ import annotations

import importlib
from typing import Any

from ...errors import ConfigError


def client(module: str, extra: str) -> Any:
    """Import a module of a client.

    Raises:
        ConfigError: It is not installed. The message names the extra.
    """
    try:
        return importlib.import_module(module)
    except ImportError as error:
        raise ConfigError(
            f"this store needs {module}, which cannot be imported ({error}). "
            f"Install it: pip install 'lembro[{extra}]'"
        ) from error
