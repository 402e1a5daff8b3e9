"""What Litestar calls a store, over lembro's: for rate limits, cached responses and the like."""

from __future__ import annotations

from datetime import timedelta
from math import inf
from typing import TypeVar

from litestar.stores.base import NamespacedStore

from ..stores.base import AsyncStore, Store
from ..stores.memory import MemoryStore
from ._cache import Cache

_S = TypeVar("_S", bound="LembroStore")


class LembroStore(NamespacedStore):
    """``LembroStore(MemoryStore("64M"))``: a store of Litestar's, for rate limits and cached
    responses, that never takes more than it may, and from which what has expired goes by itself.

    ``Litestar(stores=StoreRegistry(default_factory=LembroStore(...).with_namespace))`` has one
    for everything.
    """

    __slots__ = ("_cache",)

    def __init__(
        self, store: Store | AsyncStore | None = None, *, namespace: str = "litestar"
    ) -> None:
        self._cache = Cache(MemoryStore() if store is None else store, namespace)

    def __repr__(self) -> str:
        return f"<LembroStore {self._cache!r}>"

    def with_namespace(self: _S, namespace: str) -> _S:
        """A store within this one: ``delete_all`` of this one empties it too."""
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
        """Store a value. ``expires_in`` is seconds; as in Litestar's own, None and 0 are never."""
        data = value.encode() if isinstance(value, str) else bytes(value)
        await self._cache.aset(key, data, expires_in or None)

    async def get(self, key: str, renew_for: int | timedelta | None = None) -> bytes | None:
        """The value. ``renew_for``: when it expires from now on, if it does at all."""
        value: bytes | None = await self._cache.aget(key, renew=renew_for or None)
        return value

    async def delete(self, key: str) -> None:
        """Remove a value, if there is one."""
        await self._cache.adelete(key)

    async def delete_all(self) -> None:
        """Remove all values of this store and of those within it."""
        await self._cache.aclear()

    async def exists(self, key: str) -> bool:
        """Whether there is a value, without reading it."""
        return await self._cache.ahas(key)

    async def expires_in(self, key: str) -> int | None:
        """Seconds until a value expires; None if there is none, or it never does."""
        left = await self._cache.attl(key)
        return None if left is None or left == inf else int(left)
