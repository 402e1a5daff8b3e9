"""A MemoryStore by URL: ``memory:64M``, so that a setting can name each kind of store."""

from __future__ import annotations

from urllib.parse import SplitResult

from ..errors import ConfigError
from .memory import MemoryStore
from .urls import parameters


def from_url(parts: SplitResult) -> MemoryStore:
    """Return the MemoryStore of a URL such as ``memory:64M?snapshot=sessions.bin``."""
    keywords = parameters(
        parts,
        {
            "max_size": str,
            "interval": float,
            "max_session_size": str,
            "reduce_to": float,
            "snapshot": str,
            "snapshot_max_age": float,
        },
    )
    if parts.netloc or parts.path.startswith("/"):
        raise ConfigError("a memory: URL has no slashes. Example: 'memory:64M'")
    if parts.path:
        keywords.setdefault("max_size", parts.path)
    return MemoryStore(**keywords)
