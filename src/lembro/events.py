"""The events and who hears them."""

from __future__ import annotations

import inspect
import threading
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any, Final, TypeVar, overload

from ._log import log
from .errors import ConfigError

EVENTS: Final = (
    "created",
    "regenerated",
    "destroyed",
    "expired",
    "evicted",
    "rejected",
    "dropped",
    "conflict",
    "reduced",
    "error",
)


@dataclass(frozen=True, slots=True)
class Event:
    """What happened. Never carries a session id: ``handle`` is a session's public name."""

    name: str
    handle: str | None = None
    user: str | None = None
    reason: str = ""
    error: BaseException | None = None


Listener = Callable[[Event], Any]
L = TypeVar("L", bound=Listener)


class Events:
    """``on``, ``once`` and ``off``, each also as a decorator; ``emit`` calls the listeners.

    Emit only after locks are released: a listener may call the store. One that raises is logged.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._listeners: dict[str, tuple[tuple[Listener, bool], ...]] = {}

    @overload
    def on(self, name: str, listener: L) -> L: ...
    @overload
    def on(self, name: str) -> Callable[[L], L]: ...
    def on(self, name: str, listener: Any = None) -> Any:
        """Call ``listener(event)`` at every event of this name. Raises ConfigError for a name
        that is not one of ``EVENTS``."""
        return self._register(name, listener, once=False)

    @overload
    def once(self, name: str, listener: L) -> L: ...
    @overload
    def once(self, name: str) -> Callable[[L], L]: ...
    def once(self, name: str, listener: Any = None) -> Any:
        """As ``on``, for the next event only."""
        return self._register(name, listener, once=True)

    def off(self, name: str, listener: Listener) -> None:
        """Take a listener back; one that is not registered is ignored."""
        self._check(name)
        with self._lock:
            kept = tuple(e for e in self._listeners.get(name, ()) if e[0] != listener)
            self._listeners[name] = kept

    def heard(self, name: str) -> bool:
        """Whether anybody listens, so that a busy place need not build the event."""
        return bool(self._listeners.get(name))

    def emit(self, event: Event) -> None:
        """Call the listeners of the event, in the order of their registration."""
        for entry in self._listeners.get(event.name, ()):
            listener, once = entry
            if once and not self._take(event.name, entry):
                continue
            try:
                listener(event)
            except Exception:
                log.exception("a listener of %r failed", event.name)

    def emit_all(self, events: Iterable[Event]) -> None:
        for event in events:
            self.emit(event)

    def _take(self, name: str, entry: tuple[Listener, bool]) -> bool:
        with self._lock:
            entries = self._listeners.get(name, ())
            if not any(e is entry for e in entries):
                return False
            self._listeners[name] = tuple(e for e in entries if e is not entry)
            return True

    def _register(self, name: str, listener: Listener | None, *, once: bool) -> Any:
        self._check(name)

        def register(function: Listener) -> Listener:
            if not callable(function):
                raise ConfigError(f"a listener must be callable, not {function!r}")
            if inspect.iscoroutinefunction(function):
                raise ConfigError(
                    f"a listener must be a plain function, not {function!r}, which nobody would "
                    "await: hand the event over, loop.call_soon_threadsafe(queue.put_nowait, event)"
                )
            with self._lock:
                self._listeners[name] = (*self._listeners.get(name, ()), (function, once))
            return function

        return register if listener is None else register(listener)

    @staticmethod
    def _check(name: str) -> None:
        if name not in EVENTS:
            raise ConfigError(f"no event {name!r}; the events are {', '.join(EVENTS)}")


class EventSource:
    """Whatever has ``events``, with their methods as its own."""

    events: Events

    @overload
    def on(self, name: str, listener: L) -> L: ...
    @overload
    def on(self, name: str) -> Callable[[L], L]: ...
    def on(self, name: str, listener: Any = None) -> Any:
        """Call ``listener(event)`` at every event of this name; also a decorator. The events:
        created, regenerated, destroyed, expired, evicted, rejected, dropped, conflict, reduced,
        error."""
        return self.events.on(name) if listener is None else self.events.on(name, listener)

    @overload
    def once(self, name: str, listener: L) -> L: ...
    @overload
    def once(self, name: str) -> Callable[[L], L]: ...
    def once(self, name: str, listener: Any = None) -> Any:
        """As ``on``, for the next event only."""
        return self.events.once(name) if listener is None else self.events.once(name, listener)

    def off(self, name: str, listener: Listener) -> None:
        """Take a listener back."""
        self.events.off(name, listener)
