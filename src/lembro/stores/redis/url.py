"""Make a RedisStore from a URL."""

from __future__ import annotations

from urllib.parse import SplitResult

from ..urls import boolean, parameters
from .store import RedisStore


def from_url(parts: SplitResult) -> RedisStore:
    """Return the store of a URL such as ``redis://localhost:6379/0?prefix=shop:``."""
    keywords = parameters(
        parts,
        {
            "prefix": str,
            "max_session_size": str,
            "max_connections": int,
            "timeout": float,
            "wait_replicas": int,
            "tls": boolean,
            "ca_file": str,
            "sentinel_password": str,
        },
    )
    return RedisStore(parts._replace(query="").geturl(), **keywords)
