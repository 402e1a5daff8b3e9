"""What the applications share."""

from __future__ import annotations

from typing import Any

from tests.servers import census

assert census  # it may be asked for


def count(data: dict[str, Any]) -> int:
    """One more; for ``session.atomic``."""
    data["count"] = data.get("count", 0) + 1
    return int(data["count"])
