"""What the applications share."""

from __future__ import annotations

from typing import Any


def count(data: dict[str, Any]) -> int:
    """One more; for ``session.atomic``."""
    data["count"] = data.get("count", 0) + 1
    return int(data["count"])
