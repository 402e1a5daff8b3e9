"""Make an SQL store from a URL."""

from __future__ import annotations

from typing import Any
from urllib.parse import SplitResult, unquote

from ...errors import ConfigError
from ..urls import parameters
from .sqlite import SQLiteStore


def from_url(parts: SplitResult) -> Any:
    """Return the store of a URL: ``sqlite:///relative.db`` or ``sqlite:////absolute.db``."""
    if parts.scheme.lower() != "sqlite":
        raise ConfigError(f"this version of lembro has no store for {parts.scheme}: URLs")
    if parts.netloc or len(parts.path) < 2:
        raise ConfigError(
            "a sqlite: URL needs three slashes and a path, as in sqlite:///sessions.db, or four "
            "for a path from the root, as in sqlite:////var/lib/app/sessions.db"
        )
    keywords = parameters(
        parts,
        {"max_size": _size, "max_session_size": str, "interval": float, "timeout": float},
    )
    return SQLiteStore(unquote(parts.path[1:]), **keywords)


def _size(text: str) -> str | None:
    return None if text.lower() == "none" else text
