"""The peers of MemoryStore, each used as its users do.

They are imported when they are created: one that is not installed raises ImportError then. Those
with a limit of their own get ``entry``: the bytes that an entry takes in addition to its payload.
By default only the payload is counted, as by most of their users.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from datetime import timedelta
from importlib import import_module
from typing import Any

from bench.contender import IDLE, USUAL, Clock, Contender
from bench.data import decode, encode


class Cachetools(Contender):
    title = "cachetools TTLCache"
    bound = "bytes"
    purges = "expire()"

    def __init__(
        self, cap: int | None, count: int, clock: Clock | None = None, entry: int = 0
    ) -> None:
        more: dict[str, Any] = {} if clock is None else {"timer": clock}
        if cap is not None:
            more["getsizeof"] = lambda value: len(value) + entry
        self.it: Any = import_module("cachetools").TTLCache(cap or count, IDLE, **more)

    def load(self, at: Any) -> Any:
        return self.it.get(at)

    def store(self, at: Any, value: Any, idle: int = IDLE) -> None:
        self.it[at] = value

    def remove(self, at: Any) -> None:
        del self.it[at]

    def purge(self) -> None:
        self.it.expire()

    def get_all(self, ids: Sequence[Any]) -> None:
        it = self.it
        for at in ids:
            decode(it[at])

    def new_all(self, ids: Sequence[Any], datas: Sequence[Any]) -> None:
        it = self.it
        for at, data in zip(ids, datas, strict=True):
            it[at] = encode(data)

    def overwrite_all(self, ids: Sequence[Any], datas: Sequence[Any], was: Sequence[Any]) -> None:
        self.new_all(ids, datas)

    def touch_all(self, ids: Sequence[Any]) -> None:
        it = self.it
        for at in ids:  # it has no touch: setting the value again renews its deadline
            it[at] = it[at]


class Cachebox(Contender):
    title = "cachebox TTLCache"
    bound = "bytes"

    def __init__(
        self, cap: int | None, count: int, clock: Clock | None = None, entry: int = 0
    ) -> None:
        more: dict[str, Any] = {}
        if cap is not None:
            more["getsizeof"] = lambda _, value: len(value) + entry
        self.it: Any = import_module("cachebox").TTLCache(cap or count, IDLE, **more)

    def load(self, at: Any) -> Any:
        return self.it.get(at)

    def store(self, at: Any, value: Any, idle: int = IDLE) -> None:
        self.it[at] = value

    def remove(self, at: Any) -> None:
        del self.it[at]

    def get_all(self, ids: Sequence[Any]) -> None:
        get = self.it.get
        for at in ids:
            decode(get(at))

    def touch_all(self, ids: Sequence[Any]) -> None:
        it = self.it
        for at in ids:
            it[at] = it[at]


class Theine(Contender):
    title = "theine"

    def __init__(
        self, cap: int | None, count: int, clock: Clock | None = None, entry: int = 0
    ) -> None:
        self.it: Any = import_module("theine").Cache(cap // (USUAL + entry) if cap else count)
        self._ttl = timedelta(seconds=IDLE)

    def close(self) -> None:
        self.it.close()

    def load(self, at: Any) -> Any:
        return self.it.get(at)[0]

    def store(self, at: Any, value: Any, idle: int = IDLE) -> None:
        self.it.set(at, value, self._ttl)

    def remove(self, at: Any) -> None:
        self.it.delete(at)

    def touch_all(self, ids: Sequence[Any]) -> None:
        it, ttl = self.it, self._ttl
        for at in ids:
            it.set(at, it.get(at)[0], ttl)

    def get_all(self, ids: Sequence[Any]) -> None:
        get = self.it.get
        for at in ids:
            decode(get(at)[0])


class Moka(Contender):
    title = "moka-py"
    bound = "bytes"

    def __init__(
        self, cap: int | None, count: int, clock: Clock | None = None, entry: int = 0
    ) -> None:
        more: dict[str, Any] = {}
        if cap is not None:
            more["weigher"] = lambda _, value: len(value) + entry
        # LRU like the others: its TinyLFU would refuse newcomers, and so new sessions.
        self.it: Any = import_module("moka_py").Moka(cap or count, tti=IDLE, policy="lru", **more)

    def load(self, at: Any) -> Any:
        return self.it.get(at)

    def store(self, at: Any, value: Any, idle: int = IDLE) -> None:
        self.it.set(at, value)

    def remove(self, at: Any) -> None:
        self.it.remove(at)

    def get_all(self, ids: Sequence[Any]) -> None:
        get = self.it.get
        for at in ids:
            decode(get(at))

    def touch_all(self, ids: Sequence[Any]) -> None:
        it = self.it
        for at in ids:  # a read extends its idle time
            it.get(at)


class Cachelib(Contender):
    title = "cachelib SimpleCache"
    purges = "within set(), when it is full"

    def __init__(
        self, cap: int | None, count: int, clock: Clock | None = None, entry: int = 0
    ) -> None:
        module: Any = import_module("cachelib.simple")
        if clock is not None:
            module.time = clock
        self.it = module.SimpleCache(cap // (USUAL + entry) if cap else count, IDLE)

    def value(self, data: dict[str, Any]) -> Any:
        return data

    def load(self, at: Any) -> Any:
        return self.it.get(at)

    def store(self, at: Any, value: Any, idle: int = IDLE) -> None:
        self.it.set(at, value, timeout=idle)

    def remove(self, at: Any) -> None:
        self.it.delete(at)

    def get_all(self, ids: Sequence[Any]) -> None:
        get = self.it.get
        for at in ids:
            get(at)

    def new_all(self, ids: Sequence[Any], datas: Sequence[Any]) -> None:
        set_ = self.it.set
        for at, data in zip(ids, datas, strict=True):
            set_(at, data)

    def overwrite_all(self, ids: Sequence[Any], datas: Sequence[Any], was: Sequence[Any]) -> None:
        self.new_all(ids, datas)

    def touch_all(self, ids: Sequence[Any]) -> None:
        it = self.it
        for at in ids:
            it.set(at, it.get(at))


class DjangoLocmem(Contender):
    title = "Django sessions on locmem"
    million = False

    def __init__(self, cap: int | None, count: int, clock: Clock | None = None) -> None:
        import_module("django.conf").settings.configure(
            CACHES={
                "default": {
                    "BACKEND": "django.core.cache.backends.locmem.LocMemCache",
                    "OPTIONS": {"MAX_ENTRIES": cap // USUAL if cap else count},
                }
            },
            SECRET_KEY="0" * 50,
        )
        self.it = import_module("django.contrib.sessions.backends.cache").SessionStore

    def value(self, data: dict[str, Any]) -> Any:
        return data

    def load(self, at: Any) -> Any:
        return self.it(at).load()

    def store(self, at: Any, value: Any, idle: int = IDLE) -> None:
        session = self.it(at)
        session._session_cache = value
        session.save(must_create=True)

    def remove(self, at: Any) -> None:
        self.it(at).delete()

    def get_all(self, ids: Sequence[Any]) -> None:
        for at in ids:
            self.load(at)

    def new_all(self, ids: Sequence[Any], datas: Sequence[Any]) -> None:
        for at, data in zip(ids, datas, strict=True):
            self.store(at, data)

    def overwrite_all(self, ids: Sequence[Any], datas: Sequence[Any], was: Sequence[Any]) -> None:
        for at, data in zip(ids, datas, strict=True):
            session = self.it(at)
            session._session_cache = data
            session.save()


class Starsessions(Contender):
    """Its verbs are coroutines that never wait."""

    title = "starsessions InMemoryStore"
    bound = "none"

    def __init__(self, cap: int | None, count: int, clock: Clock | None = None) -> None:
        self.it: Any = import_module("starsessions").InMemoryStore()

    def load(self, at: Any) -> Any:
        return _result(self.it.read(at, IDLE))

    def store(self, at: Any, value: Any, idle: int = IDLE) -> None:
        _result(self.it.write(at, value, IDLE, IDLE))

    def remove(self, at: Any) -> None:
        _result(self.it.remove(at))


class Litestar(Contender):
    """Its verbs are coroutines that let other tasks run each time."""

    title = "Litestar MemoryStore"
    bound = "none"
    million = False

    def __init__(self, cap: int | None, count: int, clock: Clock | None = None) -> None:
        self.it: Any = import_module("litestar.stores.memory").MemoryStore()
        self._loop = asyncio.new_event_loop()

    def close(self) -> None:
        self._loop.close()

    def load(self, at: Any) -> Any:
        return self._loop.run_until_complete(self.it.get(at))

    def store(self, at: Any, value: Any, idle: int = IDLE) -> None:
        self._loop.run_until_complete(self.it.set(at, value, expires_in=IDLE))

    def remove(self, at: Any) -> None:
        self._loop.run_until_complete(self.it.delete(at))

    def fill(self, ids: Sequence[Any], values: Sequence[Any]) -> None:
        async def run() -> None:
            for at, value in zip(ids, values, strict=True):
                await self.it.set(at, value, expires_in=IDLE)

        self._loop.run_until_complete(run())

    def get_all(self, ids: Sequence[Any]) -> None:
        async def run() -> None:
            for at in ids:
                decode(await self.it.get(at))

        self._loop.run_until_complete(run())

    def new_all(self, ids: Sequence[Any], datas: Sequence[Any]) -> None:
        async def run() -> None:
            for at, data in zip(ids, datas, strict=True):
                await self.it.set(at, encode(data), expires_in=IDLE)

        self._loop.run_until_complete(run())

    def overwrite_all(self, ids: Sequence[Any], datas: Sequence[Any], was: Sequence[Any]) -> None:
        self.new_all(ids, datas)

    def touch_all(self, ids: Sequence[Any]) -> None:
        async def run() -> None:
            for at in ids:
                await self.it.get(at, renew_for=IDLE)

        self._loop.run_until_complete(run())

    def remove_all(self, ids: Sequence[Any]) -> None:
        async def run() -> None:
            for at in ids:
                await self.it.delete(at)

        self._loop.run_until_complete(run())


class Beaker(Contender):
    title = "Beaker (memory)"
    bound = "none"
    million = False

    def __init__(self, cap: int | None, count: int, clock: Clock | None = None) -> None:
        self.it: Any = import_module("beaker.session").Session
        self._spaces: Any = import_module("beaker.container").MemoryNamespaceManager.namespaces

    def value(self, data: dict[str, Any]) -> Any:
        return data

    def _session(self, at: Any) -> Any:
        return self.it({}, id=at, use_cookies=False, type="memory", timeout=IDLE)

    def load(self, at: Any) -> Any:
        session = self._session(at)
        return session if "user_id" in session else None

    def store(self, at: Any, value: Any, idle: int = IDLE) -> None:
        session = self._session(at)
        session.update(value)
        session.save()

    def remove(self, at: Any) -> None:
        self._spaces.dict.pop(at)  # its delete() leaves an empty namespace

    def get_all(self, ids: Sequence[Any]) -> None:
        for at in ids:
            self._session(at)

    def new_all(self, ids: Sequence[Any], datas: Sequence[Any]) -> None:
        for at, data in zip(ids, datas, strict=True):
            self.store(at, data)

    def overwrite_all(self, ids: Sequence[Any], datas: Sequence[Any], was: Sequence[Any]) -> None:
        self.new_all(ids, datas)

    def touch_all(self, ids: Sequence[Any]) -> None:
        for at in ids:
            self._session(at).save()


def _result(coroutine: Any) -> Any:
    try:
        coroutine.send(None)
    except StopIteration as end:
        return end.value
    raise AssertionError("a coroutine of the peer must not wait, but it did")
