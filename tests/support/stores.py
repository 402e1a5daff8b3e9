"""Stores of other shapes than a MemoryStore's, made of one, and what tests do to them from behind.

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
"""What a networked store offers besides the verbs: no events, no standings."""


class _Adapter:
    """Hands every call on to ``inner``. ``offers``: what it offers besides the verbs, None: all
    that ``inner`` does."""

    def __init__(self, inner: MemoryStore, offers: Collection[str] | None = None) -> None:
        self.inner: Final = inner
        self.broken: str = ""
        """What the backend says, while it fails."""
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
    """A MemoryStore that passes for one that blocks; an async driver calls it in a thread."""

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
    """A MemoryStore as an AsyncStore: other tasks may run before each verb acts, and after."""

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
    """What a test does to a store behind the application's back; one for each kind of store."""

    name = "memory"
    sync_drivers = True
    """Whether a WSGI application can use it."""
    in_process = True

    def __init__(self, **options: Any) -> None:
        self.memory = MemoryStore(**options)

    @property
    def store(self) -> Any:
        """What the SessionManager is given."""
        return self.memory

    def close(self) -> None:
        self.memory.close()

    def records(self) -> int:
        """Everything that is stored, rotated IDs too."""
        self.memory.purge()
        stats = self.memory.stats()
        return stats.sessions + stats.rotated

    def live(self) -> int:
        """The live sessions."""
        return self.memory.length()

    def check(self) -> None:
        """AssertionError unless what is counted is what is there, and within the bound."""
        with self.memory._lock:  # on a slow machine the purger comes by
            recount(self.memory._parts)

    def breaks(self, message: str = "connection refused") -> None:
        """From now on every verb fails; an in-process store has nothing that could."""

    def dump(self) -> bytes:
        """All that somebody finds who has stolen the store."""
        return self.memory._parts.arena.memory[:]

    def payloads(self) -> dict[bytes, bytes]:
        return {key: found.payload for key, found in self.memory.all()}

    def plant(self, key: bytes, payload: bytes) -> None:
        """Put a payload of the attacker's under a key that exists."""
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
