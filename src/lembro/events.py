"""Events, and the listeners that applications register."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any, Final, TypeVar, overload

from ._log import log
from ._threads import is_coroutine_function
from .errors import LONGEST_REASON, ConfigError, printable

EVENTS: Final = (
    "created",
    "regenerated",
    "destroyed",
    "cleared",
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
    """Something that happened to a session. It never carries a session ID."""

    name: str
    """One of :data:`EVENTS`."""
    handle: str | None = None
    """The public name of the session."""
    user_id: str | None = None
    """The ID of the user who was logged in."""
    reason: str = ""
    """The reason, in plain text: at most 500 characters, because a visitor may have written it."""
    error: BaseException | None = None
    """The error that caused the event, if there is one."""
    previous: str | None = None
    """The handle that the session had before ``regenerated``."""
    evicted: int | None = None
    """How many sessions ``reduce()`` has evicted."""
    used: int | None = None
    """How many bytes the store uses after ``reduce()``."""

    def __post_init__(self) -> None:
        if self.reason:
            object.__setattr__(self, "reason", printable(self.reason, LONGEST_REASON))


Listener = Callable[[Event], Any]
L = TypeVar("L", bound=Listener)


class Events:
    """Registers listeners (``on``, ``once``, ``off``) and calls them (``emit``).

    Call ``emit`` only after locks are released, because a listener may call the store. An exception
    of a listener is logged.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._listeners: dict[str, tuple[tuple[Listener, bool], ...]] = {}

    @overload
    def on(self, name: str, listener: L) -> L: ...
    @overload
    def on(self, name: str) -> Callable[[L], L]: ...
    def on(self, name: str, listener: Any = None) -> Any:
        """Call ``listener(event)`` at every event of this name; also a decorator.

        Raises:
            ConfigError: the name is not one of ``EVENTS``, or the listener is a coroutine function.
        """
        return self._register(name, listener, once=False)

    @overload
    def once(self, name: str, listener: L) -> L: ...
    @overload
    def once(self, name: str) -> Callable[[L], L]: ...
    def once(self, name: str, listener: Any = None) -> Any:
        """Call ``listener(event)`` at the next event of this name only; also a decorator."""
        return self._register(name, listener, once=True)

    def off(self, name: str, listener: Listener) -> None:
        """Remove a listener. If it is not registered, do nothing."""
        self._check(name)
        with self._lock:
            kept = tuple(e for e in self._listeners.get(name, ()) if e[0] != listener)
            self._listeners[name] = kept

    def has_listener(self, name: str) -> bool:
        """Return whether the event has a listener, so that a hot path can skip making it."""
        return bool(self._listeners.get(name))

    def emit(self, event: Event) -> None:
        """Call the listeners of an event, in the order of their registration."""
        for entry in self._listeners.get(event.name, ()):
            listener, once = entry
            if once and not self._take(event.name, entry):
                continue
            try:
                listener(event)
            except Exception:
                log.exception("lembro: a listener of the event %r failed", event.name)

    def emit_all(self, events: Iterable[Event]) -> None:
        """Call the listeners of several events."""
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
                raise ConfigError(
                    f"a listener must be callable, got {function!r}. Example: "
                    f'manager.on("expired", lambda event: print(event))'
                )
            if is_coroutine_function(function):
                raise ConfigError(
                    f"a listener must be a plain function, got the coroutine function "
                    f"{function!r}, which would not be awaited. Example: lambda event: "
                    f"loop.call_soon_threadsafe(queue.put_nowait, event)"
                )
            with self._lock:
                self._listeners[name] = (*self._listeners.get(name, ()), (function, once))
            return function

        return register if listener is None else register(listener)

    @staticmethod
    def _check(name: str) -> None:
        if name not in EVENTS:
            raise ConfigError(f"the event must be one of {', '.join(EVENTS)}, got {name!r}")


class EventSource:
    """A base class with ``on``, ``once`` and ``off``, which register listeners in ``events``."""

    events: Events

    @overload
    def on(self, name: str, listener: L) -> L: ...
    @overload
    def on(self, name: str) -> Callable[[L], L]: ...
    def on(self, name: str, listener: Any = None) -> Any:
        """Call ``listener(event)`` at every event of this name; also a decorator.

        The events: created, regenerated, destroyed, cleared, expired, evicted, rejected, dropped,
        conflict, reduced, error. A listener is a plain function.

        Raises:
            ConfigError: there is no such event, or the listener is a coroutine function.
        """
        return self.events.on(name) if listener is None else self.events.on(name, listener)

    @overload
    def once(self, name: str, listener: L) -> L: ...
    @overload
    def once(self, name: str) -> Callable[[L], L]: ...
    def once(self, name: str, listener: Any = None) -> Any:
        """Call ``listener(event)`` at the next event of this name only; also a decorator."""
        return self.events.once(name) if listener is None else self.events.once(name, listener)

    def off(self, name: str, listener: Listener) -> None:
        """Remove a listener. If it is not registered, do nothing."""
        self.events.off(name, listener)
