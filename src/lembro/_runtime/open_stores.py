"""Count the applications that have opened a store, so that only the last one closes it."""

from __future__ import annotations

import threading
import weakref
from typing import Any, Final

_lock: Final = threading.Lock()
_open: Final[dict[int, tuple[weakref.ref[Any], int]]] = {}  # by id() of the store


def add(store: Any) -> None:
    """Note that one more application has opened the store."""
    key = id(store)
    with _lock:
        known = _open.get(key)
        if known is not None:
            _open[key] = known[0], known[1] + 1
            return
        try:
            ref = weakref.ref(store, lambda _: _open.pop(key, None))
        except TypeError:  # no weak references, so each application that ends closes it
            return
        _open[key] = ref, 1


def remove(store: Any) -> bool:
    """Note that an application has ended. Return whether no other one has the store open."""
    with _lock:
        ref, count = _open.pop(id(store), (None, 1))
        if ref is None or count == 1:
            return True
        _open[id(store)] = ref, count - 1
        return False
