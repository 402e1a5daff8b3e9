"""Several worker processes with a memory store each log a warning that says what to do.

It is logged also if the application has not configured logging.
"""

from __future__ import annotations

import time

import pytest

from tests.servers.commands import ALONE, WORKERS, running
from tests.support.servers import Server

NOT_SHARED = "Sessions are NOT shared"
PATIENCE = 20.0  # seconds until the second worker has started


def lines(server: Server) -> list[str]:
    return [line for line in server.log.splitlines() if NOT_SHARED in line]


@pytest.mark.parametrize("command", WORKERS)
def test_two_workers_warn(command: str) -> None:
    with running(WORKERS[command]) as server:
        deadline = time.monotonic() + PATIENCE
        while not lines(server) and time.monotonic() < deadline:
            time.sleep(0.05)
    (line,) = lines(server)
    assert "Use one worker process" in line
    assert "SQLiteStore or RedisStore" in line


@pytest.mark.parametrize("command", ALONE)
def test_one_worker_does_not_warn(command: str) -> None:
    with running(ALONE[command]) as server:
        pass
    assert lines(server) == []
    assert "forked" not in server.log
