"""What the applications share."""

from __future__ import annotations

import os
from typing import Any, Final

from lembro import SessionManager
from tests.servers import census

assert census  # the count may be requested


LIMIT: Final = "LEMBRO_TEST_LIMIT"
AT_LIMIT: Final = "LEMBRO_TEST_AT_LIMIT"
"""Environment variables for ``max_sessions_per_user`` and ``at_max_sessions``."""


def make_manager() -> SessionManager:
    """Return a manager with the store and the limit that the environment names."""
    keywords: dict[str, Any] = {}
    if LIMIT in os.environ:
        keywords["max_sessions_per_user"] = int(os.environ[LIMIT])
        keywords["at_max_sessions"] = os.environ[AT_LIMIT]
    return SessionManager(os.environ.get("LEMBRO_STORE", "memory:4M"), **keywords)


def count(data: dict[str, Any]) -> int:
    """Add one; for ``session.atomic``."""
    data["count"] = data.get("count", 0) + 1
    return int(data["count"])
