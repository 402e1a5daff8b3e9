"""Under a real server, a session is freed when its request has ended, without the garbage
collector.

See ``tests/behaviour/test_leaves_nothing.py``.
"""

from __future__ import annotations

import sys

import httpx
import pytest

from tests.servers.census import ENV, EVERY, LINE
from tests.servers.commands import SERVERS, running

TIMEOUT = 30.0
ROUNDS = 10
PAGES = [
    ("GET", "/me"),
    ("POST", "/cart/1"),
    ("POST", "/login/ada"),
    ("GET", "/stream"),
    ("POST", "/rotate"),
    ("POST", "/count"),
    ("GET", "/fails"),
    ("POST", "/logout"),
]
UNDER_WAY = 3
"""The sessions whose response was sent, and whose request the server is about to end."""

TASK_GROUPS_LEAVE_CYCLES = sys.version_info < (3, 12, 8) or (
    (3, 13) <= sys.version_info < (3, 13, 1)
)
"""In Django under ASGI, each request has one."""


@pytest.mark.parametrize("name", SERVERS)
def test_sessions_are_freed_with_their_requests(name: str) -> None:
    with running(SERVERS[name], **{ENV: "1"}) as server:
        with httpx.Client(base_url=server.url, timeout=TIMEOUT) as client:
            client.post("/cart/1").raise_for_status()
            for method, page in PAGES * ROUNDS:
                client.request(method, page)
        lines = [line for line in server.log.splitlines() if line.startswith(LINE)]
    alive = [int(line.removeprefix(LINE)) for line in lines]
    assert len(alive) >= len(PAGES) * ROUNDS // EVERY
    if not (name == "uvicorn django" and TASK_GROUPS_LEAVE_CYCLES):
        assert max(alive) <= UNDER_WAY
