"""The interface of a store in the store benches, with the bare dict and lembro.

Each store gets the form of data that it is made for. lembro and the caches hold the session as JSON
by msgspec. A store that encodes by itself (cachelib, Django), or that holds the dict as it is
(Beaker), gets the dict. The loops of the stores with targets are written out, so that no call of
the bench is timed.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Final

from bench.data import decode, encode, key, name
from lembro import MemoryStore, Record

IDLE: Final = 86400  # seconds
USUAL: Final = 300  # bytes that a store with a limit in sessions allows for each

Clock = Callable[[], float]


class Contender:
    """A store with some verbs.

    ``cap`` (bytes) or ``count`` (sessions) is the number that it must hold. ``clock`` is for the
    stores that accept one.
    """

    title: str
    bound = "count"  # the unit of its limit: "bytes", "count" or "none"
    million = True  # whether it is fast enough to be filled with a million sessions
    purges = ""  # the name of its purge, if it has one that can be timed

    ident: Callable[[int], Any] = staticmethod(name)

    def __init__(self, cap: int | None, count: int, clock: Clock | None = None) -> None:
        raise NotImplementedError

    # One session at a time.

    def load(self, at: Any) -> Any:
        """Return the stored session, or None."""
        raise NotImplementedError

    def store(self, at: Any, value: Any, idle: int = IDLE) -> None:
        """Store a new session, or another content."""
        raise NotImplementedError

    def value(self, data: dict[str, Any]) -> Any:
        """Return a session in the form that ``store`` takes."""
        return encode(data)

    def remove(self, at: Any) -> None:
        raise NotImplementedError

    def purge(self) -> None:
        """Remove expired sessions."""

    def close(self) -> None:
        """End its threads."""

    # Many sessions at once, timed.

    def get_all(self, ids: Sequence[Any]) -> None:
        load = self.load
        for at in ids:
            decode(load(at))

    def overwrite_all(self, ids: Sequence[Any], datas: Sequence[Any], was: Sequence[Any]) -> None:
        store = self.store
        for at, data in zip(ids, datas, strict=True):
            store(at, encode(data))

    def new_all(self, ids: Sequence[Any], datas: Sequence[Any]) -> None:
        store = self.store
        for at, data in zip(ids, datas, strict=True):
            store(at, encode(data))

    def touch_all(self, ids: Sequence[Any]) -> None:
        """Extend all sessions.

        Raises:
            NotImplementedError: The store has no touch.
        """
        raise NotImplementedError

    # Outside of the timed part.

    def payloads(self, ids: Sequence[Any]) -> list[Any]:
        """Return what a request has loaded before it writes."""
        return []

    def remove_all(self, ids: Sequence[Any]) -> None:
        for at in ids:
            self.remove(at)

    def fill(self, ids: Sequence[Any], values: Sequence[Any]) -> None:
        store = self.store
        for at, value in zip(ids, values, strict=True):
            store(at, value)


class BareDict(Contender):
    """The fastest possible store."""

    title = "bare dict"
    bound = "none"

    def __init__(self, cap: int | None, count: int, clock: Clock | None = None) -> None:
        self.it: dict[Any, Any] = {}

    def load(self, at: Any) -> Any:
        return self.it.get(at)

    def store(self, at: Any, value: Any, idle: int = IDLE) -> None:
        self.it[at] = value

    def remove(self, at: Any) -> None:
        del self.it[at]

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


class Lembro(Contender):
    title = "lembro"
    bound = "bytes"
    purges = "purge(), each of its slices"

    ident = staticmethod(key)

    def __init__(self, cap: int | None, count: int, clock: Clock | None = None) -> None:
        """Without a cap: a size that certainly holds this number of typical sessions."""
        self.it = MemoryStore(cap or max(1 << 20, count * 600), clock=clock)

    def load(self, at: Any) -> Any:
        found = self.it.get(at)
        return None if found is None else found.payload

    def store(self, at: Any, value: Any, idle: int = IDLE) -> None:
        """Add a record, or compare and set the loaded one, as the contract requires."""
        it = self.it
        if not it.add(at, Record(value), idle=idle, life=10 * IDLE):
            found = it.get(at)
            if found is not None:
                it.set(at, Record(value), expected=found.payload, idle=idle)

    def remove(self, at: Any) -> None:
        self.it.destroy(at)

    def purge(self) -> None:
        self.it.purge()

    def close(self) -> None:
        self.it.close()

    def get_all(self, ids: Sequence[Any]) -> None:
        get: Any = self.it.get  # each of them exists
        for at in ids:
            decode(get(at).payload)

    def payloads(self, ids: Sequence[Any]) -> list[Any]:
        return [self.load(at) for at in ids]

    def overwrite_all(self, ids: Sequence[Any], datas: Sequence[Any], was: Sequence[Any]) -> None:
        set_ = self.it.set
        for at, data, old in zip(ids, datas, was, strict=True):
            set_(at, Record(encode(data)), expected=old, idle=IDLE)

    def new_all(self, ids: Sequence[Any], datas: Sequence[Any]) -> None:
        add = self.it.add
        for at, data in zip(ids, datas, strict=True):
            add(at, Record(encode(data)), idle=IDLE, life=10 * IDLE)

    def touch_all(self, ids: Sequence[Any]) -> None:
        touch = self.it.touch
        for at in ids:
            touch(at, idle=IDLE)


class LembroKnown(Lembro):
    """lembro as the middlewares use it: each session with its user and the visitor's reputation."""

    title = "lembro, with user and reputation"
    million = False

    def store(self, at: Any, value: Any, idle: int = IDLE) -> None:
        user = f"{int.from_bytes(at[:3]) + 100_000}"
        record = Record(value, user, None, self.it.new_reputation())
        self.it.add(at, record, idle=idle, life=10 * IDLE)
