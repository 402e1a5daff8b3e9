"""A cache in a lembro store: values by name, bounded and purged like sessions.

A cache entry is a record without a user, so when memory is short the least recently used entries
are evicted first. Its key is a hash of the name and of the cache's namespace. It cannot be the key
of a session, so a store may hold both: a SessionManager lists and counts only its sessions. The
payload is a format byte, the namespace, and the value in the encoding of ``codec``. Nothing is
pickled.
"""

from __future__ import annotations

from datetime import timedelta
from hashlib import blake2b
from math import inf
from typing import Any, Final, TypeAlias, TypeVar

from msgspec.msgpack import encode as pack

from .._core import codec
from .._core.commit import ATTEMPTS, is_written, marked
from .._core.effects import Call, Flow
from .._core.user_sessions import CACHE_ENTRY, note_cache_entries
from .._log import log
from .._runtime.drivers import arun, performer, run, sync_and_async
from .._threads import in_thread
from ..errors import CodecError, ConfigError, SessionTooLarge, StoreError, UsageError
from ..stores.base import AsyncStore, Found, Record, Store

__all__ = ["Cache", "Timeout"]

T = TypeVar("T")

Timeout: TypeAlias = float | timedelta | None
"""Seconds from now, or a timedelta. None: never. 0 or less: the entry is removed at once."""

_NAME: Final = "value"  # the name of the stored value in errors


class Cache:
    """A cache: values by name, in one namespace of a store.

    A value is anything that a session can store, and keeps its type. The methods come in pairs:
    ``get`` is for a store with synchronous verbs, ``aget`` works in an event loop over every store.

    Args:
        store: A MemoryStore or another store.
        names: The namespace, from the outermost name to the innermost.

    Raises:
        StoreError: the store failed.
        CodecError: a value that cannot be stored.
        SessionTooLarge: a value that is larger than the store accepts.
    """

    def __init__(self, store: Store | AsyncStore, *names: str) -> None:
        verbs = (getattr(store, verb, None) for verb in ("add", "destroy"))  # a manager has no add
        if isinstance(store, type) or not all(map(callable, verbs)):
            raise ConfigError(
                f"store must be a store, got {store!r}. Example: MemoryStore(max_size='64M')"
            )
        self.store: Store | AsyncStore = store
        note_cache_entries(store)
        self._names = names
        # Packed names have a length, so ("a", "bc") and ("ab", "c") are two namespaces.
        self._path = b"".join(pack(_text(name)) for name in names)
        self._hash = blake2b(
            digest_size=32,
            key=blake2b(self._path, digest_size=32).digest(),
            person=b"lembro cache",
        )
        self._in_process = getattr(store, "blocking", True) is False
        self._is_async = sync_and_async(store)[0] is None
        self._perform = performer(store)

    def __repr__(self) -> str:
        return f"<Cache {'/'.join(self._names)!r} in {type(self.store).__name__}>"

    def within(self, name: str) -> Cache:
        """Return the cache of a namespace within this one. ``clear`` of this one clears both."""
        return Cache(self.store, *self._names, name)

    def get(self, name: str, default: Any = None, *, renew: Timeout = None) -> Any:
        """Return a value, or the default.

        Args:
            name: The name of the value.
            default: The result if there is no such value.
            renew: A new timeout for the value, if it has a timeout.
        """
        return self._run(self._get(name, default, renew))

    async def aget(self, name: str, default: Any = None, *, renew: Timeout = None) -> Any:
        """Return a value; see :meth:`get`."""
        return await self._arun(self._get(name, default, renew))

    def set(self, name: str, value: Any, timeout: Timeout = None) -> None:
        """Store a value, and replace an existing one."""
        self._run(self._set(name, value, timeout))

    async def aset(self, name: str, value: Any, timeout: Timeout = None) -> None:
        """Store a value; see :meth:`set`."""
        await self._arun(self._set(name, value, timeout))

    def add(self, name: str, value: Any, timeout: Timeout = None) -> bool:
        """Store a value unless there is one. Return whether this call stored it."""
        return self._run(self._add(name, value, timeout))

    async def aadd(self, name: str, value: Any, timeout: Timeout = None) -> bool:
        """Store a value unless there is one; see :meth:`add`."""
        return await self._arun(self._add(name, value, timeout))

    def incr(
        self, name: str, delta: int = 1, *, initial: int | None = 0, timeout: Timeout = None
    ) -> int | None:
        """Add to a number in one step, and return the sum. The timeout of the number stays.

        Args:
            name: The name of the number.
            delta: The number to add.
            initial: The number to start from if nothing is stored. None: store nothing, and return
                None.
            timeout: The timeout of a new number.

        Raises:
            TypeError: the value is not an int.
        """
        return self._run(self._incr(name, delta, initial, timeout))

    async def aincr(
        self, name: str, delta: int = 1, *, initial: int | None = 0, timeout: Timeout = None
    ) -> int | None:
        """Add to a number in one step; see :meth:`incr`."""
        return await self._arun(self._incr(name, delta, initial, timeout))

    def has(self, name: str) -> bool:
        """Return whether there is such an entry, without reading its value."""
        return self._run(self._ttl(name)) is not None

    async def ahas(self, name: str) -> bool:
        """Return whether there is such an entry; see :meth:`has`."""
        return await self._arun(self._ttl(name)) is not None

    def ttl(self, name: str) -> float | None:
        """Return the seconds until an entry expires; None if there is no such entry.

        Without a timeout they are ``math.inf``.
        """
        return self._run(self._ttl(name))

    async def attl(self, name: str) -> float | None:
        """Return the seconds until an entry expires; see :meth:`ttl`."""
        return await self._arun(self._ttl(name))

    def touch(self, name: str, timeout: Timeout = None) -> bool:
        """Give an entry another timeout. Return whether there is such an entry."""
        return self._run(self._touch(name, timeout))

    async def atouch(self, name: str, timeout: Timeout = None) -> bool:
        """Give an entry another timeout; see :meth:`touch`."""
        return await self._arun(self._touch(name, timeout))

    def delete(self, name: str) -> bool:
        """Remove an entry. Return whether this call removed it."""
        return self._run(self._delete(name))

    async def adelete(self, name: str) -> bool:
        """Remove an entry; see :meth:`delete`."""
        return await self._arun(self._delete(name))

    def clear(self) -> None:
        """Remove all entries of this namespace and of those within it. Sessions stay."""
        self._run(self._clear())

    async def aclear(self) -> None:
        """Remove all entries; see :meth:`clear`."""
        if self._in_process:  # it reads the whole store, so it must not block the event loop
            await in_thread(self.clear)
        else:
            await self._arun(self._clear())

    async def apurge(self) -> None:
        """Remove expired entries now, if the store has a ``purge()``. It also purges by itself."""
        await self._arun(_verb(self.store, "purge"))

    async def aopen(self) -> None:
        """Open the store, if it has an ``open()``."""
        await self._arun(_verb(self.store, "open"))

    async def aclose(self) -> None:
        """Close the store, if it has a ``close()``."""
        await self._arun(_verb(self.store, "close"))

    # -- flows -------------------------------------------------------------------------------------

    def _get(self, name: str, default: Any, renew: Timeout) -> Flow[Any]:
        key = self._key(name)
        found: Found | None = yield Call("get", (key,))
        value = self._value(found, default)
        if renew is not None and found is not None and found.idle_left < inf:
            yield Call("touch", (key,), {"idle": _seconds(renew)})
        return value

    def _set(self, name: str, value: Any, timeout: Timeout) -> Flow[None]:
        key, payload, idle = self._key(name), self._payload(value), _seconds(timeout)
        if idle <= 0:
            yield Call("destroy", (key,))
            return
        record, keywords = Record(payload), {"idle": idle, "life": inf}
        for _ in range(ATTEMPTS):
            found: Found | None = yield Call("get", (key,))
            if found is None:
                if (yield Call("add", (key, record), keywords)):
                    return
                continue
            held = yield Call("set", (key, record), {"expected": found.payload, "idle": idle})
            if is_written(payload, held):
                return
        raise _refused()

    def _add(self, name: str, value: Any, timeout: Timeout) -> Flow[bool]:
        key, record, idle = self._key(name), Record(self._payload(value)), _seconds(timeout)
        if idle <= 0:
            return (yield Call("get", (key,))) is None
        return bool((yield Call("add", (key, record), {"idle": idle, "life": inf})))

    def _incr(
        self, name: str, delta: int, initial: int | None, timeout: Timeout
    ) -> Flow[int | None]:
        key = self._key(name)
        for _ in range(ATTEMPTS):
            found: Found | None = yield Call("get", (key,))
            number = self._value(found, None)
            if found is None or number is None:
                if initial is None:
                    return None
                number = initial + delta
                if found is not None:  # an entry that cannot be read
                    yield from self._set(name, number, timeout)
                    return number
                if (yield from self._add(name, number, timeout)):
                    return number
                continue
            if not isinstance(number, int):
                raise TypeError(
                    f"the value of {name!r} must be an int to add to, got {type(number).__name__}. "
                    f"Set it to an int, or delete it"
                )
            payload = self._payload(number + delta)
            keywords = {"expected": found.payload, "idle": found.idle_left}
            held = yield Call("set", (key, Record(payload)), keywords)
            if is_written(payload, held):
                return number + delta
        raise _refused()

    def _ttl(self, name: str) -> Flow[float | None]:
        found: Found | None = yield Call("get", (self._key(name),))
        return None if found is None else found.idle_left

    def _touch(self, name: str, timeout: Timeout) -> Flow[bool]:
        idle = _seconds(timeout)
        if idle <= 0:
            return (yield from self._delete(name))
        return bool((yield Call("touch", (self._key(name),), {"idle": idle})))

    def _delete(self, name: str) -> Flow[bool]:
        return (yield Call("destroy", (self._key(name),))) is not None

    def _clear(self) -> Flow[None]:
        records = yield Call("all", ())
        for key, found in records:
            payload = found.payload
            if payload.startswith(CACHE_ENTRY) and payload.startswith(self._path, len(CACHE_ENTRY)):
                yield Call("destroy", (key,))

    # -- internal ----------------------------------------------------------------------------------

    def _key(self, name: str) -> bytes:
        if not isinstance(name, str):
            raise TypeError(
                f"a cache key must be a str, got {type(name).__name__}. Example: 'page:1'"
            )
        named = self._hash.copy()
        named.update(name.encode("utf-8", "surrogatepass"))
        return named.digest()

    def _payload(self, value: Any) -> bytes:
        return CACHE_ENTRY + self._path + marked(codec.encode({}, {_NAME: value}, owner="cache"))

    def _value(self, found: Found | None, default: T) -> Any | T:
        if found is None:
            return default
        try:
            return codec.decode(found.payload[len(CACHE_ENTRY) + len(self._path) :])[1][_NAME]
        except (CodecError, KeyError) as error:
            log.warning("lembro: a cache entry cannot be read and counts as missing: %s", error)
            return default

    def _run(self, flow: Flow[T]) -> T:
        if self._is_async:
            flow.close()
            raise UsageError(
                f"{type(self.store).__name__} is asynchronous; call the async methods: aget, aset "
                f"and so on"
            )
        try:
            return run(flow, self.store)
        except SessionTooLarge as error:
            raise _too_large(error) from None

    async def _arun(self, flow: Flow[T]) -> T:
        try:
            if self._in_process:
                return run(flow, self.store)
            return await arun(flow, self._perform)
        except SessionTooLarge as error:
            raise _too_large(error) from None


def _verb(store: object, verb: str) -> Flow[None]:
    if hasattr(store, verb):
        yield Call(verb, ())


def _seconds(timeout: Timeout) -> float:
    if timeout is None:
        return inf
    return timeout.total_seconds() if isinstance(timeout, timedelta) else timeout


def _text(name: Any) -> str:
    if not isinstance(name, str):
        raise ConfigError(f"a namespace must be a str, got {name!r}. Example: 'pages'")
    return name


def _too_large(error: SessionTooLarge) -> SessionTooLarge:
    """Return the error for a cache entry, because the store's error calls the entry a session."""
    return SessionTooLarge(error.size, error.limit, "entry")


def _refused() -> StoreError:
    return StoreError(
        f"the store refused {ATTEMPTS} writes of one entry in a row. Check it with "
        f"lembro.testing: set() must write if the payload is the expected one"
    )
