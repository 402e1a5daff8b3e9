"""Beaker, whose source distribution has no tests."""

from __future__ import annotations

from peers.peer import Peer

PEER = Peer(
    project="beaker",
    how="not run",
    tests=(),
    without="its source distribution has no tests",
)
