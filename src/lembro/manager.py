"""SessionManager: a store, its options, and the methods for sessions outside of a request.

The methods that ask the store come in pairs. The plain one (``get``) works in any thread, and in an
event loop over an in-process store. Its async form (``aget``) works in an event loop over every
store.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, Self, TypeVar, Unpack, cast

from ._core import admin
from ._core.effects import Flow
from ._core.session import Session
from ._core.user_sessions import SessionInfo, count_sessions, list_sessions, revoke_handle
from ._http.cookie import Presented
from ._runtime.exchange import session_by_id
from ._runtime.runner import Runner
from .errors import ConfigError
from .events import Event, Events, EventSource
from .ids import UserID, handle_for, is_id, user_id_text
from .options import OptionKeywords, SessionOptions, from_keywords
from .stores import store_of
from .stores.base import AsyncStore, Store

if TYPE_CHECKING:
    from .stores import Stats, StoreStats

T = TypeVar("T")

__all__ = ["SessionInfo", "SessionManager", "manager_of", "runner_of"]


class SessionManager(EventSource):
    """The sessions of one application: a store, options and events.

    Example: ``SessionManager(MemoryStore("64M"), idle_timeout=timedelta(hours=8))``.

    Args:
        store: A store or its URL; default: ``LEMBRO_STORE`` in the environment, or a MemoryStore.
        options: The options, as an object.
        keywords: Fields of :class:`~lembro.SessionOptions`; they replace those of ``options``.

    Raises:
        ConfigError: an argument cannot work.
    """

    def __init__(
        self,
        store: Store | AsyncStore | str | None = None,
        options: SessionOptions | None = None,
        **keywords: Unpack[OptionKeywords],
    ) -> None:
        if options is not None and not isinstance(options, SessionOptions):
            raise ConfigError(
                f"options must be SessionOptions, got {options!r}. "
                f"Example: SessionOptions(idle_timeout=3600)"
            )
        checked = from_keywords(keywords, options)
        self._runner = Runner(store_of(store), checked)

    def __repr__(self) -> str:
        return f"<{type(self).__name__} over {type(self.store).__name__}>"

    @property
    def store(self) -> Store | AsyncStore:
        """The store of the sessions."""
        return cast("Store | AsyncStore", self._runner.store)

    @property
    def options(self) -> SessionOptions:
        """The options of the sessions."""
        return self._runner.options

    @property
    def events(self) -> Events:  # type: ignore[override]
        """The events of the manager and its store; see :meth:`on`."""
        return self._runner.events

    # -- open and close ----------------------------------------------------------------------------

    def open(self) -> None:
        """Open the store before the first session is used. Integrations call this at startup."""
        self._runner.open()

    async def aopen(self) -> None:
        """Open the store; see :meth:`open`."""
        await self._runner.aopen()

    def close(self) -> None:
        """Close the store, unless another application has opened it and still runs."""
        self._runner.close()

    async def aclose(self) -> None:
        """Close the store; see :meth:`close`."""
        await self._runner.aclose()

    def __enter__(self) -> Self:
        self.open()
        return self

    def __exit__(self, *error: object) -> None:
        self.close()

    async def __aenter__(self) -> Self:
        await self.aopen()
        return self

    async def __aexit__(self, *error: object) -> None:
        await self.aclose()

    def ping(self) -> None:
        """Check that the store answers, by reading a key that no session has.

        Raises:
            StoreError: the store does not answer, or it refuses to be read.
        """
        self._runner.run(self._runner.verb("get", bytes(32)), "ping")

    async def aping(self) -> None:
        """Check that the store answers; see :meth:`ping`."""
        await self._runner.arun(self._runner.verb("get", bytes(32)))

    # -- one session, by its ID --------------------------------------------------------------------

    def create(self, data: Mapping[str, Any] | None = None, user_id: UserID | None = None) -> str:
        """Store a new session and return its ID.

        Raises:
            UsageError: there is neither data nor a user; an empty session is not stored.
            TypeError, ValueError: the data or the user ID cannot be stored.
        """
        return admin.created(
            self._by_id("create", admin.create, None, *admin.new_session(data, user_id))
        )

    async def acreate(
        self, data: Mapping[str, Any] | None = None, user_id: UserID | None = None
    ) -> str:
        """Store a new session and return its ID; see :meth:`create`."""
        return admin.created(
            await self._aby_id(admin.create, None, *admin.new_session(data, user_id))
        )

    def get(self, session_id: str) -> dict[str, Any] | None:
        """Return a copy of the data of a session; None if there is no such session."""
        return self._by_id("get", admin.get, session_id)

    async def aget(self, session_id: str) -> dict[str, Any] | None:
        """Return a copy of the data of a session; see :meth:`get`."""
        return await self._aby_id(admin.get, session_id)

    def set(self, session_id: str, data: Mapping[str, Any]) -> bool:
        """Replace the data of a session. Return False if there is no such session."""
        return self._by_id("set", admin.overwrite, session_id, admin.mapping_of("set", data))

    async def aset(self, session_id: str, data: Mapping[str, Any]) -> bool:
        """Replace the data of a session; see :meth:`set`."""
        return await self._aby_id(admin.overwrite, session_id, admin.mapping_of("set", data))

    def destroy(self, session_id: str) -> bool:
        """End a session. Return whether this call ended it."""
        return self._by_id("destroy", admin.destroy, session_id)

    async def adestroy(self, session_id: str) -> bool:
        """End a session; see :meth:`destroy`."""
        return await self._aby_id(admin.destroy, session_id)

    def touch(self, session_id: str) -> bool:
        """Extend the idle timeout of a session. Return False if there is no such session."""
        return self._by_id("touch", admin.touch, session_id)

    async def atouch(self, session_id: str) -> bool:
        """Extend the idle timeout of a session; see :meth:`touch`."""
        return await self._aby_id(admin.touch, session_id)

    def regenerate(self, session_id: str) -> str | None:
        """Give a session a new ID and return it.

        Return None if there is no such session, or if this ID was rotated already.
        """
        return self._by_id("regenerate", admin.regenerate, session_id)

    async def aregenerate(self, session_id: str) -> str | None:
        """Give a session a new ID and return it; see :meth:`regenerate`."""
        return await self._aby_id(admin.regenerate, session_id)

    def load(self, session_id: str | None = None) -> Session:
        """Load a session by its ID, to change it and then ``save()`` it.

        An unknown ID gives a new session. ``session.issued_id`` is the ID that ``save()`` issued.
        """
        session = self._session(session_id)
        self._runner.run(self._runner.lifecycle.load(session), "load", session)
        return session

    async def aload(self, session_id: str | None = None) -> Session:
        """Load a session by its ID; see :meth:`load`. Save it with ``asave()``."""
        session = self._session(session_id)
        await self._runner.arun(self._runner.lifecycle.load(session), session)
        return session

    # -- all sessions ------------------------------------------------------------------------------

    def all(self) -> list[SessionInfo]:
        """List every live session."""
        return self._runner.run(self._list("all"), "all")

    async def aall(self) -> list[SessionInfo]:
        """List every live session; see :meth:`all`."""
        return await self._runner.arun(self._list("all"))

    def length(self) -> int:
        """Count the live sessions."""
        return self._runner.run(self._count(), "length")

    async def alength(self) -> int:
        """Count the live sessions; see :meth:`length`."""
        return await self._runner.arun(self._count())

    def clear(self) -> None:
        """End every session, of every user."""
        self._runner.run(self._runner.verb("clear"), "clear")
        self._runner.emit([Event("cleared")])

    async def aclear(self) -> None:
        """End every session, of every user; see :meth:`clear`."""
        await self._runner.arun(self._runner.verb("clear"))
        self._runner.emit([Event("cleared")])

    def purge(self) -> int:
        """Remove expired sessions now, and return how many. The store also purges automatically."""
        return int(self._runner.run(self._runner.verb("purge"), "purge"))

    async def apurge(self) -> int:
        """Remove expired sessions now; see :meth:`purge`."""
        return int(await self._runner.arun(self._runner.verb("purge")))

    def reduce(self) -> int:
        """Evict sessions down to the store's ``reduce_to``, and return how many."""
        return int(self._runner.run(self._runner.verb("reduce"), "reduce"))

    async def areduce(self) -> int:
        """Evict sessions down to the store's ``reduce_to``; see :meth:`reduce`."""
        return int(await self._runner.arun(self._runner.verb("reduce")))

    def stats(self) -> Stats | StoreStats:
        """Return the store's statistics. (Their fields are provisional in 0.1.)"""
        return cast("Stats | StoreStats", self._runner.run(self._runner.verb("stats"), "stats"))

    async def astats(self) -> Stats | StoreStats:
        """Return the store's statistics; see :meth:`stats`."""
        return cast("Stats | StoreStats", await self._runner.arun(self._runner.verb("stats")))

    # -- the sessions of a user --------------------------------------------------------------------

    def user_sessions(self, user_id: UserID) -> list[SessionInfo]:
        """List the live sessions of a user, the oldest first."""
        flow = self._list("of_user", user_id_text(user_id, "user_sessions"))
        return self._runner.run(flow, "user_sessions")

    async def auser_sessions(self, user_id: UserID) -> list[SessionInfo]:
        """List the live sessions of a user; see :meth:`user_sessions`."""
        flow = self._list("of_user", user_id_text(user_id, "user_sessions"))
        return await self._runner.arun(flow)

    def revoke(self, handle: str) -> bool:
        """End the session with this handle, of any user. Return whether there was one.

        This is for operators. On a page of a user's own sessions, call ``session.revoke(handle)``,
        which ends no session of another user.
        """
        return self._emitted(self._runner.run(self._revoke(handle), "revoke"))

    async def arevoke(self, handle: str) -> bool:
        """End the session with this handle; see :meth:`revoke`."""
        return self._emitted(await self._runner.arun(self._revoke(handle)))

    def revoke_user(self, user_id: UserID, keep: Session | str | None = None) -> int:
        """End all sessions of a user, and return how many.

        Args:
            user_id: The user's ID.
            keep: A session to keep, as a Session or a session ID.

        Raises:
            UsageError: ``keep`` is a str, but not a session ID; no session is ended.
        """
        user = user_id_text(user_id, "revoke_user")
        flow = self._runner.verb("destroy_user", user, admin.key_to_keep(keep))
        return self._ended(user, self._runner.run(flow, "revoke_user"))

    async def arevoke_user(self, user_id: UserID, keep: Session | str | None = None) -> int:
        """End all sessions of a user; see :meth:`revoke_user`."""
        user = user_id_text(user_id, "revoke_user")
        flow = self._runner.verb("destroy_user", user, admin.key_to_keep(keep))
        return self._ended(user, await self._runner.arun(flow))

    # -- internal ----------------------------------------------------------------------------------

    def _session(self, session_id: str | None) -> Session:
        if session_id is not None:
            if not isinstance(session_id, str):
                raise TypeError(
                    f"the session ID must be a str, got {type(session_id).__name__}. Pass the str "
                    f"that create() returned"
                )
            self._runner.require_sessions("get")
            if not is_id(session_id):
                session_id = None  # lembro never issues an ID of this form
        return session_by_id(self._runner, Presented(session_id))

    def _by_id(
        self, name: str, operation: Callable[..., Flow[T]], session_id: str | None, *args: Any
    ) -> T:
        session = self._session(session_id)
        flow = operation(self._runner.lifecycle, session, *args)
        return self._runner.run(flow, name, session)

    async def _aby_id(
        self, operation: Callable[..., Flow[T]], session_id: str | None, *args: Any
    ) -> T:
        session = self._session(session_id)
        flow = operation(self._runner.lifecycle, session, *args)
        return await self._runner.arun(flow, session)

    def _list(self, verb: str, *args: Any) -> Flow[list[SessionInfo]]:
        return list_sessions(self._runner.lifecycle, self._runner.require_sessions(verb), *args)

    def _count(self) -> Flow[int]:
        self._runner.require_sessions("length")
        return count_sessions(self.store)

    def _revoke(self, handle: str) -> Flow[Event | None]:
        self._runner.require_sessions("all")
        return revoke_handle(handle)

    def _emitted(self, event: Event | None) -> bool:
        if event is not None:
            self._runner.emit([event])
        return event is not None

    def _ended(self, user: str, keys: list[bytes]) -> int:
        self._runner.emit([Event("destroyed", handle_for(key), user) for key in keys])
        return len(keys)


def runner_of(manager: SessionManager) -> Runner:
    """Return the runner of a manager, for integrations."""
    return manager._runner


def manager_of(
    manager: SessionManager | None,
    store: Store | AsyncStore | str | None,
    options: SessionOptions | None,
    keywords: Mapping[str, Any],
) -> SessionManager:
    """Return the manager that an integration was given, or make one from the other arguments.

    Raises:
        ConfigError: both were given, or an argument cannot work.
    """
    if manager is None:
        return SessionManager(store, options, **cast("OptionKeywords", keywords))
    if not isinstance(manager, SessionManager):
        raise ConfigError(
            f"manager must be a SessionManager, got {manager!r}. Write SessionManager(store), or "
            f"give store=... instead"
        )
    given = [
        *(["store"] if store is not None else []),
        *(["options"] if options is not None else []),
        *keywords,
    ]
    if given:
        raise ConfigError(
            f"{', '.join(given)} cannot be given together with a SessionManager. Give them to the "
            f"SessionManager, or leave the SessionManager out"
        )
    return manager
