"""Backends for tests: each has a store, and lets a test read and change its contents directly.

``AsyncAdapter`` and ``BlockingAdapter`` put a MemoryStore behind the code paths of a networked
store: the session is loaded before the handler is called, awaited or in a thread.
"""

from __future__ import annotations

import sqlite3
import subprocess
import tempfile
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any, Final

from anyio.lowlevel import checkpoint

from lembro import Found, MemoryStore, Record, StoreError, StoreUnavailable, bytesize
from lembro.stores import RedisStore, SQLiteStore
from lembro.stores.base import MARK
from lembro.stores.memory.audit import recount
from lembro.stores.redis.record import decode
from lembro.stores.sql.sqlite import SMALLEST
from tests.support.servers.redis import RedisServer, new_prefix, shared

NETWORKED: Final = frozenset({"all", "length", "of_user", "destroy_user"})
"""The optional methods of a networked store. It has no events and no reputations."""


class _Adapter:
    """Pass every call on to ``inner``.

    Args:
        offers: What the store offers besides the verbs. None: everything that ``inner`` offers.
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
    """A store, and direct access of a test to its contents. There is one class for each kind."""

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
        """Assert that the counted size equals the real one and is within the limit."""
        with self.memory._lock:  # on a slow machine the purger may run in between
            recount(self.memory._parts)

    @property
    def behind(self) -> Any:
        """A store over the same sessions that a sync manager can use in an event loop."""
        return self.memory

    def intercept(self, verb: str, around: Callable[..., Any]) -> Callable[[], None]:
        """Call ``around(real, *args, **keywords)`` in place of a verb.

        Returns:
            A function that undoes it.
        """
        memory: Any = self.memory
        real = getattr(memory, verb)
        setattr(memory, verb, partial(around, real))
        return lambda: delattr(memory, verb)

    def breaks(self, message: str = "connection refused") -> None:
        """Let every verb fail from now on. A store in the process cannot fail: do nothing."""

    def dump(self) -> bytes:
        """Return all stored bytes, as an attacker who copied the store would see them."""
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


class ExternalBackend(Backend):
    """An external store. An integration uses its sync or its async verbs."""

    in_process = False
    memory: Any
    """The store, which tests also read directly."""

    def breaks(self, message: str = "connection refused") -> None:
        def fail() -> None:
            raise StoreUnavailable(message)

        breaker = self.memory._shared.breaker
        breaker.check = fail if message else partial(type(breaker).check, breaker)

    def intercept(self, verb: str, around: Callable[..., Any]) -> Callable[[], None]:
        undo = super().intercept(verb, around)
        aio: Any = self.memory.aio
        real = getattr(aio, verb)

        async def replaced(*args: Any, **keywords: Any) -> Any:
            result = await real(*args, **keywords)
            return around(lambda *_, **__: result, *args, **keywords)

        def undo_both() -> None:
            undo()
            delattr(aio, verb)

        setattr(aio, verb, replaced)
        return undo_both


class SQLiteBackend(ExternalBackend):
    """An SQLite file for one test."""

    name = "sqlite"

    def __init__(self, *, max_size: int | str | None = "64M", **options: Any) -> None:
        self._folder = tempfile.TemporaryDirectory(prefix="lembro-")
        # A test of a MemoryStore may ask for less than a file needs.
        size = None if max_size is None else max(bytesize.parse(max_size), SMALLEST)
        options = {"timeout": 10.0, **options}  # seconds: a busy machine is no failure
        self.file = SQLiteStore(f"{self._folder.name}/sessions.db", size, **options)
        self.memory: Any = self.file  # tests read it directly

    def close(self) -> None:
        self.file.close()
        self._folder.cleanup()

    @property
    def behind(self) -> Any:
        file = self.file
        store = SQLiteStore(file.path, file.max_size, clock=file._clock, timeout=10.0)
        store.blocking = False  # SQLite answers fast enough for a test
        return store

    def records(self) -> int:
        with self._database() as database:
            return int(database.execute("select count(*) from lembro_sessions").fetchone()[0])

    def check(self) -> None:
        with self._database() as database:
            assert database.execute("pragma integrity_check").fetchone() == ("ok",)

    def dump(self) -> bytes:
        # Another process reads the files. Closing one here would drop the locks of this process.
        files = [str(path) for path in Path(self._folder.name).iterdir()]
        return subprocess.run(
            ["cat", *files], stdout=subprocess.PIPE, check=True, timeout=60
        ).stdout

    @contextmanager
    def _database(self) -> Iterator[sqlite3.Connection]:
        self.file.purge()
        database = sqlite3.connect(self.file.path)
        try:
            yield database
        finally:
            database.close()


class RedisBackend(ExternalBackend):
    """Keys with their own prefix on a Redis server."""

    name = "redis"

    def __init__(self, **options: Any) -> None:
        self._prefix = new_prefix()
        # Redis needs no size and no purger.
        names = ("clock", "max_session_size", "timeout")
        known = {name: options[name] for name in names if name in options}
        self._server: RedisServer = options.get("server") or shared()
        url = options.get("url") or self._server.url
        self._make = partial(RedisStore, url, **{"prefix": self._prefix, "timeout": 10.0, **known})
        self.redis = self._make()
        self.memory: Any = self.redis  # tests read it directly

    def close(self) -> None:
        self.breaks("")
        self.redis.clear()
        self.redis.close()

    @property
    def behind(self) -> Any:
        store = self._make()
        store.blocking = False  # Redis answers fast enough for a test
        return store

    def records(self) -> int:
        return len([key for key in self._stored() if not key.startswith(MARK)])

    def live(self) -> int:
        return self.redis.length()

    def check(self) -> None:
        """Check that the index of each user names all of the user's records."""
        for key, found in self._stored().items():
            if found.user is not None:
                index = f"{self._prefix}u:{found.user}"
                assert self._server.do("ZSCORE", index, key) is not None

    def dump(self) -> bytes:
        return b"\n".join(part for pair in self._pairs("*") for part in pair)

    def _stored(self) -> dict[bytes, Found]:
        now: Any = self.redis._verbs._clock.now()  # type: ignore[attr-defined]
        pairs = [(key[-32:], decode(data, now)) for key, data in self._pairs("s:*")]
        return {key: found for key, found in pairs if found is not None}

    def _pairs(self, pattern: str) -> list[tuple[bytes, bytes]]:
        """Return keys and values."""
        keys = self._server.do("KEYS", f"{self._prefix}{pattern}")
        records = f"{self._prefix}s:".encode()
        return [
            (key, self._server.do("GET", key) or b"")
            if key.startswith(records)
            else (key, b"\n".join(self._server.do("ZRANGE", key, 0, -1)))
            for key in keys
        ]


BACKENDS: Final[tuple[type[Backend], ...]] = (Backend, AsyncBackend, BlockingBackend)
