"""Flask-Session, whose tests are not in what pip fetches."""

from __future__ import annotations

from peers.peer import Peer

PEER = Peer(
    project="flask-session",
    how="not run",
    tests=(),
    without="its source distribution has no tests",
)
