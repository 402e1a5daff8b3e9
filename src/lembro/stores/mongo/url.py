"""Make a MongoStore from a URL."""

from __future__ import annotations

from typing import Any, Final
from urllib.parse import SplitResult

from ...errors import ConfigError
from ..urls import cannot_be_read, parameters, split_query
from .clients import EXAMPLE
from .store import MongoStore

KNOWN: Final[dict[str, Any]] = {
    "collection": str,
    "max_session_size": str,
    "max_connections": int,
    "timeout": float,
}


def from_url(parts: SplitResult) -> MongoStore:
    """Return the store of a URL such as ``mongodb://localhost:27017/shop?collection=sessions``.

    The other parameters are those of pymongo, which checks them.
    """
    if "@" in parts.query:  # a part of the password
        raise ConfigError(cannot_be_read(EXAMPLE))
    ours, theirs = split_query(parts, KNOWN)
    keywords = parameters(parts._replace(query=ours), KNOWN)
    return MongoStore(parts._replace(query=theirs).geturl(), **keywords)
