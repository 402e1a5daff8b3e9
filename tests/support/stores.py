"""Stores of other kinds, made of a MemoryStore, and direct access of tests to them.

``AsyncAdapter`` and ``BlockingAdapter`` put a MemoryStore behind the code paths of a networked
store: loaded before the handler is called, awaited or run in a thread.
"""

from __future__ import annotations

from collections.abc import Collection
from functools import partial
from typing import Any, Final

from anyio.lowlevel import checkpoint

from lembro import MemoryStore, Record, StoreError
from lembro.stores.memory.audit import recount

NETWORKED: Final = frozenset({"all", "length", "of_user", "destroy_user"})
"""What a networked store offers besides the verbs: no events and no reputations."""


class _Adapter:
    """Pass every call on to ``inner``.

    Args:
        offers: what the store offers besides the verbs. None: everything that ``inner`` offers.
    """

    def __init__(self, inner: MemoryStore, offers: Collection[str] | None = None) -> None:
        self.inner: Final = inner
        self.broken: str = ""
        """The message of the backend while it fails."""
        self._offers = offers

    def _do(self, verb: str, *args: Any, **keywords: Any) -> Any:
        if self.broken:
            raise StoreError(self.broken)
        return getattr(self.inner, verb)(*args, **keywords)

    def _offered(self, name: str) -> Any:
        if name == "blocking" or name.startswith("_"):
            raise AttributeError(name)
        if self._offers is not None and name not in self._offers:
            raise AttributeError(name)
        return getattr(self.inner, name)


class BlockingAdapter(_Adapter):
    """A MemoryStore that counts as blocking, so that an async driver calls it in a thread."""

    blocking: bool = True

    def get(self, *args: Any, **keywords: Any) -> Any:
        return self._do("get", *args, **keywords)

    def add(self, *args: Any, **keywords: Any) -> Any:
        return self._do("add", *args, **keywords)

    def set(self, *args: Any, **keywords: Any) -> Any:
        return self._do("set", *args, **keywords)

    def replace(self, *args: Any, **keywords: Any) -> Any:
        return self._do("replace", *args, **keywords)

    def touch(self, *args: Any, **keywords: Any) -> Any:
        return self._do("touch", *args, **keywords)

    def destroy(self, *args: Any, **keywords: Any) -> Any:
        return self._do("destroy", *args, **keywords)

    def __getattr__(self, name: str) -> Any:
        attribute = self._offered(name)
        return partial(self._do, name) if callable(attribute) else attribute


class AsyncAdapter(_Adapter):
    """A MemoryStore as an AsyncStore: other tasks may run before and after each verb."""

    async def _ado(self, verb: str, *args: Any, **keywords: Any) -> Any:
        await checkpoint()
        result = self._do(verb, *args, **keywords)
        await checkpoint()
        return result

    async def get(self, *args: Any, **keywords: Any) -> Any:
        return await self._ado("get", *args, **keywords)

    async def add(self, *args: Any, **keywords: Any) -> Any:
        return await self._ado("add", *args, **keywords)

    async def set(self, *args: Any, **keywords: Any) -> Any:
        return await self._ado("set", *args, **keywords)

    async def replace(self, *args: Any, **keywords: Any) -> Any:
        return await self._ado("replace", *args, **keywords)

    async def touch(self, *args: Any, **keywords: Any) -> Any:
        return await self._ado("touch", *args, **keywords)

    async def destroy(self, *args: Any, **keywords: Any) -> Any:
        return await self._ado("destroy", *args, **keywords)

    def __getattr__(self, name: str) -> Any:
        attribute = self._offered(name)
        return partial(self._ado, name) if callable(attribute) else attribute


class Backend:
    """Direct access of a test to a store, not by the application. One class for each kind."""

    name = "memory"
    sync_drivers = True
    """Whether a WSGI application can use it."""
    in_process = True

    def __init__(self, **options: Any) -> None:
        self.memory = MemoryStore(**options)

    @property
    def store(self) -> Any:
        """The store that the SessionManager gets."""
        return self.memory

    def close(self) -> None:
        self.memory.close()

    def records(self) -> int:
        """The number of stored records, including rotated IDs."""
        self.memory.purge()
        stats = self.memory.stats()
        return stats.sessions + stats.rotated

    def live(self) -> int:
        """The number of live sessions."""
        return self.memory.length()

    def check(self) -> None:
        """Assert that the counted size equals the real one and is in the bound."""
        with self.memory._lock:  # on a slow machine the purger may run in between
            recount(self.memory._parts)

    def breaks(self, message: str = "connection refused") -> None:
        """Let every verb fail from now on. An in-process store has nothing that could fail."""

    def dump(self) -> bytes:
        """Return everything that a thief of the store would find."""
        return self.memory._parts.arena.memory[:]

    def payloads(self) -> dict[bytes, bytes]:
        return {key: found.payload for key, found in self.memory.all()}

    def plant(self, key: bytes, payload: bytes) -> None:
        """Put a payload of an attacker under an existing key."""
        found = self.memory.get(key)
        assert found is not None
        held = self.memory.set(key, Record(payload), expected=found.payload, idle=3600)
        assert held is not None
        assert held.payload == payload


class _NetworkedBackend(Backend):
    in_process = False
    adapter: type[BlockingAdapter | AsyncAdapter]

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        self._adapter = self.adapter(self.memory, NETWORKED)

    @property
    def store(self) -> Any:
        return self._adapter

    def breaks(self, message: str = "connection refused") -> None:
        self._adapter.broken = message


class AsyncBackend(_NetworkedBackend):
    name = "async"
    sync_drivers = False
    adapter = AsyncAdapter


class BlockingBackend(_NetworkedBackend):
    name = "blocking"
    adapter = BlockingAdapter


BACKENDS: Final[tuple[type[Backend], ...]] = (Backend, AsyncBackend, BlockingBackend)
