"""Make a MongoStore from a URL."""

from __future__ import annotations

from typing import Any, Final
from urllib.parse import SplitResult, parse_qsl, urlencode

from ...errors import ConfigError
from ..urls import cannot_be_read, parameters
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
    pairs = parse_qsl(parts.query, keep_blank_values=True)
    mine = urlencode([pair for pair in pairs if pair[0] in KNOWN])
    others = urlencode([pair for pair in pairs if pair[0] not in KNOWN])
    keywords = parameters(parts._replace(query=mine), KNOWN)
    return MongoStore(parts._replace(query=others).geturl(), **keywords)
