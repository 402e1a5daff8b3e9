"""Several workers share a store: no update is lost, no session comes back, limits are exact.

``python -m tests.servers.scale`` is the same check for longer, also with workers that are killed.
"""

from __future__ import annotations

import pytest

from tests.servers.scale import check


@pytest.mark.parametrize(
    ("server", "store"),
    [
        ("uvicorn", "sqlite"),
        ("uvicorn", "redis"),
        ("gunicorn", "sqlite"),
        ("gunicorn", "postgresql"),
        ("uvicorn", "memory"),  # one worker
    ],
)
def test_a_mixed_load_keeps_every_promise(server: str, store: str) -> None:
    counts = check(server, store, seconds=1.0)
    assert counts["requests"] > 80
