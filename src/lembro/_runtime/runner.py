"""What integrations call for each request: it runs the flows of the lifecycle against the store,
and reports what happened."""

from __future__ import annotations

import inspect
import logging
import sys
from typing import Any, TypeVar, Unpack

from .._core import actions, codec, load
from .._core.effects import Call, Flow
from .._core.lifecycle import Lifecycle
from .._core.session import Session
from .._core.state import COMMITTED, NOT_LOADED, SetCookie
from .._http.cookie import ABSENT, SessionCookie
from .._http.headers import RequestHeaders, warn_of_plain_http, warn_of_shared_cookie
from .._log import log
from ..errors import ConfigError, LembroError, StoreError
from ..events import Event, Events, EventSource
from ..migrate.lifecycle import MigratingLifecycle
from ..migrate.source import CookieWithLegacy, Source
from ..options import OptionKeywords, SessionOptions, from_keywords
from ..stores.base import AsyncStore, Store
from . import open_stores
from .drivers import arun, performer, run

T = TypeVar("T")

_VERBS = ("get", "add", "set", "replace", "touch", "destroy")
_LOG_LEVELS = {
    "rejected": logging.INFO,
    "dropped": logging.INFO,
    "conflict": logging.INFO,
    "error": logging.ERROR,
}


class Runner(EventSource):
    """Options, store and events together; :class:`~lembro.SessionManager` is built on it."""

    def __init__(
        self,
        store: Store | AsyncStore,
        options: SessionOptions | None = None,
        **keywords: Unpack[OptionKeywords],
    ) -> None:
        _check_store(store)
        if options is not None and not isinstance(options, SessionOptions):
            raise ConfigError(f"options={options!r}: write SessionOptions(...), or keywords")
        self.store: Store | AsyncStore = store
        self.options: SessionOptions = from_keywords(keywords, options)
        secret = self.options.secret
        signing = tuple(secret) if secret else ()
        readers: Any = self.options.migrate_from  # a tuple, once it is checked
        sources = tuple(Source(reader) for reader in readers)
        self.cookie: SessionCookie = (
            CookieWithLegacy(self.options.cookie, signing, sources)
            if sources
            else SessionCookie(self.options.cookie, signing)
        )
        self.in_process: bool = getattr(store, "blocking", True) is False
        # Whether a session has to be loaded before a handler in an event loop is called.
        self.preloads: bool = not self.in_process or any(source.waits for source in sources)
        self._store_is_async = not hasattr(store, "blocking")
        self._perform = performer(store)
        reputation_of = self.cookie.reputation if hasattr(store, "new_reputation") else None
        lifecycle = MigratingLifecycle if sources else Lifecycle
        self.core: Lifecycle = lifecycle(self.options, reputation_of=reputation_of)
        events = getattr(store, "events", None)
        self.events: Events = events if isinstance(events, Events) else Events()
        self._current: bytes | None = None

    # -- for integrations --------------------------------------------------------------------------

    def start(self) -> None:
        """Call what the store wants called before the first request (its ``open``)."""
        if hasattr(self.store, "open"):
            self._run(self._verb("open"))
        open_stores.begin(self.store)

    async def astart(self) -> None:
        """As ``start``."""
        if hasattr(self.store, "open"):
            await self._arun(self._verb("open"))
        open_stores.begin(self.store)

    def stop(self) -> None:
        """Call what the store wants called after the last request (its ``close``), unless another
        application that has started it goes on."""
        if open_stores.end(self.store) and hasattr(self.store, "close"):
            self._run(self._verb("close"))

    async def astop(self) -> None:
        """As ``stop``."""
        if open_stores.end(self.store) and hasattr(self.store, "close"):
            await self._arun(self._verb("close"))

    def start_for_good(self) -> None:
        """As ``start``, for an application that nobody starts or stops, as in WSGI. A store in this
        process is ready as it is, and if it was closed, that was on purpose."""
        if not self.in_process:
            self.start()

    def is_within_itself(self, outer: object, *, https: bool) -> bool:
        """Whether ``outer``, the session that a request has already, is this manager's, because
        one middleware is mounted within another. Two managers with one cookie are said, once."""
        if not isinstance(outer, Session):
            return False
        if outer._manager is self:
            return True
        name = self.options.cookie.name_over(https=https)
        if name == outer._manager.options.cookie.name_over(https=https):
            warn_of_shared_cookie(name)
        return False

    def look(self, session: Session) -> None:
        """Serve a look at a session that is not loaded, or whose response has begun."""
        if session._loaded is NOT_LOADED:
            if self.in_process:
                self._load_directly(session)
                return
            if session._failure is not None:
                raise _anew(session._failure)
            self._check_sync(session, "its path is excluded, so `await session.areload()` first")
            self._run(load.load(session), session)
        elif self.in_process:
            self._run(actions.recheck(self.core, session), session)

    async def apreload(self, session: Session) -> None:
        """Load before the handler is called, as networked stores need, and old sessions elsewhere
        (``loads_ahead``). If the store fails, it is the first look at the session that raises."""
        if self.in_process and not _brings_old(session):
            return
        try:
            await self._arun(load.load(session), session)
        except StoreError as error:
            session._failure = error.with_traceback(None)
        else:
            session._preloaded, session._ready = True, False

    def commit(self, session: Session, *, failed: bool = False) -> None:
        """The response begins. What a session that nobody has looked at so far is given from here
        on would be kept by nobody, so it is closed as well. Raises StoreError, SessionTooLarge,
        CodecError, TooManySessions."""
        try:
            if not (self.core.nothing_to_commit(session) or self._set_directly(session, failed)):
                self._run(self.core.commit(session, failed=failed), session)
        finally:
            session._phase, session._ready = COMMITTED, False

    async def acommit(self, session: Session, *, failed: bool = False) -> None:
        """As ``commit``."""
        try:
            if not self.core.nothing_to_commit(session):
                await self._arun(self.core.commit(session, failed=failed), session)
        finally:
            session._phase, session._ready = COMMITTED, False

    def set_cookie(
        self,
        session: Session,
        client: str | None,
        request: RequestHeaders | None = None,
        *,
        https: bool,
    ) -> bytes | None:
        """The Set-Cookie header that the response needs, if it needs one. For a warning only:
        ``client``, the address that the request came from, and ``request``, its headers."""
        action = session._cookie
        if action is None:
            return None
        if not https and self.options.cookie.secure == "auto":
            warn_of_plain_http(client, request)
        if isinstance(action, SetCookie):
            return self.cookie.render(
                action.session_id, action.reputation, https=https, max_age=action.max_age
            )
        return self.cookie.render_cleared(https=https)

    def cleared_legacy_cookies(self, session: Session, *, https: bool) -> list[bytes]:
        """The Set-Cookie headers that remove cookies of old (``migrate_from``) from the browser, to
        go with one that ``set_cookie`` returned: then the old one is none any more."""
        cleared = (offer.source.cleared(https=https) for offer in session._presented.legacy)
        return list(dict.fromkeys(cleared))

    def finish(self, session: Session) -> None:
        """The response has ended: a change that came too late is said, in the log and as an
        event."""
        if (
            session._loaded is NOT_LOADED or not session._nested_possible
        ):  # an assignment would have raised
            return
        session._assigned = False
        try:
            session._flush_views()
            if session._key is None:  # without a session only a view can have changed
                changed = session._assigned
            else:
                changed = not codec.unchanged(session._payload, session._meta, session._data)
        except LembroError:
            changed = True
        if not changed:
            return
        session._nested_possible = (
            False  # said once, also where an integration has several ends to wait for
        )
        self.tell_lost(session)

    def tell_lost(self, session: Session) -> None:
        """Say that a change came too late."""
        handle = session._current_handle()
        log.error(
            "session %s was changed after the response had begun; the change is lost: "
            "write inside `with session.edit():` (in async code `async with`)",
            handle or "-",
        )
        self._emit([Event("dropped", handle, session._current_user(), "changed too late")])

    def run_for(self, session: Session, name: str, *args: Any) -> Any:
        """Run a flow of ``midway`` for a session."""
        self._check_sync(session, f"`await session.a{name}()`")
        return self._run(getattr(actions, name)(self.core, session, *args), session)

    async def arun_for(self, session: Session, name: str, *args: Any) -> Any:
        """As ``run_for``."""
        session._preloaded = False
        return await self._arun(getattr(actions, name)(self.core, session, *args), session)

    def require(self, capability: str) -> str:
        """``capability``, if the store has it; else ConfigError."""
        if not hasattr(self.store, capability):
            raise ConfigError(f"{type(self.store).__name__} has no {capability}()")
        return capability

    # -- within ------------------------------------------------------------------------------------

    def _load_directly(self, session: Session) -> None:
        """What the flow ``load`` comes to over an in-process store, without its generators, which
        take as long as the rest of a look."""
        key = load.begin(session)
        if key is not None:
            try:
                found: Any = self.store.get(key)
                if found is not None and not load.arrive(session, key, found):
                    run(load.arrive_by(session, found), self.store)
            except StoreError:
                session._loaded = NOT_LOADED
                raise
        elif session._presented.legacy:
            try:
                run(self.core.load_legacy(session), self.store)
            except StoreError:
                session._loaded = NOT_LOADED
                raise
        session._ready = session._phase is not COMMITTED
        if session._events:
            self._report(session)

    def _set_directly(self, session: Session, failed: bool) -> bool:
        """As ``_load_directly``, for a commit that is a call to set, which saves it five generators
        one within the other. False: it is more."""
        if failed or not self.in_process:
            return False
        written = self.core.only_set(session)
        if written is None:
            return False
        call, meta = written
        store: Any = self.store
        held = store.set(*call.args, **call.keywords)
        if not self.core.writer.was_set(session, call, meta, held):
            self._run(self.core.go_on(session, held), session)
        return True

    def _verb(self, verb: str, *args: Any) -> Flow[Any]:
        self.require(verb)
        result = yield Call(verb, args)
        return result

    def _run(self, flow: Flow[T], session: Session | None = None) -> T:
        if self._store_is_async:
            raise LembroError(
                f"{type(self.store).__name__} is asynchronous: await a{_called()}() instead"
            )
        try:
            return run(flow, self.store)
        finally:
            self._report(session)

    async def _arun(self, flow: Flow[T], session: Session | None = None) -> T:
        try:
            if not self.preloads:
                return run(flow, self.store)
            return await arun(flow, self._perform)
        finally:
            self._report(session)

    def _report(self, session: Session | None) -> None:
        if session is not None and session._loaded is not NOT_LOADED and session._events:
            events, session._events = session._events, []
            self._emit(events)

    def _emit(self, events: list[Event]) -> None:
        for event in events:
            log.log(
                _LOG_LEVELS.get(event.name, logging.DEBUG),
                "%s: session %s%s",
                event.name,
                event.handle or "-",
                f": {event.reason}" if event.reason else "",
            )
            self.events.emit(event)

    def _check_sync(self, session: Session, instead: str) -> None:
        """Raise LembroError, which says what to write instead, if a plain call would block."""
        if session._async and not self.in_process:
            raise LembroError(f"{type(self.store).__name__} would block the event loop: {instead}")


def _brings_old(session: Session) -> bool:
    """Whether the request has a cookie of old, and none of ours."""
    presented = ABSENT if session._read is None else session._read(session._source)
    return presented.id is None and bool(presented.legacy)


def _anew(failure: StoreError) -> StoreError:
    """The same failure, to be raised. What is raised holds the frames that it passes, and with them
    the session: if the session held it too, both would wait for the garbage collector."""
    kind = type(failure)
    anew = kind.__new__(kind, *failure.args)
    anew.__dict__.update(failure.__dict__)
    anew.__cause__ = failure.__cause__
    return anew


def _called() -> str:
    """The public method that was called, for a message."""
    frame = sys._getframe(1)
    while frame.f_back is not None and frame.f_code.co_name.startswith("_"):
        frame = frame.f_back
    return frame.f_code.co_name


def _check_store(store: Any) -> None:
    missing = [verb for verb in _VERBS if not callable(getattr(store, verb, None))]
    if isinstance(store, type) or missing:
        raise ConfigError(
            f"store={store!r}: give a store, for example MemoryStore(max_size='64M')"
            + (
                f" (it lacks {', '.join(missing)})"
                if missing and not isinstance(store, type)
                else ""
            )
        )
    asynchronous = [inspect.iscoroutinefunction(getattr(store, verb)) for verb in _VERBS]
    if hasattr(store, "blocking") and any(asynchronous):
        raise ConfigError(f"{type(store).__name__} has async verbs and `blocking`: leave that out")
    if not hasattr(store, "blocking") and not all(asynchronous):
        raise ConfigError(f"{type(store).__name__} has plain verbs: say `blocking`, True or False")
