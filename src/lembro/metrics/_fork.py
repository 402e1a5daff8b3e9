"""Locks that a forked child can take, although another thread of its parent held them."""

from __future__ import annotations

import os
import threading
from typing import Protocol
from weakref import WeakSet


class _Locked(Protocol):
    _lock: threading.Lock


def new_lock_after_fork(owner: _Locked) -> None:
    """Give an object a new ``_lock`` in each forked child, where nobody would release the old."""
    _owners.add(owner)


_owners: WeakSet[_Locked] = WeakSet()


def _in_child() -> None:
    for owner in list(_owners):
        owner._lock = threading.Lock()


if hasattr(os, "register_at_fork"):  # pragma: no branch - Windows does not fork
    os.register_at_fork(after_in_child=_in_child)
