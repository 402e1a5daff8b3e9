"""Watch the calls of a store, for metrics and traces.

A manager whose store is not watched calls it directly, so watching costs nothing until it begins.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final, Protocol

from .drivers import performer, sync_and_async
from .runner import Runner

VERBS: Final = (
    *("get", "add", "set", "replace", "touch", "destroy"),
    *("of_user", "destroy_user", "length", "clear", "purge", "reduce"),
)
"""The verbs that are watched. ``all`` is not one of them, because it reads while it is iterated."""

Verb = Callable[..., Any]


class Watcher(Protocol):
    """Makes the functions that are called in place of the verbs of a store."""

    def watched(self, name: str, verb: Verb) -> Verb:
        """Return a function that calls ``verb``, a plain function, and returns its result."""
        ...

    def awaited(self, name: str, verb: Verb) -> Verb:
        """Return a coroutine function that awaits ``verb``, and returns its result."""
        ...


class WatchedStore:
    """Stands in for a store: its verbs are watched, and everything else is the store's own."""

    def __init__(self, store: Any, watch: Callable[[str, Verb], Verb]) -> None:
        self._store = store
        for name in VERBS:
            verb = getattr(store, name, None)
            if verb is not None:
                setattr(self, name, watch(name, verb))

    def __getattr__(self, name: str) -> Any:
        return getattr(self._store, name)


class _WatchedBoth(WatchedStore):
    """Stands in for a store with plain verbs, and perhaps a twin with async ones."""

    def __init__(
        self, store: Any, watch: Callable[[str, Verb], Verb], *, is_sync: bool, aio: Any
    ) -> None:
        super().__init__(store, watch)
        self._is_sync = is_sync
        self.aio = aio

    @property
    def sync(self) -> Any:  # no attribute: the store would be in a reference cycle
        return self if self._is_sync else None


def watch(runner: Runner, watcher: Watcher) -> None:
    """Let a manager call its store through a watcher, from now on."""
    runner.called = _watched(runner.called, watcher)
    runner.perform = performer(runner.called)


def _watched(store: Any, watcher: Watcher) -> Any:
    sync, aio = sync_and_async(store)
    if aio is store:
        return WatchedStore(store, watcher.awaited)
    watched_aio = None if aio is None else WatchedStore(aio, watcher.awaited)
    return _WatchedBoth(store, watcher.watched, is_sync=sync is not None, aio=watched_aio)
