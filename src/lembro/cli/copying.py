"""Copy the sessions of one store into another, so that you can change the store without logouts."""

from __future__ import annotations

from contextlib import closing
from typing import Any

from ..errors import ConfigError
from ..stores import copy_sessions, from_url
from ..stores.copying import old_store


def copy(source: str, target: str) -> str:
    """Copy each live session that the target does not have. Return a summary for the user.

    Args:
        source: The URL of the store to read.
        target: The URL of the store to write.

    Raises:
        ConfigError: A URL is invalid, or its store cannot be used.
        StoreError: A store failed. Run the command again to copy the other sessions.
    """
    for option, url in (("--from", source), ("--to", target)):
        if url.lower().startswith("memory:"):
            raise ConfigError(
                f"{option} must be a store outside of the process, got {url!r}. A "
                f"MemoryStore exists only in its own process. Example: {option} sqlite:///sessions.db"
            )
    old: Any
    new: Any
    # Without open(), which starts an application although a server does not answer. Verbs raise.
    with closing(old_store(source)) as old, closing(from_url(target)) as new:
        new.get(bytes(32))  # raises if the target cannot be used, even if there is nothing to copy
        count = copy_sessions(old, new)
    return (
        f"copied {count.copied} sessions; {count.present} were there already, and "
        f"{count.too_large} were larger than the max_session_size of the target"
    )
