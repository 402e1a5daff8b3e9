"""SessionManager: options, store and codec together.

What an integration holds, and what an operator, a CLI or a server without any web framework calls.
The methods that do I/O come in pairs: ``get`` where the store is in-process or the caller is not
in an event loop, ``aget`` everywhere.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any, TypeVar, Unpack

from ._core import admin
from ._core.admin import ANYBODY, Anybody
from ._core.effects import Flow
from ._core.load import load
from ._core.session import Session
from ._http.cookie import Presented
from ._runtime.runner import Runner
from .errors import ConfigError
from .events import Event
from .ids import handle_for, is_id, key_for
from .options import OptionKeywords, SessionOptions, from_keywords
from .stores.base import AsyncStore, Found, Store
from .stores.memory import MemoryStore

T = TypeVar("T")


@dataclass(frozen=True)
class SessionInfo:
    """A session in a list; durations in seconds."""

    handle: str
    """Its public name; ``manager.end(handle, user=...)`` ends it."""
    age: float
    """Since it began, or since the login."""
    idle_for: float
    """Since it was last extended, which happens once a tenth of the idle timeout has passed; its
    age, if nothing extends it."""
    data: dict[str, Any]
    user: str | None
    current: bool
    """Whether it is the session through which the manager was reached (``session.manager``)."""


class SessionManager(Runner):
    """Sessions in a store, by id.

    ``SessionManager(MemoryStore("64M"), idle_timeout=timedelta(hours=8))``: takes
    :class:`~lembro.SessionOptions`, its fields as keywords, or both. Raises ConfigError.
    """

    _idle_of: Callable[[dict[str, Any]], float | None] | None = None
    """What a session with these data may idle, where each has its own; None: nothing extends it."""

    def __init__(  # so that an error about its arguments names this class
        self,
        store: Store | AsyncStore,
        options: SessionOptions | None = None,
        **keywords: Unpack[OptionKeywords],
    ) -> None:
        super().__init__(store, options, **keywords)

    def __repr__(self) -> str:
        return f"<SessionManager over {type(self.store).__name__}>"

    # -- by session id -----------------------------------------------------------------------------

    def create(self, data: Mapping[str, Any] | None = None, user: str | None = None) -> str:
        """Store a new session and return its id. Raises ConfigError without data and user: a
        session is stored only once it holds something."""
        return _created(self._by_id(admin.create, None, *_new(data, user)))

    async def acreate(self, data: Mapping[str, Any] | None = None, user: str | None = None) -> str:
        """As ``create``."""
        return _created(await self._aby_id(admin.create, None, *_new(data, user)))

    def get(self, session_id: str) -> dict[str, Any] | None:
        """The data of a session, a copy; None if there is no such session."""
        return self._by_id(admin.get, session_id)

    async def aget(self, session_id: str) -> dict[str, Any] | None:
        """As ``get``."""
        return await self._aby_id(admin.get, session_id)

    def set(self, session_id: str, data: Mapping[str, Any]) -> bool:
        """Replace the data of a session. Never creates: False if there is no such session."""
        return self._by_id(admin.overwrite, session_id, _mapping("set", data))

    async def aset(self, session_id: str, data: Mapping[str, Any]) -> bool:
        """As ``set``."""
        return await self._aby_id(admin.overwrite, session_id, _mapping("set", data))

    def destroy(self, session_id: str) -> bool:
        """End a session; True for the one caller that ended it."""
        return self._by_id(admin.destroy, session_id)

    async def adestroy(self, session_id: str) -> bool:
        """As ``destroy``."""
        return await self._aby_id(admin.destroy, session_id)

    def touch(self, session_id: str) -> bool:
        """Extend the idle timeout of a session; False if there is no such session."""
        return self._by_id(admin.touch, session_id)

    async def atouch(self, session_id: str) -> bool:
        """As ``touch``."""
        return await self._aby_id(admin.touch, session_id)

    def regenerate(self, session_id: str) -> str | None:
        """Give a session a new id and return it; None if there is no such session, or if the id
        was replaced already (the new one went to whoever did it)."""
        return self._by_id(admin.regenerate, session_id)

    async def aregenerate(self, session_id: str) -> str | None:
        """As ``regenerate``."""
        return await self._aby_id(admin.regenerate, session_id)

    def load(self, session_id: str | None = None) -> Session:
        """The session of an id as an object, to change and ``save()``; a new one if there is no
        such session. What ``save()`` issued is in ``session.issued_id``."""
        session = self._session(session_id)
        self._run(load(session), session)
        return session

    async def aload(self, session_id: str | None = None) -> Session:
        """As ``load``; save with ``asave()``."""
        session = self._session(session_id)
        session._async = True
        await self._arun(load(session), session)
        return session

    # -- many --------------------------------------------------------------------------------------

    def all(self) -> list[SessionInfo]:
        """Every live session."""
        return self._infos(self._run(admin.listing(self.require("all"))))

    async def aall(self) -> list[SessionInfo]:
        """As ``all``."""
        return self._infos(await self._arun(admin.listing(self.require("all"))))

    def length(self) -> int:
        """How many live sessions there are."""
        self.require("length")
        return self._run(admin.length(self.store))

    async def alength(self) -> int:
        """As ``length``."""
        self.require("length")
        return await self._arun(admin.length(self.store))

    def clear(self) -> None:
        """End every session."""
        self._run(self._verb("clear"))

    async def aclear(self) -> None:
        """As ``clear``."""
        await self._arun(self._verb("clear"))

    def of_user(self, user: str) -> list[SessionInfo]:
        """The live sessions of a user, the oldest first."""
        _check_user("of_user", user)
        return self._infos(self._run(admin.listing(self.require("of_user"), user)))

    async def aof_user(self, user: str) -> list[SessionInfo]:
        """As ``of_user``."""
        _check_user("of_user", user)
        return self._infos(await self._arun(admin.listing(self.require("of_user"), user)))

    def end(self, handle: str, *, user: str | Anybody | None = ANYBODY) -> bool:
        """End the session of this handle. With ``user``: False if it is another user's, so that a
        handle from a form needs no further check (``user=session.user`` is None where nobody is
        logged in, and then ends nothing). Without: an operator's, searches all."""
        if user is not ANYBODY and user is not None:
            _check_user("end", user, "user=")
        return self._told(self._run(admin.end(self, handle, user)))

    async def aend(self, handle: str, *, user: str | Anybody | None = ANYBODY) -> bool:
        """As ``end``."""
        if user is not ANYBODY and user is not None:
            _check_user("end", user, "user=")
        return self._told(await self._arun(admin.end(self, handle, user)))

    def destroy_user(self, user: str, keep: Session | str | None = None) -> int:
        """End all sessions of a user, but for ``keep`` (a Session or an id, no handle); how many.
        Raises ConfigError for a str that is no id, and ends nothing."""
        self.require("destroy_user")
        _check_user("destroy_user", user)
        return self._ended(user, self._run(self._verb("destroy_user", user, _key_of(keep))))

    async def adestroy_user(self, user: str, keep: Session | str | None = None) -> int:
        """As ``destroy_user``."""
        self.require("destroy_user")
        _check_user("destroy_user", user)
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

    def seen_from(self, key: bytes | None) -> SessionManager:
        """This manager, for which the session of ``key`` is the current one."""
        seen = copy.copy(self)
        seen._current = key
        return seen

    def lasting(self, idle: float, max_age: float | None) -> SessionManager:
        """This manager, for a session that lasts otherwise than its options say, and whose cookie
        does; in seconds. The absolute timeout holds."""
        idle = min(idle, self.core.writer.life)
        if max_age is not None:
            max_age = min(max_age, idle)
        cookie = replace(self.options.cookie, max_age=max_age)
        other = copy.copy(self)
        other.options = from_keywords({"idle_timeout": idle, "cookie": cookie}, self.options)
        other.core = self.core.of(other.options)
        other.cookie = self.cookie.lasting(max_age)
        return other

    # -- within ------------------------------------------------------------------------------------

    def _session(self, session_id: str | None = None) -> Session:
        if session_id is not None:
            if not isinstance(session_id, str):
                kind = type(session_id).__name__
                raise TypeError(
                    f"a session goes by its id, a str as create() returns it, not {kind}"
                )
            if not is_id(session_id):
                session_id = None  # not a form that is ever issued
        return Session(self, Presented, session_id)

    def _by_id(self, operation: Callable[..., Flow[T]], session_id: str | None, *args: Any) -> T:
        session = self._session(session_id)
        return self._run(operation(session, *args), session)

    async def _aby_id(
        self, operation: Callable[..., Flow[T]], session_id: str | None, *args: Any
    ) -> T:
        session = self._session(session_id)
        return await self._arun(operation(session, *args), session)

    def _infos(self, records: list[tuple[bytes, Found, dict[str, Any]]]) -> list[SessionInfo]:
        return [
            SessionInfo(
                handle=handle_for(key),
                age=found.age,
                idle_for=self._idle_for(found, data),
                data=data,
                user=found.user,
                current=key == self._current,
            )
            for key, found, data in records
        ]

    def _idle_for(self, found: Found, data: dict[str, Any]) -> float:
        idle = self.core.writer.idle if self._idle_of is None else self._idle_of(data)
        if idle is None:
            return found.age
        return max(0.0, min(idle, found.life_left) - found.idle_left)

    def _told(self, event: Event | None) -> bool:
        if event is not None:
            self._emit([event])
        return event is not None

    def _ended(self, user: str, keys: list[bytes]) -> int:
        self._emit([Event("destroyed", handle_for(key), user) for key in keys])
        return len(keys)


def manager_of(
    manager: SessionManager | None, store: Store | AsyncStore | None, options: Mapping[str, Any]
) -> SessionManager:
    """The manager that an integration was given, or one made of what it was given instead."""
    if manager is None:
        return SessionManager(MemoryStore() if store is None else store, from_keywords(options))
    if not isinstance(manager, SessionManager):
        raise ConfigError(
            f"{manager!r} is no SessionManager: write SessionManager(store), or store=..."
        )
    if store is not None or options:
        given = ", ".join([*(["store"] if store is not None else []), *options])
        raise ConfigError(
            f"{given} beside a SessionManager: write SessionManager(store, ...) with what it "
            f"shall have, or leave the SessionManager out"
        )
    return manager


def application(app: T) -> T:
    """The application that a middleware was given. Raises ConfigError if it was forgotten."""
    if not callable(app):
        raise ConfigError(
            f"{app!r} is no application: that comes first, write SessionMiddleware(app, sessions)"
        )
    return app


def _check_user(method: str, user: object, before: str = "") -> None:
    if not isinstance(user, str):
        raise TypeError(
            f"{method}() takes the user as str, not {type(user).__name__}: "
            f"write {method}({before}str(user.id))"
        )


def _mapping(method: str, data: Any) -> Mapping[str, Any]:
    if not isinstance(data, Mapping):
        before = "session_id, " if method == "set" else ""
        raise TypeError(
            f"{method}() takes the data as a dict, not {type(data).__name__}: "
            f'write {method}({before}{{"key": value}})'
        )
    return data


def _new(data: Any, user: Any) -> tuple[Mapping[str, Any], str | None]:
    if user is not None:
        _check_user("create", user, "user=")
    return {} if data is None else _mapping("create", data), user


def _created(session_id: str | None) -> str:
    if session_id is None:
        raise ConfigError("create() needs data or a user: an empty session is not stored")
    return session_id


def _key_of(keep: Session | str | None) -> bytes | None:
    if isinstance(keep, Session):
        return keep._key if keep.handle is not None else None
    if keep is not None and not isinstance(keep, str):
        raise TypeError(
            f"destroy_user() keeps a Session or an id, not {type(keep).__name__}: "
            f"write keep=session"
        )
    if keep is not None and not is_id(keep):  # which may be a cookie's value: it is not repeated
        raise ConfigError(
            "destroy_user() keeps a Session or an id, and this str is no id: write keep=session "
            "(a handle is for end(handle), which ends that session alone)"
        )
    return None if keep is None else key_for(keep)
