"""The statistics of a MemoryStore."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

if TYPE_CHECKING:
    from .parts import Parts


class Stats(msgspec.Struct, frozen=True, kw_only=True):
    """The state of a MemoryStore at one moment. Counters start when the store is made."""

    used: int
    """Bytes that the store uses, all tables included."""
    max_size: int
    """The maximum number of bytes that the store may use."""
    sessions: int
    """Stored sessions, including expired ones that were not removed yet."""
    rotated: int
    """Rotated keys whose grace has not ended."""
    tiers: tuple[int, int, int, int, int]
    """Sessions in each eviction tier, from new visitors (0) to logged-in users (4)."""
    expired: int
    """Counter: sessions that were removed because they had expired."""
    evicted: int
    """Counter: sessions that were evicted for memory or for the limit of a user."""
    rejected_too_large: int
    """Counter: writes that were rejected because the session was larger than max_session_size."""
    purge_errors: int
    """Counter: rounds of the purge thread that failed."""
    oldest_visitor_age: float | None
    """Seconds since the last use of the least recently used session in tier 0, which is evicted
    next; None if tier 0 is empty. In a full store, this is how long a new visitor's session
    survives without use at the present rate. If it is short, the store is too small or under a
    flood."""
    rss: int | None
    """Resident memory of the whole process in bytes. None without /proc."""


def stats_of(parts: Parts, now: float, purge_errors: int, rss: int | None) -> Stats:
    """Return the statistics of a store. Its lock is held."""
    queues, oldest = parts.queues, parts.queues.least_recently_used(0)
    a, b, c, d, e = queues.counts
    return Stats(
        used=parts.ledger.used,
        max_size=parts.ledger.max_size,
        sessions=a + b + c + d + e,
        rotated=queues.rotated,
        tiers=(a, b, c, d, e),
        expired=parts.counters.expired,
        evicted=parts.counters.evicted,
        rejected_too_large=parts.counters.too_large,
        purge_errors=purge_errors,
        oldest_visitor_age=None if oldest < 0 else now - parts.reader.last_used(oldest),
        rss=rss,
    )
