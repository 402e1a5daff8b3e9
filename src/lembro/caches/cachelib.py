"""A bounded ``BaseCache`` for cachelib, and for Flask-Session and Flask-Caching, which use it."""

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
    """A cache in a lembro store, which bounds its memory and removes expired values.

    Example: ``LembroCache(MemoryStore("64M"))``. A value is anything that a session can store;
    values are never pickled. The store may hold sessions too.

    Args:
        store: Where the values are kept; ``MemoryStore()`` by default.
        default_timeout: Seconds, or a timedelta; 0: values never expire.
        ignore_delete_many_errors: See cachelib.
        namespace: Caches of different namespaces share no values.

    Raises:
        StoreError: the store failed.
        CodecError: a value cannot be stored.
        SessionTooLarge: a value is larger than the store accepts.
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
        """Return a value, or None."""
        return self._cache.get(key)

    def set(self, key: str, value: Any, timeout: int | timedelta | None = None) -> bool:
        """Store a value. ``timeout`` is in seconds. 0: it never expires. None: the default."""
        self._cache.set(key, value, self._left(timeout))
        return True

    def add(self, key: str, value: Any, timeout: int | timedelta | None = None) -> bool:
        """Store a value unless there is one. Return whether it was stored. See :meth:`set`."""
        return self._cache.add(key, value, self._left(timeout))

    def delete(self, key: str) -> bool:
        """Remove a value. Return whether there was one."""
        return self._cache.delete(key)

    def has(self, key: str) -> bool:
        """Return whether there is a value, without reading it."""
        return self._cache.has(key)

    def clear(self) -> bool:
        """Remove all values of this cache."""
        self._cache.clear()
        return True

    def inc(self, key: str, delta: int = 1) -> int | None:
        """Add to a number in one step, and return the sum. Its timeout stays.

        A new number starts from 0, with the default timeout.
        """
        return self._cache.incr(key, delta, timeout=self._left(None))

    def dec(self, key: str, delta: int = 1) -> int | None:
        """Subtract from a number in one step; see :meth:`inc`."""
        return self.inc(key, -delta)

    def _left(self, timeout: int | timedelta | None) -> float | None:
        return self._normalize_timeout(timeout) or None
