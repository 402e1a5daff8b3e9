"""An external store in memory, whose backend fails when a test asks for it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from functools import partial
from itertools import islice
from typing import Any, Final, TypeVar

from lembro import MemoryStore, StoreError, StoreFull, StoreUnavailable
from lembro.stores.external.backend import Dropped, Steps
from lembro.stores.external.store import ExternalStore
from lembro.testing import FakeClock

T = TypeVar("T")

VERBS: Final = ("get", "add", "set", "replace", "touch", "destroy", "of_user", "destroy_user")


class Refused(Exception):
    """The client's error for a server that is down."""


class Lost(Exception):
    """The client's error for a connection that was dropped."""


class OutOfMemory(Exception):
    """The client's error for a server that is full."""


class MemoryVerbs:
    """The verbs: each yields one command, which the connectors perform on a MemoryStore."""

    def __getattr__(self, name: str) -> Any:
        if name not in VERBS:
            raise AttributeError(name)
        return partial(self._verb, name)

    def _verb(self, name: str, *args: Any, **keywords: Any) -> Steps[Any]:
        return (yield name, args, keywords)

    def page(self, after: Any) -> Steps[Any]:
        every: Any = yield "all", (), {}
        start = after or 0
        pairs = list(islice(every, start, start + 2))
        return pairs, start + 2 if len(pairs) == 2 else None

    def length(self) -> Steps[int]:
        count: int = yield "length", (), {}
        return count

    def clear(self) -> Steps[None]:
        yield "clear", (), {}

    def purge(self, limit: int | None) -> Steps[int]:
        yield from ()
        return 0

    def stats(self) -> Steps[dict[str, Any]]:
        return {"sessions": (yield "length", (), {})}

    def ping(self) -> Steps[Any]:
        count: int = yield "length", (), {}
        return count


class FaultyBackend:
    """A MemoryStore in the place of a server."""

    place = "fake://server"

    def __init__(self, *, sync: bool = True, asynchronous: bool = True) -> None:
        self.clock = FakeClock()
        self.memory = MemoryStore("64M", clock=self.clock)
        self.verbs: Any = MemoryVerbs()
        self.connector: Any = (lambda: FaultyConnector(self)) if sync else None
        self.async_connector: Any = (lambda: AsyncFaultyConnector(self)) if asynchronous else None
        self.before: list[Exception] = []
        """Errors of the next commands, which are not performed."""
        self.after: list[Exception] = []
        """Errors of the next commands, which are performed."""
        self.down = False
        self.opened = self.closed = self.commands = 0

    def perform(self, steps: Steps[T]) -> T:
        try:
            command = next(steps)
            while True:
                command = steps.send(self._perform(*command))
        except StopIteration as stop:
            return stop.value  # type: ignore[no-any-return]

    def _perform(self, verb: str, args: Any, keywords: Any) -> Any:
        self.commands += 1
        if self.down:
            raise Refused("connection refused")
        if self.before:
            raise self.before.pop()
        result = getattr(self.memory, verb)(*args, **keywords)
        if self.after:
            raise self.after.pop()
        return result

    def translate(self, error: Exception) -> StoreError | None:
        kinds: dict[type[Exception], Callable[[str], StoreError]] = {
            Refused: StoreUnavailable,
            Lost: Dropped,
            OutOfMemory: StoreFull,
        }
        kind = kinds.get(type(error))
        return None if kind is None else kind(str(error))


class FaultyConnector:
    def __init__(self, backend: FaultyBackend) -> None:
        self.backend = backend

    def open(self) -> None:
        self.backend.opened += 1

    def run(self, verb: Callable[[], Steps[T]], *, reads: bool) -> T:
        return self.backend.perform(verb())

    def close(self) -> None:
        self.backend.closed += 1


class AsyncFaultyConnector:
    def __init__(self, backend: FaultyBackend) -> None:
        self.backend = backend

    async def open(self) -> None:
        await asyncio.sleep(0)  # other tasks run meanwhile
        self.backend.opened += 1

    async def run(self, verb: Callable[[], Steps[T]], *, reads: bool) -> T:
        return self.backend.perform(verb())

    async def close(self) -> None:
        self.backend.closed += 1

    def discard(self) -> None:
        self.backend.closed += 1


class FaultyStore(ExternalStore):
    """The store over such a backend."""

    def __init__(self, **options: Any) -> None:
        keywords = {name: options.pop(name) for name in ("sync", "asynchronous") if name in options}
        self.backend = FaultyBackend(**keywords)
        super().__init__(self.backend, **options)
