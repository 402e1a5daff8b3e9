"""SessionManager: options, store and codec together.

What an integration holds, and what an operator, a CLI or a server without any web framework calls.
The methods that do I/O come in pairs: ``get`` where the store is in-process or the caller is not
in an event loop, ``aget`` everywhere.
"""

from __future__ import annotations

import copy
import inspect
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, TypeVar, Unpack

from . import codec, midway, operations
from .cookie import Presented, SessionCookie
from .drivers import arun, performer, run
from .errors import ConfigError, LembroError, StoreError
from .events import Event, Events, Listener
from .headers import warn_of_plain_http
from .ids import handle_for, is_id, key_for
from .lifecycle import Call, Flow, Lifecycle
from .logs import log
from .options import OptionKeywords, SessionOptions, from_keywords
from .session import Arrived, Phase, Session, SetCookie
from .stores.base import AsyncStore, Found, Store
from .stores.memory import MemoryStore

T = TypeVar("T")

_VERBS = ("get", "add", "set", "replace", "touch", "destroy")
_LOG_LEVELS = {"rejected": 20, "dropped": 20, "conflict": 20, "error": 40}


@dataclass(frozen=True)
class SessionInfo:
    """A session in a list; durations in seconds."""

    handle: str
    """Its public name; ``manager.end(handle, user=...)`` ends it."""
    age: float
    """Since it began, or since the login."""
    idle_for: float
    """Since it was last extended, which happens once a tenth of the idle timeout has passed."""
    data: dict[str, Any]
    user: str | None
    current: bool
    """Whether it is the session through which the manager was reached (``session.manager``)."""


class SessionManager:
    """Sessions in a store, by id.

    ``SessionManager(MemoryStore("64M"), idle_timeout=timedelta(hours=8))``: takes
    :class:`~lembro.SessionOptions`, its fields as keywords, or both. Raises ConfigError.
    """

    def __init__(
        self,
        store: Store | AsyncStore,
        options: SessionOptions | None = None,
        **keywords: Unpack[OptionKeywords],
    ) -> None:
        _check_store(store)
        if options is not None and not isinstance(options, SessionOptions):
            raise ConfigError(f"options={options!r}: write SessionOptions(...), or keywords")
        self.store = store
        self.options = from_keywords(keywords, options)
        secret = self.options.secret
        self.cookie = SessionCookie(self.options.cookie, tuple(secret) if secret else ())
        self.in_process = getattr(store, "blocking", True) is False
        self._store_is_async = not hasattr(store, "blocking")
        self._perform = performer(store)
        standing_of = self.cookie.standing if hasattr(store, "new_standing") else None
        self.core = Lifecycle(self.options, standing_of=standing_of)
        events = getattr(store, "events", None)
        self.events = events if isinstance(events, Events) else Events()
        self._current: bytes | None = None

    def __repr__(self) -> str:
        return f"<SessionManager over {type(self.store).__name__}>"

    def on(self, name: str, listener: Listener | None = None) -> Any:
        """Call ``listener(event)`` at every event of this name; also a decorator. The events:
        created, regenerated, destroyed, expired, evicted, rejected, dropped, conflict, reduced,
        error."""
        return self.events.on(name) if listener is None else self.events.on(name, listener)

    def once(self, name: str, listener: Listener | None = None) -> Any:
        """As ``on``, for the next event only."""
        return self.events.once(name) if listener is None else self.events.once(name, listener)

    def off(self, name: str, listener: Listener) -> None:
        """Take a listener back."""
        self.events.off(name, listener)

    # -- by session id -----------------------------------------------------------------------------

    def create(self, data: Mapping[str, Any] | None = None, user: str | None = None) -> str:
        """Store a new session and return its id. Raises ConfigError without data and user: a
        session is stored only once it holds something."""
        return _created(self._by_id(operations.create, None, data or {}, user))

    async def acreate(self, data: Mapping[str, Any] | None = None, user: str | None = None) -> str:
        """As ``create``."""
        return _created(await self._aby_id(operations.create, None, data or {}, user))

    def get(self, session_id: str) -> dict[str, Any] | None:
        """The data of a session, a copy; None if there is no such session."""
        return self._by_id(operations.get, session_id)

    async def aget(self, session_id: str) -> dict[str, Any] | None:
        """As ``get``."""
        return await self._aby_id(operations.get, session_id)

    def set(self, session_id: str, data: Mapping[str, Any]) -> bool:
        """Replace the data of a session. Never creates: False if there is no such session."""
        return self._by_id(operations.overwrite, session_id, data)

    async def aset(self, session_id: str, data: Mapping[str, Any]) -> bool:
        """As ``set``."""
        return await self._aby_id(operations.overwrite, session_id, data)

    def destroy(self, session_id: str) -> bool:
        """End a session; True for the one caller that ended it."""
        return self._by_id(operations.destroy, session_id)

    async def adestroy(self, session_id: str) -> bool:
        """As ``destroy``."""
        return await self._aby_id(operations.destroy, session_id)

    def touch(self, session_id: str) -> bool:
        """Extend the idle timeout of a session; False if there is no such session."""
        return self._by_id(operations.touch, session_id)

    async def atouch(self, session_id: str) -> bool:
        """As ``touch``."""
        return await self._aby_id(operations.touch, session_id)

    def regenerate(self, session_id: str) -> str | None:
        """Give a session a new id and return it; None if there is no such session, or if the id
        was replaced already (the new one went to whoever did it)."""
        return self._by_id(operations.regenerate, session_id)

    async def aregenerate(self, session_id: str) -> str | None:
        """As ``regenerate``."""
        return await self._aby_id(operations.regenerate, session_id)

    def load(self, session_id: str | None = None) -> Session:
        """The session of an id as an object, to change and ``save()``; a new one if there is no
        such session. What ``save()`` issued is in ``session.issued_id``."""
        session = self._session(session_id)
        self._run(self.core.load(session))
        return session

    async def aload(self, session_id: str | None = None) -> Session:
        """As ``load``; save with ``asave()``."""
        session = self._session(session_id)
        session._async = True
        await self._arun(self.core.load(session))
        return session

    # -- many --------------------------------------------------------------------------------------

    def all(self) -> list[SessionInfo]:
        """Every live session."""
        return self._infos(self._run(operations.listing(self.require("all"))))

    async def aall(self) -> list[SessionInfo]:
        """As ``all``."""
        return self._infos(await self._arun(operations.listing(self.require("all"))))

    def length(self) -> int:
        """How many live sessions there are."""
        return int(self._run(self._verb("length")))

    async def alength(self) -> int:
        """As ``length``."""
        return int(await self._arun(self._verb("length")))

    def clear(self) -> None:
        """End every session."""
        self._run(self._verb("clear"))

    async def aclear(self) -> None:
        """As ``clear``."""
        await self._arun(self._verb("clear"))

    def of_user(self, user: str) -> list[SessionInfo]:
        """The live sessions of a user, the oldest first."""
        return self._infos(self._run(operations.listing(self.require("of_user"), user)))

    async def aof_user(self, user: str) -> list[SessionInfo]:
        """As ``of_user``."""
        return self._infos(await self._arun(operations.listing(self.require("of_user"), user)))

    def end(self, handle: str, *, user: str | None = None) -> bool:
        """End the session of this handle. With ``user``: False if it is another user's, so that a
        handle from a form needs no further check. Without: an operator's, searches all."""
        return self._told(self._run(operations.end(self, handle, user)))

    async def aend(self, handle: str, *, user: str | None = None) -> bool:
        """As ``end``."""
        return self._told(await self._arun(operations.end(self, handle, user)))

    def destroy_user(self, user: str, keep: Session | str | None = None) -> int:
        """End all sessions of a user, but for ``keep`` (a Session or an id); how many."""
        self.require("destroy_user")
        return self._ended(user, self._run(self._verb("destroy_user", user, _key_of(keep))))

    async def adestroy_user(self, user: str, keep: Session | str | None = None) -> int:
        """As ``destroy_user``."""
        self.require("destroy_user")
        return self._ended(user, await self._arun(self._verb("destroy_user", user, _key_of(keep))))

    def purge(self) -> int:
        """Remove what has expired, now instead of by and by; how many."""
        return int(self._run(self._verb("purge")))

    async def apurge(self) -> int:
        """As ``purge``."""
        return int(await self._arun(self._verb("purge")))

    def reduce(self) -> int:
        """Evict down to the store's ``reduce_to``; how many were evicted."""
        return int(self._run(self._verb("reduce")))

    async def areduce(self) -> int:
        """As ``reduce``."""
        return int(await self._arun(self._verb("reduce")))

    def stats(self) -> Any:
        """The store's numbers."""
        return self._run(self._verb("stats"))

    async def astats(self) -> Any:
        """As ``stats``."""
        return await self._arun(self._verb("stats"))

    # -- for integrations --------------------------------------------------------------------------

    def start(self) -> None:
        """Call what the store wants called before the first request (its ``open``)."""
        if hasattr(self.store, "open"):
            self._run(self._verb("open"))

    async def astart(self) -> None:
        """As ``start``."""
        if hasattr(self.store, "open"):
            await self._arun(self._verb("open"))

    def stop(self) -> None:
        """Call what the store wants called after the last request (its ``close``)."""
        if hasattr(self.store, "close"):
            self._run(self._verb("close"))

    async def astop(self) -> None:
        """As ``stop``."""
        if hasattr(self.store, "close"):
            await self._arun(self._verb("close"))

    def look(self, session: Session) -> None:
        """Serve a look at a session that is not loaded, or whose response has begun."""
        if session._arrived is Arrived.UNREAD:
            if session._failure is not None:
                raise session._failure
            self._check_sync(session, "its path is excluded, so `await session.areload()` first")
            self._run(self.core.load(session), session)
            session._ready = session._phase is not Phase.COMMITTED
        elif self.in_process:
            self._run(midway.look_again(self.core, session), session)

    async def aload_for(self, session: Session) -> None:
        """Load before the handler is called, as networked stores need. If the store fails, it is
        the first look at the session that raises."""
        try:
            await self._arun(self.core.load(session), session)
        except StoreError as error:
            session._arrived, session._failure = Arrived.UNREAD, error

    def commit(self, session: Session, *, failed: bool = False) -> None:
        """The response begins. Raises StoreError, SessionTooLarge, CodecError, TooManySessions."""
        try:
            self._run(self.core.commit(session, failed=failed), session)
        finally:
            session._phase, session._ready = Phase.COMMITTED, False

    async def acommit(self, session: Session, *, failed: bool = False) -> None:
        """As ``commit``."""
        try:
            await self._arun(self.core.commit(session, failed=failed), session)
        finally:
            session._phase, session._ready = Phase.COMMITTED, False

    def set_cookie(self, session: Session, client: str | None) -> bytes | None:
        """The Set-Cookie header that the response needs, if it needs one. ``client``: the address
        that the request came from."""
        action = session._cookie
        if action is None:
            return None
        if not session._https and self.options.cookie.secure == "auto":
            warn_of_plain_http(client)
        if isinstance(action, SetCookie):
            return self.cookie.render(
                action.session_id, action.standing, https=session._https, max_age=action.max_age
            )
        return self.cookie.render_cleared(https=session._https)

    def finish(self, session: Session) -> None:
        """The response has ended: a change that came too late is said, in the log and as an
        event."""
        if session._arrived is Arrived.UNREAD or session._key is None:
            return
        try:
            session._flush_views()
            if codec.unchanged(session._payload, session._meta, session._data):
                return
        except LembroError:
            pass
        handle = handle_for(session._key)
        log.error(
            "session %s was changed after the response had begun; the change is lost: "
            "write inside `async with session.edit():`",
            handle,
        )
        self._emit([Event("dropped", handle, session._current_user(), "changed too late")])

    def run_for(self, session: Session, name: str, *args: Any) -> Any:
        """Run a flow of ``midway`` for a session."""
        self._check_sync(session, f"`await session.a{name}()`")
        return self._run(getattr(midway, name)(self.core, session, *args), session)

    async def arun_for(self, session: Session, name: str, *args: Any) -> Any:
        """As ``run_for``."""
        return await self._arun(getattr(midway, name)(self.core, session, *args), session)

    def require(self, capability: str) -> str:
        """``capability``, if the store has it; else ConfigError."""
        if not hasattr(self.store, capability):
            raise ConfigError(f"{type(self.store).__name__} has no {capability}()")
        return capability

    def seen_from(self, key: bytes | None) -> SessionManager:
        """This manager, for which the session of ``key`` is the current one."""
        seen = copy.copy(self)
        seen._current = key
        return seen

    # -- within ------------------------------------------------------------------------------------

    def _session(self, session_id: str | None = None) -> Session:
        if session_id is not None and not is_id(session_id):
            session_id = None  # not a form that is ever issued
        return Session(self, lambda source: Presented(source), session_id)

    def _by_id(self, operation: Callable[..., Flow[T]], session_id: str | None, *args: Any) -> T:
        session = self._session(session_id)
        return self._run(operation(session, *args), session)

    async def _aby_id(
        self, operation: Callable[..., Flow[T]], session_id: str | None, *args: Any
    ) -> T:
        session = self._session(session_id)
        return await self._arun(operation(session, *args), session)

    def _verb(self, verb: str, *args: Any) -> Flow[Any]:
        self.require(verb)
        result = yield Call(verb, args)
        return result

    def _run(self, flow: Flow[T], session: Session | None = None) -> T:
        if self._store_is_async:
            raise LembroError(
                f"{type(self.store).__name__} is asynchronous: await the method whose name begins "
                f"with 'a', for example aget() for get()"
            )
        try:
            return run(flow, self.store)
        finally:
            self._report(session)

    async def _arun(self, flow: Flow[T], session: Session | None = None) -> T:
        try:
            if self.in_process:
                return run(flow, self.store)
            return await arun(flow, self._perform)
        finally:
            self._report(session)

    def _report(self, session: Session | None) -> None:
        if session is not None and session._arrived is not Arrived.UNREAD and session._events:
            events, session._events = session._events, []
            self._emit(events)

    def _emit(self, events: list[Event]) -> None:
        for event in events:
            log.log(
                _LOG_LEVELS.get(event.name, 10),
                "%s: session %s%s",
                event.name,
                event.handle or "-",
                f": {event.reason}" if event.reason else "",
            )
            self.events.emit(event)

    def _check_sync(self, session: Session, instead: str) -> None:
        if session._async and not self.in_process:
            raise LembroError(f"{type(self.store).__name__} would block the event loop: {instead}")

    def _infos(self, records: list[tuple[bytes, Found, dict[str, Any]]]) -> list[SessionInfo]:
        return [
            SessionInfo(
                handle=handle_for(key),
                age=found.age,
                idle_for=max(0.0, min(self.core.idle, found.life_left) - found.idle_left),
                data=data,
                user=found.user,
                current=key == self._current,
            )
            for key, found, data in records
        ]

    def _told(self, event: Event | None) -> bool:
        if event is not None:
            self._emit([event])
        return event is not None

    def _ended(self, user: str, keys: list[bytes]) -> int:
        self._emit([Event("destroyed", handle_for(key), user) for key in keys])
        return len(keys)


def manager_of(
    sessions: SessionManager | None, store: Store | AsyncStore | None, options: Mapping[str, Any]
) -> SessionManager:
    """The manager that an integration was given, or one made of what it was given instead."""
    if sessions is None:
        return SessionManager(MemoryStore() if store is None else store, from_keywords(options))
    if not isinstance(sessions, SessionManager):
        raise ConfigError(
            f"{sessions!r} is no SessionManager: write SessionManager(store), or store=..."
        )
    if store is not None or options:
        given = ", ".join([*(["store"] if store is not None else []), *options])
        raise ConfigError(f"{given}: give these to the SessionManager, or leave it out")
    return sessions


def _created(session_id: str | None) -> str:
    if session_id is None:
        raise ConfigError("create() needs data or a user: an empty session is not stored")
    return session_id


def _key_of(keep: Session | str | None) -> bytes | None:
    if isinstance(keep, Session):
        return keep._key if keep.handle is not None else None
    return None if keep is None else key_for(keep)


def _check_store(store: Any) -> None:
    missing = [verb for verb in _VERBS if not callable(getattr(store, verb, None))]
    if isinstance(store, type) or missing:
        raise ConfigError(
            f"store={store!r}: give a store, for example MemoryStore(max_size='64M')"
            + (f" (it lacks {', '.join(missing)})" if missing and not isinstance(store, type) else "")
        )
    asynchronous = [inspect.iscoroutinefunction(getattr(store, verb)) for verb in _VERBS]
    if hasattr(store, "blocking") and any(asynchronous):
        raise ConfigError(f"{type(store).__name__} has async verbs and `blocking`: leave that out")
    if not hasattr(store, "blocking") and not all(asynchronous):
        raise ConfigError(f"{type(store).__name__} has plain verbs: say `blocking`, True or False")
