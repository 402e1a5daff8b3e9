"""Litestar's ``Store`` over a lembro store, for rate limits and cached responses."""

from __future__ import annotations

from datetime import timedelta
from math import inf
from typing import TypeVar

from ..stores.base import AsyncStore, Store
from ..stores.memory import MemoryStore
from ._cache import Cache

try:
    from litestar.stores.base import NamespacedStore
except ImportError as _missing:  # pragma: no cover
    raise ImportError(
        "lembro.caches.litestar needs Litestar: pip install 'lembro[litestar]'"
    ) from _missing

__all__ = ["LembroStore"]

_S = TypeVar("_S", bound="LembroStore")


class LembroStore(NamespacedStore):
    """A store of Litestar that bounds its memory and removes expired values.

    Example, for all stores of an application:
    ``Litestar(stores=StoreRegistry(default_factory=LembroStore().with_namespace))``.

    Args:
        store: Where the values are kept; ``MemoryStore()`` by default.
        namespace: Stores of different namespaces share no values.

    Raises:
        ConfigError: ``store`` is not a store.
    """

    __slots__ = ("_cache",)

    def __init__(
        self, store: Store | AsyncStore | None = None, *, namespace: str = "litestar"
    ) -> None:
        self._cache = Cache(MemoryStore() if store is None else store, namespace)

    def __repr__(self) -> str:
        return f"<LembroStore {self._cache!r}>"

    def with_namespace(self: _S, namespace: str) -> _S:
        """Return a store within this one. ``delete_all()`` of this one empties it too."""
        inner = type(self).__new__(type(self))
        inner._cache = self._cache.within(namespace)
        return inner

    async def __aenter__(self) -> None:
        await self._cache.aopen()

    async def __aexit__(self, *error: object) -> None:
        await self._cache.aclose()

    async def set(
        self, key: str, value: str | bytes, expires_in: int | timedelta | None = None
    ) -> None:
        """Store a value.

        Args:
            key: The name of the value.
            value: The value; a str is stored as UTF-8.
            expires_in: Seconds until it expires; None and 0 mean never, as in Litestar itself.

        Raises:
            StoreError: the store failed.
            SessionTooLarge: the value is larger than the store accepts.
        """
        data = value.encode() if isinstance(value, str) else bytes(value)
        await self._cache.aset(key, data, expires_in or None)

    async def get(self, key: str, renew_for: int | timedelta | None = None) -> bytes | None:
        """Return a value, or None.

        Args:
            key: The name of the value.
            renew_for: A new timeout in seconds, if the value has a timeout.
        """
        value: bytes | None = await self._cache.aget(key, renew=renew_for or None)
        return value

    async def delete(self, key: str) -> None:
        """Remove a value, if there is one."""
        await self._cache.adelete(key)

    async def delete_all(self) -> None:
        """Remove all values of this store, and of the stores within it."""
        await self._cache.aclear()

    async def delete_expired(self) -> None:
        """Remove expired values now. The store also purges automatically."""
        await self._cache.apurge()

    async def exists(self, key: str) -> bool:
        """Return whether there is a value, without reading it."""
        return await self._cache.ahas(key)

    async def expires_in(self, key: str) -> int | None:
        """Return the seconds until a value expires; None if it is missing or never expires."""
        left = await self._cache.attl(key)
        return None if left is None or left == inf else int(left)
