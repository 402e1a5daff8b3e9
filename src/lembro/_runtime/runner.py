"""Run the flows of the lifecycle against one store, sync or async, and emit their events."""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable
from functools import cached_property
from typing import TYPE_CHECKING, Any, TypeVar

from .._core import actions, codec
from .._core.effects import Call, Flow
from .._core.lifecycle import Lifecycle
from .._core.load import begin_load
from .._core.session import Session
from .._core.state import COMMITTED, NOT_LOADED
from .._core.views import flush_views
from .._device import Visitor
from .._http.cookie import SessionCookie
from .._http.headers import warn_of_shared_cookie
from .._log import log
from .._threads import LoopBridge, in_event_loop
from ..errors import ConfigError, LembroError, StoreError, UsageError
from ..events import Event, Events
from ..options import SessionOptions
from ..stores.base import AsyncStore, Store
from . import open_stores
from .drivers import arun, performer, run, sync_and_async
from .store_check import check_store, warn_of_no_sessions

if TYPE_CHECKING:
    from .endings import Endings

T = TypeVar("T")

_OPENING = ("open", "close", "stats", "get")
_LOG_LEVELS = {
    "rejected": logging.INFO,
    "dropped": logging.INFO,
    "conflict": logging.INFO,
    "error": logging.ERROR,
}


class Runner:
    """Runs flows for one :class:`~lembro.SessionManager`: its store, options and events."""

    def __init__(self, store: Store | AsyncStore, options: SessionOptions) -> None:
        check_store(store)
        self.store: Any = store
        self.called: Any = store
        """The store, or the stand-in of ``watching.py`` through which its calls are watched."""
        self.options: SessionOptions = options
        secret = options.secret
        signing = tuple(secret) if secret else ()
        self.cookie: SessionCookie = SessionCookie(options.cookie, signing)
        authenticate: Any = getattr(store, "authenticate_snapshot", None)
        if signing and authenticate is not None:
            authenticate(signing)
        lifecycle = Lifecycle
        self.in_process: bool = getattr(store, "blocking", True) is False
        """Whether the store answers at once, so that its verbs may be called in an event loop."""
        self.preloads: bool = not self.in_process
        """Whether, in an event loop, the session is loaded before the handler is called."""
        self.is_async: bool = sync_and_async(store)[0] is None
        """Whether the store can only be awaited."""
        if options.migrate_from:
            # Imported only here, because the readers load json, urllib and more.
            from ..migrate.lifecycle import MigratingLifecycle  # noqa: PLC0415
            from ..migrate.source import CookieWithLegacy, Source  # noqa: PLC0415

            readers: Any = options.migrate_from  # a tuple, once it is checked
            sources = tuple(Source(reader) for reader in readers)
            self.cookie = CookieWithLegacy(options.cookie, signing, sources)
            self.preloads = self.preloads or any(source.waits for source in sources)
            lifecycle = MigratingLifecycle
            reserve_marks = getattr(store, "reserve_marks", None)
            if reserve_marks is not None:
                reserve_marks()
        self.size_limit: int | None = getattr(store, "max_session_size", None)
        """The maximum size of a session in bytes, if the store has a limit."""
        self.serving: bool = False
        """Whether this process has served a request."""
        self.perform: Callable[[Call], Awaitable[Any]] = performer(store)
        self._bridge = LoopBridge()
        reputation_of = self.cookie.reputation if hasattr(store, "new_reputation") else None
        self.lifecycle: Lifecycle = lifecycle(options, reputation_of=reputation_of)
        events = getattr(store, "events", None)
        self.events: Events = events if isinstance(events, Events) else Events()

    @cached_property
    def endings(self) -> Endings:
        """The watches for the ends of sessions; made when it is used, because it refers to this."""
        from .endings import Endings  # noqa: PLC0415 - few applications need it

        return Endings(self)

    # -- open and close ----------------------------------------------------------------------------

    def open(self) -> None:
        """Open the store (its ``open()``, if it has one), before the first request."""
        if hasattr(self.store, "open"):
            self.run(self.verb("open"), "open")
        open_stores.add(self.store)

    async def aopen(self) -> None:
        """Open the store, in an event loop."""
        if hasattr(self.store, "open"):
            await self.arun(self.verb("open"))
        open_stores.add(self.store)

    def close(self) -> None:
        """Close the store, unless another application has opened it and still runs."""
        if self._is_last() and hasattr(self.store, "close"):
            self.run(self.verb("close"), "close")

    async def aclose(self) -> None:
        """Close the store, in an event loop; see :meth:`close`."""
        if self._is_last() and hasattr(self.store, "close"):
            await self.arun(self.verb("close"))

    def _is_last(self) -> bool:
        """Return whether no other application uses the store. If so, stop the watches for ends."""
        is_last = open_stores.remove(self.store)
        if is_last and "endings" in self.__dict__:
            self.endings.stop()
        return is_last

    def open_permanently(self) -> None:
        """Open the store for an application without startup and shutdown, such as one of WSGI.

        An in-process store needs no opening; one that was closed stays closed. This may block an
        event loop, because ASGI servers import the application while their loop runs.
        """
        if not self.in_process:
            if hasattr(self.store, "open"):
                self._run(self.verb("open"), None)
            open_stores.add(self.store)

    def require_sync(self, what: str) -> None:
        """Raise ConfigError if the store is asynchronous, because ``what`` has no event loop."""
        if self.is_async:
            raise ConfigError(
                f"{type(self.store).__name__} is asynchronous, and {what} has no event loop; use a "
                f"store with synchronous verbs, such as MemoryStore"
            )

    # -- the session of a request ------------------------------------------------------------------

    def owns(self, session: object, *, https: bool) -> bool:
        """Return whether the session that a request already has is this manager's.

        It is, if one middleware is nested in another of the same manager. Warns once if two
        managers share a cookie name.
        """
        if not isinstance(session, Session):
            return False
        runner = session._transport.runner
        if runner is self:
            return True
        name = self.options.cookie.name_over(https=https)
        if name == runner.options.cookie.name_over(https=https):
            warn_of_shared_cookie(name)
        return False

    def load(self, session: Session) -> None:
        """Load a session at its first access."""
        if not self.in_process:
            if session._failure is not None:
                raise _copy_of(session._failure)
            instead = "`await session.aload()` first: it was not loaded yet"
            self.check_may_block(instead)
            self._run(self.lifecycle.load(session), session, instead)
            return
        lifecycle = self.lifecycle
        key = begin_load(session, lifecycle.lifetimes.passive, lifecycle.writer.key_of)
        try:
            found = None if key is None else self.called.get(key)
            rest = lifecycle.finish_load(session, key, found)
            if rest is not None:
                run(rest, self.called)
        except StoreError:
            session._loaded = NOT_LOADED
            raise
        session._ready = session._phase is not COMMITTED
        if session._events:
            self._report(session)

    def recheck(self, session: Session) -> None:
        """Load what other requests have stored since the response began.

        With a store that blocks, only ``edit()`` and ``reload()`` ask the store again.

        Raises:
            SessionGone: the session has ended.
        """
        if self.in_process:
            self._run(actions.recheck(self.lifecycle, session), session)

    async def preload(self, session: Session) -> None:
        """Load a session before its handler is called (``preloads``), if ``load`` is "ahead"."""
        if self.options.load == "ahead":
            await self.aload(session)

    async def aload(self, session: Session) -> None:
        """Load a session that is not loaded yet. This does not count as an access.

        If the store fails, the first access to the session raises.
        """
        session._check_accessible()
        if not self.preloads or session._loaded is not NOT_LOADED:
            return
        if self.in_process:
            presented = session._transport.read_cookie()
            if presented.id is not None or not presented.legacy:
                return
        try:
            await self.arun(self.lifecycle.load(session), session)
        except StoreError as error:
            session._failure = error.with_traceback(None)
        else:
            session._preloaded, session._ready, session._failure = True, False, None

    def commit(self, session: Session, *, failed: bool = False) -> None:
        """Store what a request did, before its response begins.

        A session that was never accessed is closed for writing too: a later change would be lost.

        Raises:
            StoreError, SessionTooLarge, CodecError, TooManySessions: nothing was stored.
        """
        try:
            flow = self.lifecycle.commit(session, failed=failed)
            if flow is not None:
                self._run(flow, session)
        finally:
            session._phase, session._ready = COMMITTED, False

    async def acommit(self, session: Session, *, failed: bool = False) -> None:
        """Store what a request did, in an event loop; see :meth:`commit`."""
        try:
            flow = self.lifecycle.commit(session, failed=failed)
            if flow is not None:
                await self.arun(flow, session)
        finally:
            session._phase, session._ready = COMMITTED, False

    def run_action(self, session: Session, action: Callable[..., Flow[T]], *args: Any) -> T:
        """Run an action that the application asked for, such as ``save``."""
        instead = f"`await session.a{action.__name__}()`"
        self.check_may_block(instead)
        session._check_accessible()
        session._preloaded = False
        return self._run(action(self.lifecycle, session, *args), session, instead)

    async def arun_action(self, session: Session, action: Callable[..., Flow[T]], *args: Any) -> T:
        """Run an action that the application asked for, in an event loop."""
        session._check_accessible()
        session._preloaded = False
        return await self.arun(action(self.lifecycle, session, *args), session)

    def report_late_changes(self, session: Session) -> None:
        """Report a lost change: one that was made after the response had begun.

        The exchange calls this at the end of a response.
        """
        if session._loaded is NOT_LOADED or not session._nested_possible:
            return  # an assignment would have raised
        session._assigned = False
        try:
            flush_views(session)
            if session._key is None:  # without a session only a typed part can have changed
                changed = session._assigned
            else:
                encoded = codec.changed(session._payload, session._meta, session._data)
                changed = encoded is not None
        except LembroError:
            changed = True
        if changed:
            session._nested_possible = False  # reported once
            self.report_lost_change(session)

    def report_lost_change(self, session: Session) -> None:
        """Log and emit that a change came too late."""
        handle = session._current_handle()
        log.error(
            "lembro: session %s was changed after the response had begun; the change is lost. "
            "Write inside `with session.edit():` (in async code `async with`)",
            handle or "-",
        )
        self.emit([Event("dropped", handle, session._current_user(), "changed too late")])

    def describe(self, visitor: Visitor) -> str:
        """Describe a visitor's device with the option ``describe``, in at most 200 characters."""
        assert self.options.describe is not None
        try:
            device: object = self.options.describe(visitor)
        except Exception:
            log.exception("lembro: the function describe= failed; the device is not described")
            return ""
        return device[:200] if isinstance(device, str) else ""

    # -- flows -------------------------------------------------------------------------------------

    def require(self, verb: str) -> str:
        """Return ``verb`` if the store has it; else raise UsageError."""
        if not hasattr(self.store, verb):
            raise UsageError(
                f"{type(self.store).__name__} has no {verb}(), which this needs; use a store that "
                f"has it, such as MemoryStore"
            )
        return verb

    def require_sessions(self, verb: str) -> str:
        """Return ``verb`` as :meth:`require` does, for a method that the application calls.

        Warns once if a script asks for sessions that only the process of a server has.
        """
        if self.in_process and not self.serving:
            warn_of_no_sessions(self.store)
        return self.require(verb)

    def verb(self, verb: str, *args: Any) -> Flow[Any]:
        """Make a flow that calls one verb of the store."""
        (self.require if verb in _OPENING else self.require_sessions)(verb)
        return _call(Call(verb, args))

    def check_may_block(self, instead: str) -> None:
        """Raise UsageError if a plain call would block the event loop of this thread."""
        if not self.in_process and in_event_loop():
            raise UsageError(
                f"{type(self.store).__name__} would block the event loop; write {instead}"
            )

    def run(self, flow: Flow[T], name: str, session: Session | None = None) -> T:
        """Run a flow for the manager's method of this name."""
        instead = f"`await manager.a{name}()`"
        self.check_may_block(instead)
        return self._run(flow, session, instead)

    async def arun(self, flow: Flow[T], session: Session | None = None) -> T:
        """Run a flow in an event loop."""
        try:
            if not self.preloads:
                return run(flow, self.called)
            if self.is_async:
                self._bridge.note_loop()
            return await arun(flow, self.perform)
        finally:
            self._report(session)

    def emit(self, events: list[Event]) -> None:
        """Log events and call their listeners."""
        for event in events:
            log.log(
                _LOG_LEVELS.get(event.name, logging.DEBUG),
                "lembro: %s: session %s%s",
                event.name,
                event.handle or "-",
                f": {event.reason}" if event.reason else "",
            )
            self.events.emit(event)

    def _run(self, flow: Flow[T], session: Session | None, instead: str = "") -> T:
        """Run a flow. If no event loop can run it, the error says to write ``instead``."""
        try:
            if self.is_async:
                return self._run_on_loop(flow, instead)
            return run(flow, self.called)
        finally:
            self._report(session)

    def _run_on_loop(self, flow: Flow[T], instead: str) -> T:
        """Run a flow on the application's event loop, from a worker thread."""

        async def awaited() -> T:
            return await arun(flow, self.perform)

        try:
            return self._bridge.run(awaited)
        except RuntimeError as error:
            import inspect  # noqa: PLC0415 - slow to import

            if inspect.getgeneratorstate(flow) != inspect.GEN_CREATED:  # the flow itself failed
                raise
            raise UsageError(
                f"{type(self.store).__name__} is asynchronous, and no event loop runs that could "
                f"await it; write {instead or 'the async form'} in an event loop"
            ) from error

    def _report(self, session: Session | None) -> None:
        if session is not None and session._loaded is not NOT_LOADED and session._events:
            events, session._events = session._events, []
            self.emit(events)


def _call(call: Call) -> Flow[Any]:
    return (yield call)


def _copy_of(failure: StoreError) -> StoreError:
    """Copy an error that a session keeps, to raise the copy.

    A raised error refers to the frames that it passes, and so to the session. If the session
    referred to it too, the cycle would stay until the garbage collector runs.
    """
    kind = type(failure)
    copy = kind.__new__(kind, *failure.args)
    copy.__dict__.update(failure.__dict__)
    copy.__cause__ = failure.__cause__
    return copy
