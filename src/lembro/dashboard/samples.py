"""The statistics of a store as the charts draw them, and the files of the charts."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Final

STATIC: Final = Path(__file__).parent / "static"
"""The folder of the scripts and styles."""

FULL: Final = 0.9  # of max_size; a sixteenth is kept free, so a full store uses about this share


def sample_of(stats: Any) -> dict[str, Any]:
    """Return the statistics of one moment, for JSON.

    Args:
        stats: The result of the store's ``stats()``. A field that it does not have becomes None.
    """
    fields = ("used", "max_size", "sessions", "expired", "evicted", "available", "tiers", "rss")
    used, most, sessions, expired, evicted, available, tiers, rss = (
        getattr(stats, field, None) for field in fields
    )
    # Until the store is full, sessions only expire.
    full = used is not None and most is not None and tiers is not None and used > FULL * most
    return {
        "used": used,
        "max": most,
        "sessions": sessions,
        "expired": expired,
        "evicted": evicted,
        "available": available is not False,
        "tiers": tiers,
        "rss": rss,
        "survives": getattr(stats, "oldest_visitor_age", None) if full else None,
    }
