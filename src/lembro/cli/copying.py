"""Copy the sessions of one store into another, so that you can change the store without logouts."""

from __future__ import annotations

from typing import Any

from ..errors import ConfigError, SessionTooLarge
from ..stores import from_url
from ..stores.base import Record


def copy(source: str, target: str) -> str:
    """Copy each live session that the target does not have. Return a summary for the user.

    A session keeps its ID, its user, and the time until it expires. Rotated IDs and the marks of
    used legacy cookies are not copied.

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
    copied = present = large = 0
    old: Any
    new: Any
    with from_url(source) as old, from_url(target) as new:
        for key, found in old.all():
            record = Record(found.payload, found.user, None, found.reputation)
            try:
                added = new.add(key, record, idle=found.idle_left, life=found.life_left)
            except SessionTooLarge:
                large += 1
            else:
                copied, present = copied + added, present + (not added)
    return (
        f"copied {copied} sessions; {present} were there already, and {large} were larger than the "
        f"max_session_size of the target"
    )
