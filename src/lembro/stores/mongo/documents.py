"""How a session is stored in MongoDB: one document.

    {_id: key, payload, user, successor, reputation, born, expires, death}

``user``, ``successor`` and ``reputation`` are absent if the session has none. Times are dates of
the server's clock, in milliseconds. ``expires`` is the idle deadline. It is never later than
``death``, the absolute deadline.
"""

from __future__ import annotations

import math
from typing import Any, Final

from ..base import Found, Record

NEVER: Final = 253_402_300_799_999
"""Milliseconds of ``death`` if there is no absolute deadline: the last date that MongoDB shows."""
LONGEST: Final = 10**13
"""Milliseconds of the longest duration, 316 years. It is shorter than the time until ``NEVER``."""

Document = dict[str, Any]

FIELDS: Final[Document] = dict.fromkeys(
    ("payload", "user", "successor", "reputation", "born", "expires", "death"), 1
)
"""The projection of a complete document."""


def millis(seconds: float) -> int:
    """Return a duration in milliseconds, at most ``LONGEST``."""
    return LONGEST if seconds > LONGEST / 1000 else int(seconds * 1000)


def decode(document: Document | None, now: int) -> Found | None:
    """Return the record of a document, or None if it is missing or has expired.

    Args:
        document: The document.
        now: Milliseconds by the server's clock.
    """
    if document is None:
        return None
    expires, death = int(document["expires"]), int(document["death"])
    if expires <= now:
        return None
    return Found(
        document["payload"],
        document.get("user"),
        document.get("successor"),
        document.get("reputation"),
        (now - int(document["born"])) / 1000,
        (expires - now) / 1000,
        math.inf if death == NEVER else (death - now) / 1000,
    )


def times_of(record: Record, now: int, idle: float, life: float) -> dict[str, int]:
    """Return the times of a new record in milliseconds."""
    death = NEVER if life == math.inf else now + millis(life)
    born = now - millis(record.age)
    return {"born": born, "death": death, "expires": min(now + millis(idle), death)}


def pairs(documents: list[Document], now: int) -> list[tuple[bytes, Found]]:
    decoded = [(document["_id"], decode(document, now)) for document in documents]
    return [(key, found) for key, found in decoded if found is not None]
