"""Session: a dict with the methods of a session. It does no I/O itself.

``login``, ``logout``, ``regenerate_id`` and similar methods only record a request. The lifecycle
carries it out once, when the response begins. Methods that ask the store come in pairs (``save``,
``asave``). The plain one works in any thread, and in an event loop over an in-process store.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, MutableMapping
from datetime import timedelta
from typing import Any, Never, Self, TypeVar, cast

from ..errors import LoginRequired, SessionCommitted
from ..ids import UserID, user_id_text
from ..options import Seconds
from . import actions, codec
from .edit import Edit
from .login import log_in, login_lifetime
from .size_check import check_assigned
from .state import COMMITTED, NOT_LOADED, OPEN, Upgraded
from .tags import PLAIN
from .timed import TimedSession
from .typed import cached_converters, loader
from .user_sessions import SessionInfo, revoke, user_sessions
from .views import typed_view

T = TypeVar("T")


class Session(TimedSession, MutableMapping[str, Any]):
    """The session of one request: a ``MutableMapping`` with str keys.

    Values are those of JSON, and bytes, tuple, set, frozenset, datetime, date, time, timedelta,
    UUID and Decimal. Nested changes are stored too: ``session["cart"].append(x)``.

    The first access loads the session. Changes are stored once, before the first byte of the
    response.

    Raises:
        StoreError: the store failed; on any access.
        SessionGone: the session ended after the response began; on any access after that.
        SessionCommitted: the first access comes after the response has begun.
    """

    # -- the mapping -------------------------------------------------------------------------------

    def __getitem__(self, key: str) -> Any:
        if not self._ready:
            self._load()
        value = self._data[key]
        # If only immutable values were returned, the commit need not encode the session to find
        # nested changes. That saves 0.7 of the 4 us that an access takes.
        if type(value) not in PLAIN:
            self._nested_possible = True
        return value

    def __setitem__(self, key: str, value: Any) -> None:
        self._check_writable()
        kind = type(value)
        key = codec.check(key, value) if kind in codec.FIXED else check_assigned(self, key, value)
        self._data[key] = value
        self._assigned = True
        if kind not in PLAIN:
            self._nested_possible = True

    def __delitem__(self, key: str) -> None:
        self._check_writable()
        del self._data[key]
        self._assigned = True

    def __iter__(self) -> Iterator[str]:
        if not self._ready:
            self._load()
        return iter(self._data)

    def __len__(self) -> int:
        if not self._ready:
            self._load()
        return len(self._data)

    def __contains__(self, key: object) -> bool:
        if not self._ready:
            self._load()
        return key in self._data

    def __bool__(self) -> bool:
        """Return whether the session has a key or a user."""
        return len(self) > 0 or self._current_user() is not None

    def clear(self) -> None:
        """End this session, as :meth:`logout` does.

        Keys written afterwards go into a new session under a new ID. So an application that clears
        the session at a login and then stores the user in it is safe from session fixation.
        """
        self.destroy()

    def popitem(self) -> tuple[str, Any]:
        """Remove the last key, as a dict does."""
        self._check_writable()
        item = self._data.popitem()
        self._assigned = True
        return item

    def copy(self) -> dict[str, Any]:
        """Return the data as a plain dict: a shallow copy."""
        return dict(self)

    __copy__ = copy  # a second Session over the same data would write them again

    def __or__(self, other: Mapping[str, Any]) -> dict[str, Any]:
        return {**self, **other}

    def __ror__(self, other: Mapping[str, Any]) -> dict[str, Any]:
        return {**other, **self}

    def __ior__(self, other: Mapping[str, Any] | Iterable[tuple[str, Any]]) -> Session:
        self.update(other)
        return self

    def __repr__(self) -> str:
        if self._is_unused():
            return "<Session, not loaded>"
        user = f" of {self._current_user()!r}" if self._current_user() else ""
        return f"<Session {self._current_handle() or 'new'}{user}, {len(self._data)} keys>"

    # -- properties --------------------------------------------------------------------------------

    @property
    def user_id(self) -> str | None:
        """The ID of the user who is logged in; None if nobody is."""
        if not self._ready:
            self._load()
        return self._current_user()

    @user_id.setter
    def user_id(self, user_id: Never) -> None:
        raise AttributeError(
            "user_id is read-only; call session.login(user_id) or session.logout()"
        )

    @property
    def is_new(self) -> bool:
        """Whether there is no stored session yet."""
        if not self._ready:
            self._load()
        return self._key is None

    @property
    def handle(self) -> str | None:
        """The public name of the session, for lists and logs; None while it is new.

        It changes with the session ID, and is not accepted as a cookie.
        """
        if not self._ready:
            self._load()
        return self._current_handle()

    @property
    def issued_id(self) -> str | None:
        """The session ID that ``save()`` has issued, for applications that send it themselves.

        Keep it secret: it gives access to the session.
        """
        if self._loaded is NOT_LOADED or self._issued_id is None:
            return None
        return str(self._issued_id)

    # -- actions -----------------------------------------------------------------------------------

    def login(
        self,
        user_id: UserID,
        *,
        remember: bool | timedelta = False,
        fresh: bool = True,
        idle_timeout: Seconds | None = None,
        absolute_timeout: Seconds | None = None,
    ) -> None:
        """Log a user in. The session gets a new ID and a new absolute timeout.

        The data of the session are kept, unless another user was logged in. Keys whose name
        contains ``csrf`` or ``xsrf`` are dropped, because an attacker may have planted the session.

        Args:
            user_id: The user's ID, of at most 256 bytes; stored as its ``str``.
            remember: True keeps the session and the cookie after the browser is closed, for the
                time of the option ``remember_timeout``. A timedelta keeps them for that time.
            fresh: Whether the user gave credentials now. False for an automatic login, such as one
                by a remember-me cookie: ``require_recent`` then raises until the next login.
            idle_timeout: The idle timeout of this session. None: as ``remember`` or the options
                say.
            absolute_timeout: The absolute timeout of this session. None: as ``remember`` or the
                options say.

        Raises:
            TypeError, ValueError: the user ID cannot be stored.
            ConfigError: a timeout cannot work.
            SessionCommitted: the response has begun, so no cookie can be set.
        """
        user = user_id_text(user_id, "login")
        lifetimes = self._transport.runner.lifecycle.lifetimes
        lifetime = login_lifetime(lifetimes, remember, idle_timeout, absolute_timeout)
        self._check_writable(cookie=True)
        log_in(self, user, lifetime, fresh=fresh)

    def logout(self) -> None:
        """End this session: remove it from the store and clear its cookie.

        Keys written afterwards begin a new, anonymous session.
        """
        self.destroy()

    def destroy(self) -> None:
        """End this session, as :meth:`logout` does."""
        self._check_writable()
        self._data, self._meta = {}, {}
        self._views.clear()
        self._login = None
        self._regenerate = self._touch = False
        self._destroy = True
        self._assigned = True

    def logout_others(self) -> None:
        """End all other sessions of the user. Raise LoginRequired if nobody is logged in."""
        self._revoke_user()

    def logout_everywhere(self) -> None:
        """End all sessions of the user. Raise LoginRequired if nobody is logged in."""
        self._revoke_user()
        self.destroy()

    def regenerate_id(self) -> None:
        """Give the session a new ID and keep its data. ``login`` also does this."""
        self._check_writable(cookie=True)
        self._regenerate = True

    def typed(
        self,
        key: str,
        kind: type[T],
        *,
        default: Callable[[], T] | None = None,
        upgrade: Callable[[Any], T] | None = None,
    ) -> T:
        """Return a typed part of the session: ``cart = session.typed("cart", Cart)``.

        The stored data are checked when they are loaded. The object is stored when the response
        begins, if it has changed.

        Args:
            key: The key of the part.
            kind: A dataclass, a msgspec Struct, or a pydantic model.
            default: Makes the object if nothing is stored; ``kind()`` by default.
            upgrade: Makes the object from stored data that do not fit ``kind`` any more.

        Raises:
            CodecError: the stored data do not fit, and there is no ``upgrade``.
            ConfigError: ``kind`` cannot be stored, or cannot be made without arguments.
        """
        convert, dump = cached_converters(key, cast("Any", kind))
        load = loader(key, kind, default, upgrade, load=convert)
        return cast("T", self._typed_view(key, load, dump))

    # -- the store: each method has an async form --------------------------------------------------

    def save(self) -> None:
        """Store the changes now, so that an error is raised here. The response sets the cookie.

        Raises:
            StoreError, SessionTooLarge, CodecError, TooManySessions: nothing was stored.
            SessionCommitted: the response has begun; write inside :meth:`edit`.
        """
        self._transport.runner.run_action(self, actions.save)

    async def asave(self) -> None:
        """Store the changes now; see :meth:`save`."""
        await self._transport.runner.arun_action(self, actions.save)

    async def aload(self) -> None:
        """Load the session, so that plain access need not wait (``load="asked"``)."""
        await self._transport.runner.aload(self)

    def reload(self) -> None:
        """Drop the changes and load the session again. A logout stays. Raises SessionGone if the
        session has ended."""
        self._transport.runner.run_action(self, actions.reload)

    async def areload(self) -> None:
        """Drop the changes and load the session again; see :meth:`reload`."""
        await self._transport.runner.arun_action(self, actions.reload)

    def atomic(self, function: Callable[[codec.Data], T]) -> T:
        """Change the stored data in one step, for counters and stock, which must not be merged.

        ``function(data)`` changes a plain dict of the stored data, and its result is returned. If
        another request stores first, the function is called again with that request's data. Unsaved
        changes of this session are kept, and are stored when the response begins.

        Raises:
            SessionGone: the session has ended.
        """
        return self._transport.runner.run_action(self, actions.atomic, function)  # type: ignore[no-any-return]

    async def aatomic(self, function: Callable[[codec.Data], T]) -> T:
        """Change the stored data in one step; see :meth:`atomic`. ``function`` is not async."""
        return await self._transport.runner.arun_action(self, actions.atomic, function)  # type: ignore[no-any-return]

    def edit(self) -> Edit[Self]:
        """Write after the response has begun: ``async with session.edit(): ...`` (or ``with``).

        For streams, WebSockets and background tasks. Loads the session again, and at the end merges
        and saves. Edits of one session by several tasks or threads take turns. Raises SessionGone
        if the session has ended.
        """
        return Edit(self)

    def user_sessions(self) -> list[SessionInfo]:
        """List the user's sessions, the oldest first. Raise LoginRequired without a login."""
        return self._transport.runner.run_action(self, user_sessions)  # type: ignore[no-any-return]

    async def auser_sessions(self) -> list[SessionInfo]:
        """List the sessions of the user who is logged in; see :meth:`user_sessions`."""
        return await self._transport.runner.arun_action(self, user_sessions)  # type: ignore[no-any-return]

    def revoke(self, handle: str) -> bool:
        """End another session of the user who is logged in, by its handle.

        Returns:
            Whether there was such a session of this user.

        Raises:
            LoginRequired: nobody is logged in.
        """
        return self._transport.runner.run_action(self, revoke, handle)  # type: ignore[no-any-return]

    async def arevoke(self, handle: str) -> bool:
        """End another session of the user who is logged in; see :meth:`revoke`."""
        return await self._transport.runner.arun_action(self, revoke, handle)  # type: ignore[no-any-return]

    # -- internal ----------------------------------------------------------------------------------

    def _load(self) -> None:
        """Load the session at its first access. After the response has begun, check at each access
        that it still exists."""
        if self._too_late:
            self._check_accessible()
        if self._preloaded:
            self._preloaded = False
            self._ready = self._phase is not COMMITTED
        elif self._loaded is NOT_LOADED:
            self._transport.runner.load(self)
        elif self._phase is COMMITTED:
            self._transport.runner.recheck(self)

    def _check_writable(self, *, cookie: bool = False) -> None:
        """Load the session. Raise SessionCommitted if it is too late to write, or, with ``cookie``,
        to set a cookie."""
        if self._phase is not OPEN:
            if self._phase is COMMITTED:
                raise SessionCommitted(
                    "the session is read-only after the response has begun; "
                    "write inside `with session.edit():` (in async code `async with`)"
                )
            if cookie:
                raise SessionCommitted(
                    "the response has begun, so no cookie can be set for a new session ID; "
                    "log in or call regenerate_id() before it begins"
                )
        if not self._ready:
            self._load()

    def _revoke_user(self) -> None:
        self._check_writable()
        user = self._current_user()
        if user is None:
            raise LoginRequired(
                "a login is required to end a user's sessions, but nobody is logged in. "
                "Call session.login(user_id) first, or check session.user_id"
            )
        self._transport.runner.require("destroy_user")
        self._revoke = user

    def _typed_view(
        self, key: str | None, load: Callable[[Any], T | Upgraded], dump: Callable[[T], Any]
    ) -> T:
        """Return the typed part under ``key``; without a key, the whole session."""
        if not self._ready:
            self._load()
        return typed_view(self, key, load, dump)
