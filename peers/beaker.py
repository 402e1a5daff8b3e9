"""Beaker, whose tests are not in what pip fetches."""

from __future__ import annotations

from peers.peer import Peer

PEER = Peer(
    project="beaker",
    how="not run",
    tests=(),
    without="its source distribution has no tests",
)
