"""A store in each of the shapes that the core meets: in-process, blocking, asynchronous.

``AsyncAdapter`` and ``BlockingAdapter`` put a MemoryStore behind the code paths of a networked
store: loaded before the handler is called, awaited or run in a thread, no standings.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Final

from anyio.lowlevel import checkpoint

from lembro import Found, MemoryStore, Record, StoreError
from lembro.stores.base import PerUser
from lembro.stores.memory.audit import recount


class FakeClock:
    """Seconds that pass when the test says so."""

    def __init__(self, now: float = 1_000_000.0) -> None:
        self.now = now

    def __call__(self) -> float:
        return self.now

    def pass_by(self, seconds: float) -> None:
        self.now += seconds


class _Adapter:
    def __init__(self, store: MemoryStore) -> None:
        self.inner: Final = store
        self.calls: Final[list[str]] = []
        """The verbs that were called."""
        self.broken: str = ""
        """What the backend says, while it fails."""

    def _do(self, verb: str, *args: Any, **keywords: Any) -> Any:
        self.calls.append(verb)
        if self.broken:
            raise StoreError(self.broken)
        return getattr(self.inner, verb)(*args, **keywords)


class BlockingAdapter(_Adapter):
    """A MemoryStore that passes for one that blocks; an async driver calls it in a thread."""

    blocking: bool = True

    def get(self, key: bytes) -> Found | None:
        found: Found | None = self._do("get", key)
        return found

    def add(
        self,
        key: bytes,
        record: Record,
        *,
        idle: float,
        life: float,
        per_user: PerUser | None = None,
    ) -> bool:
        return bool(self._do("add", key, record, idle=idle, life=life, per_user=per_user))

    def set(self, key: bytes, record: Record, *, expected: bytes, idle: float) -> Found | None:
        held: Found | None = self._do("set", key, record, expected=expected, idle=idle)
        return held

    def replace(
        self,
        old: bytes,
        new: bytes,
        record: Record,
        *,
        expected: bytes,
        idle: float,
        life: float | None,
        grace: float,
        per_user: PerUser | None = None,
    ) -> Found | None:
        held: Found | None = self._do(
            "replace",
            old,
            new,
            record,
            expected=expected,
            idle=idle,
            life=life,
            grace=grace,
            per_user=per_user,
        )
        return held

    def touch(self, key: bytes, *, idle: float) -> bool:
        return bool(self._do("touch", key, idle=idle))

    def destroy(self, key: bytes, *, expected: bytes | None = None) -> Found | None:
        held: Found | None = self._do("destroy", key, expected=expected)
        return held

    def all(self) -> Iterable[tuple[bytes, Found]]:
        return list(self._do("all"))

    def length(self) -> int:
        return int(self._do("length"))

    def of_user(self, user: str) -> Iterable[tuple[bytes, Found]]:
        return list(self._do("of_user", user))

    def destroy_user(self, user: str, keep: bytes | None = None) -> list[bytes]:
        return list(self._do("destroy_user", user, keep))


class AsyncAdapter(_Adapter):
    """A MemoryStore as an AsyncStore: each verb waits before it acts, and after."""

    async def _ado(self, verb: str, *args: Any, **keywords: Any) -> Any:
        await checkpoint()
        result = self._do(verb, *args, **keywords)
        await checkpoint()
        return result

    async def get(self, key: bytes) -> Found | None:
        found: Found | None = await self._ado("get", key)
        return found

    async def add(
        self,
        key: bytes,
        record: Record,
        *,
        idle: float,
        life: float,
        per_user: PerUser | None = None,
    ) -> bool:
        return bool(await self._ado("add", key, record, idle=idle, life=life, per_user=per_user))

    async def set(
        self, key: bytes, record: Record, *, expected: bytes, idle: float
    ) -> Found | None:
        held: Found | None = await self._ado("set", key, record, expected=expected, idle=idle)
        return held

    async def replace(
        self,
        old: bytes,
        new: bytes,
        record: Record,
        *,
        expected: bytes,
        idle: float,
        life: float | None,
        grace: float,
        per_user: PerUser | None = None,
    ) -> Found | None:
        held: Found | None = await self._ado(
            "replace",
            old,
            new,
            record,
            expected=expected,
            idle=idle,
            life=life,
            grace=grace,
            per_user=per_user,
        )
        return held

    async def touch(self, key: bytes, *, idle: float) -> bool:
        return bool(await self._ado("touch", key, idle=idle))

    async def destroy(self, key: bytes, *, expected: bytes | None = None) -> Found | None:
        held: Found | None = await self._ado("destroy", key, expected=expected)
        return held

    async def all(self) -> Iterable[tuple[bytes, Found]]:
        return list(await self._ado("all"))

    async def length(self) -> int:
        return int(await self._ado("length"))

    async def of_user(self, user: str) -> Iterable[tuple[bytes, Found]]:
        return list(await self._ado("of_user", user))

    async def destroy_user(self, user: str, keep: bytes | None = None) -> list[bytes]:
        return list(await self._ado("destroy_user", user, keep))


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
        """Everything that is stored, replaced ids too."""
        self.memory.purge()
        stats = self.memory.stats()
        return stats.sessions + stats.replaced

    def live(self) -> int:
        """The live sessions."""
        return self.memory.length()

    def check(self) -> None:
        """AssertionError unless what is counted is what is there, and within the bound."""
        recount(self.memory._core)

    def breaks(self, message: str = "connection refused") -> None:
        """From now on every verb fails; an in-process store has nothing that could."""

    def dump(self) -> bytes:
        """All that somebody finds who has stolen the store."""
        return self.memory._core.memory[:]

    def payloads(self) -> dict[bytes, bytes]:
        return {key: found.payload for key, found in self.memory.all()}

    def plant(self, key: bytes, payload: bytes) -> None:
        """Put a payload of the attacker's under a key that exists."""
        found = self.memory.get(key)
        assert found is not None
        held = self.memory.set(key, Record(payload), expected=found.payload, idle=3600)
        assert held is not None
        assert held.payload == payload


class AsyncBackend(Backend):
    name = "async"
    sync_drivers = False
    in_process = False

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        self._adapter = AsyncAdapter(self.memory)

    @property
    def store(self) -> Any:
        return self._adapter

    def breaks(self, message: str = "connection refused") -> None:
        self._adapter.broken = message


class BlockingBackend(Backend):
    name = "blocking"
    in_process = False

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        self._adapter = BlockingAdapter(self.memory)

    @property
    def store(self) -> Any:
        return self._adapter

    def breaks(self, message: str = "connection refused") -> None:
        self._adapter.broken = message


BACKENDS: Final[tuple[type[Backend], ...]] = (Backend, AsyncBackend, BlockingBackend)
