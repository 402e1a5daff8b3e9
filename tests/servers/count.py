"""Functions that the applications share."""

from __future__ import annotations

from typing import Any

from tests.servers import census

assert census  # the count may be requested


def count(data: dict[str, Any]) -> int:
    """Add one; for ``session.atomic``."""
    data["count"] = data.get("count", 0) + 1
    return int(data["count"])
