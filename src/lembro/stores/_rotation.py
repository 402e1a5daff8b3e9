"""The rotated keys of a user, for the stores that end a user's sessions."""

from __future__ import annotations


def is_rotated_to(goal: bytes, key: bytes | None, successors: dict[bytes, bytes | None]) -> bool:
    """Return whether ``key`` is ``goal``, or was rotated to it in one or more steps."""
    for _ in range(len(successors) + 1):  # no chain is longer, and this ends a cycle
        if key is None or key == goal:
            break
        key = successors.get(key)
    return key == goal
