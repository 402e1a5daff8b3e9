"""The numbers of a MemoryStore."""

from __future__ import annotations

import msgspec


class Stats(msgspec.Struct, frozen=True, kw_only=True):
    """Taken at one moment; the counters count from the making of the store."""

    used: int
    """Bytes, all of them."""
    max_size: int
    sessions: int
    """Stored sessions, with those that are expired and not yet purged."""
    replaced: int
    """Replaced keys within their grace."""
    tiers: tuple[int, int, int, int, int]
    """Sessions by eviction level, from passers-by to the logged-in."""
    expired: int
    evicted: int
    rejected_too_large: int
    purge_errors: int
    oldest_passing: float | None
    """Seconds since the last use of the passer-by who is evicted next; None without passers-by. In
    a store that is full, a newcomer who does not come back survives about so long at the present
    rate: when this is short, the store is too small or under a flood."""
    rss: int | None
    """Resident bytes of the whole process, by the system; None where it can't be read (without
    /proc)."""
