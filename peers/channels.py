"""Channels, whose sessions in a WebSocket are the engine's."""

from __future__ import annotations

from peers.peer import Peer

PEER = Peer(
    project="channels",
    how="not run",
    tests=(),
    without="its source distribution has no tests",
)
