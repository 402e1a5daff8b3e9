"""The statistics of an external store."""

from __future__ import annotations

import msgspec


class StoreStats(msgspec.Struct, frozen=True, kw_only=True):
    """The state of an external store at one moment. A field is None if it is not known."""

    available: bool
    """Whether the backend answered."""
    last_error: str | None = None
    """The message of the last failure of the backend that this process saw."""
    used: int | None = None
    """Bytes that the backend uses in total, including data that is not lembro's."""
    max_size: int | None = None
    """The maximum number of bytes that the backend may use."""
    sessions: int | None = None
    """Stored sessions. Expired ones that were not removed yet may be counted."""
    evicted: int | None = None
    """Counter: sessions that were evicted to make room."""
    expired: int | None = None
    """Counter: sessions that were removed because they had expired."""
    connections: int | None = None
    """Connections of this process that are in use, in the pool that is fullest. A process has one
    pool for its threads, and one for each event loop. Known for Redis, psycopg and SQLAlchemy."""
    max_connections: int | None = None
    """The maximum number of connections of this pool."""
    breaker_open: bool = False
    """Whether verbs fail at once, because the backend did not answer."""
