"""How many applications have started a store: the end of one must not close it for the others."""

from __future__ import annotations

import threading
import weakref
from typing import Any, Final

_lock: Final = threading.Lock()
_started: Final[dict[int, tuple[weakref.ref[Any], int]]] = {}  # by the store's id


def begin(store: Any) -> None:
    """One more has started it."""
    key = id(store)
    with _lock:
        known = _started.get(key)
        if known is not None:
            _started[key] = known[0], known[1] + 1
            return
        try:
            ref = weakref.ref(store, lambda _: _started.pop(key, None))
        except TypeError:  # whose it is can't be remembered: each that ends closes it
            return
        _started[key] = ref, 1


def end(store: Any) -> bool:
    """One has ended; whether it was the last, or nobody had started it."""
    with _lock:
        ref, count = _started.pop(id(store), (None, 1))
        if ref is None or count == 1:
            return True
        _started[id(store)] = ref, count - 1
        return False
