"""Checks of the arguments that the stores in SQL servers have."""

from __future__ import annotations

import re
from typing import Any, Final

from ...errors import ConfigError

TABLE: Final = "lembro_sessions"
DIALECTS: Final = ("postgresql", "mysql", "mariadb", "sqlite")
MAX_CONNECTIONS: Final = 10
_NAME: Final = r"([a-z_][a-z0-9_]{0,47}\.)?[a-z_][a-z0-9_]{0,47}"


def check_table(name: Any) -> str:
    """Return the name of a table, which may have a schema. Raise ConfigError if it is invalid."""
    if not isinstance(name, str) or re.fullmatch(_NAME, name) is None:
        raise ConfigError(
            f"table must be a name of small letters, digits and underscores, with or without a "
            f"schema, got {name!r}. Example: table='app.sessions'"
        )
    return name


def check_connections(value: Any) -> int:
    """Return the number of connections. Raise ConfigError unless it is from 1 to 1000."""
    if not isinstance(value, int) or isinstance(value, bool) or not 1 <= value <= 1000:
        raise ConfigError(
            f"max_connections must be an integer from 1 to 1000, got {value!r}. "
            f"Example: max_connections={MAX_CONNECTIONS}"
        )
    return value
