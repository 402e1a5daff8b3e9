"""cachelib, and what stands on it (Flask-Session, Flask-Caching): a bounded ``BaseCache``."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from ..stores.base import Store
from ..stores.memory import MemoryStore
from ._cache import Cache

try:
    from cachelib import BaseCache
except ImportError as _missing:  # pragma: no cover
    raise ImportError(
        "lembro.caches.cachelib needs cachelib: pip install 'lembro[cachelib]'"
    ) from _missing

__all__ = ["LembroCache"]


class LembroCache(BaseCache):
    """``LembroCache(MemoryStore("64M"))``: a cache in the memory of this process that never takes
    more than it may, and from which what has expired goes by itself.

    Values are data, never pickled: what a session can carry, so no objects of classes of one's
    own. A value that is none raises CodecError, one that is too large SessionTooLarge. Caches with
    different ``namespace`` may share a store, which may hold sessions of lembro's too.
    """

    def __init__(
        self,
        store: Store | None = None,
        default_timeout: int | timedelta = 300,
        ignore_delete_many_errors: bool = True,
        *,
        namespace: str = "cachelib",
    ) -> None:
        super().__init__(default_timeout, ignore_delete_many_errors)
        self.store: Store = MemoryStore() if store is None else store
        self._cache = Cache(self.store, namespace)

    def __repr__(self) -> str:
        return f"<LembroCache in {self.store!r}>"

    def get(self, key: str) -> Any:
        """The value, or None."""
        return self._cache.get(key)

    def set(self, key: str, value: Any, timeout: int | timedelta | None = None) -> bool:
        """Store a value. ``timeout`` in seconds; 0: for ever, None: the default timeout."""
        self._cache.set(key, value, self._left(timeout))
        return True

    def add(self, key: str, value: Any, timeout: int | timedelta | None = None) -> bool:
        """As ``set``; False if there is a value already, which stays."""
        return self._cache.add(key, value, self._left(timeout))

    def delete(self, key: str) -> bool:
        """Remove a value; False if there is none."""
        return self._cache.delete(key)

    def has(self, key: str) -> bool:
        """Whether there is a value, without reading it."""
        return self._cache.has(key)

    def clear(self) -> bool:
        """Remove all values of this cache."""
        self._cache.clear()
        return True

    def inc(self, key: str, delta: int = 1) -> int | None:
        """Add to a number, in one step; its timeout stays. A new one begins with 0 and has the
        default timeout."""
        return self._cache.incr(key, delta, timeout=self._left(None))

    def dec(self, key: str, delta: int = 1) -> int | None:
        """As ``inc``, with ``-delta``."""
        return self.inc(key, -delta)

    def _left(self, timeout: int | timedelta | None) -> float | None:
        return self._normalize_timeout(timeout) or None
