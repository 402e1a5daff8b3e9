"""Session: a dict, and what one may want done with it. It does no I/O of its own.

The methods of intent (``login``, ``logout``, ``regenerate_id``, ...) only record; the lifecycle
acts on them once, when the response begins. What does I/O comes in pairs (``save``, ``asave``) and
is handed to the manager.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, MutableMapping
from datetime import UTC, datetime, timedelta
from math import inf
from typing import TYPE_CHECKING, Any, Final, Never, TypeVar

from ..errors import LoginRequired, SessionCommitted
from ..options import Seconds, seconds
from . import codec
from .edit import Edit
from .state import (
    COMMITTED,
    MISSING,
    NOT_LOADED,
    OPEN,
    Loaded,
    SessionState,
    View,
)

if TYPE_CHECKING:
    from ..manager import SessionManager

T = TypeVar("T")

MAX_USER: Final = 256  # bytes


class Session(SessionState, MutableMapping[str, Any]):
    """The session of one request: a ``MutableMapping`` with str keys.

    Values are what JSON holds, and bytes, tuple, set, frozenset, datetime, date, time, timedelta,
    UUID and Decimal. Nested changes are found by themselves: ``session["cart"].append(x)``.

    Every access may raise :class:`~lembro.StoreError` (the first one loads the session), and after
    the response has begun :class:`~lembro.SessionGone`.
    """

    # -- the mapping -------------------------------------------------------------------------------

    def __getitem__(self, key: str) -> Any:
        if not self._ready:
            self._look()
        value = self._data[key]
        # As long as nothing was lent that can change in itself, nothing has to be encoded to find
        # out whether it did: 0.7 of the 4 us that a look takes.
        if type(value) not in codec.PLAIN:
            self._nested_possible = True
        return value

    def __setitem__(self, key: str, value: Any) -> None:
        self._write()
        codec.check(key, value)
        self._data[key] = value
        self._assigned = True
        if type(value) not in codec.PLAIN:
            self._nested_possible = True

    def __delitem__(self, key: str) -> None:
        self._write()
        del self._data[key]
        self._assigned = True

    def __iter__(self) -> Iterator[str]:
        if not self._ready:
            self._look()
        return iter(self._data)

    def __len__(self) -> int:
        if not self._ready:
            self._look()
        return len(self._data)

    def __contains__(self, key: object) -> bool:
        if not self._ready:
            self._look()
        return key in self._data

    def __bool__(self) -> bool:
        """Whether it holds something: a key or a user. Applications ask ``if request.session`` in
        order to know whether somebody is there."""
        return len(self) > 0 or self._current_user() is not None

    def clear(self) -> None:
        """End this session, as ``logout``. Keys written afterwards go into a new session under a
        new id, so that "clear, then set user_id" is no session fixation."""
        self.destroy()

    def popitem(self) -> tuple[str, Any]:
        """Remove the last key, as of a dict (a MutableMapping by itself removes the first)."""
        self._write()
        item = self._data.popitem()
        self._assigned = True
        return item

    def copy(self) -> dict[str, Any]:
        """The data as a plain dict; a shallow copy."""
        return dict(self)

    def __or__(self, other: Mapping[str, Any]) -> dict[str, Any]:
        return {**self, **other}

    def __ror__(self, other: Mapping[str, Any]) -> dict[str, Any]:
        return {**other, **self}

    def __ior__(self, other: Mapping[str, Any] | Iterable[tuple[str, Any]]) -> Session:
        self.update(other)
        return self

    def __repr__(self) -> str:
        if self._loaded is Loaded.NOT_LOADED:
            return "<Session, not looked at>"
        user = f" of {self._current_user()!r}" if self._current_user() else ""
        return f"<Session {self._current_handle() or 'new'}{user}, {len(self._data)} keys>"

    # -- who and when ------------------------------------------------------------------------------

    @property
    def user(self) -> str | None:
        """Who is logged in."""
        if not self._ready:
            self._look()
        return self._current_user()

    @user.setter
    def user(self, user: Never) -> None:
        raise AttributeError("a user is not assigned: call session.login(user), or logout()")

    @property
    def is_new(self) -> bool:
        """Whether there is no stored session yet."""
        if not self._ready:
            self._look()
        return self._key is None

    @property
    def handle(self) -> str | None:
        """The session's public name, for lists and logs; None while it is new. Changes with the
        id."""
        if not self._ready:
            self._look()
        return self._current_handle()

    @property
    def manager(self) -> SessionManager:
        """The manager, as seen from this session (``SessionInfo.current``)."""
        if not self._ready:
            self._look()
        return self._manager.seen_from(self._key)

    @property
    def authenticated_at(self) -> datetime | None:
        """When the user logged in, in UTC; None without a login, and where that is not known
        (``migrate_from``). ``require_recent`` is the one to decide by: it does not depend on the
        wall clock."""
        age = self._authenticated_for()
        if age is None or age == inf:
            return None
        return datetime.now(UTC) - timedelta(seconds=age)

    def require_recent(self, within: Seconds) -> None:
        """Raise :class:`~lembro.LoginRequired` unless the user has logged in within so many
        seconds. For sensitive actions (OWASP ASVS 5.0, 7.5.1)."""
        limit = seconds("within", within, "require_recent(timedelta(minutes=5))")
        age = self._authenticated_for()
        if age is None:
            raise LoginRequired("nobody is logged in")
        if age == inf:
            raise LoginRequired("the login was taken over from elsewhere, and its age is not known")
        if age > limit:
            raise LoginRequired(f"the login is {age:.0f} s old, at most {limit:.0f} s are allowed")

    @property
    def issued_id(self) -> str | None:
        """The id that has been issued by ``save()``, for an application that hands ids to its
        clients itself instead of by cookie. Secret: whoever has it has the session."""
        return self._issued_id if self._loaded is not Loaded.NOT_LOADED else None

    # -- intents -----------------------------------------------------------------------------------

    def login(self, user: str, *, remember: bool = False) -> None:
        """Log ``user`` in: a new id, a new absolute timeout, and what was known of the visitor is
        kept, unless another user was logged in. With ``remember`` the cookie outlives the browser.

        ``user`` is a non-empty str of at most 256 bytes. Raises TypeError or ValueError.
        """
        check_user(user)
        self._write(cookie=True)
        if (self._current_user() or self._lost_user) not in (None, user):
            self._data, self._meta = {}, {}
            self._views.clear()
        self._meta = {**self._meta, "remember": True} if remember else {}
        self._login = user

    def logout(self) -> None:
        """End this session: it is removed from the store and its cookie is cleared. Keys written
        afterwards begin a new anonymous session."""
        self.destroy()

    def destroy(self) -> None:
        """The same as ``logout``."""
        self._write()
        self._data, self._meta = {}, {}
        self._views.clear()
        self._login = None
        self._regenerate = self._touch = False
        self._destroy = True
        self._assigned = True

    def logout_others(self) -> None:
        """End all other sessions of the user. Raises LoginRequired if nobody is logged in."""
        self._revoke_user()

    def logout_everywhere(self) -> None:
        """End all sessions of the user, this one too. Raises LoginRequired if nobody is logged
        in."""
        self._revoke_user()
        self.destroy()

    def regenerate_id(self) -> None:
        """Give the session a new id and keep its data. ``login`` does this by itself."""
        self._write(cookie=True)
        self._regenerate = True

    def touch(self) -> None:
        """Extend the idle timeout, even if little of it has passed."""
        self._write()
        self._touch = True

    # -- I/O, in pairs -----------------------------------------------------------------------------

    def save(self) -> None:
        """Commit now, and see the exceptions: StoreError, SessionTooLarge, CodecError,
        TooManySessions. The cookie goes out with the response."""
        self._manager.run_for(self, "save")

    async def asave(self) -> None:
        """As ``save``."""
        await self._manager.arun_for(self, "save")

    def reload(self) -> None:
        """Drop the changes and load the session again. Raises SessionGone if it is no more."""
        self._manager.run_for(self, "reload")

    async def areload(self) -> None:
        """As ``reload``."""
        await self._manager.arun_for(self, "reload")

    def atomic(self, function: Callable[[codec.Data], T]) -> T:
        """Call ``function(data)`` on the stored data and store what it makes of it, in one step:
        if somebody else is first, it is called again on what they stored. For counters and stock,
        which a merge can't know. ``data`` is a plain dict; the function's result is returned.
        Changes made to the session so far stay as they are. Raises SessionGone."""
        return self._manager.run_for(self, "atomic", function)  # type: ignore[no-any-return]

    async def aatomic(self, function: Callable[[codec.Data], T]) -> T:
        """As ``atomic``; ``function`` is a plain function."""
        return await self._manager.arun_for(self, "atomic", function)  # type: ignore[no-any-return]

    def edit(self) -> Edit:
        """``async with session.edit(): ...`` (or ``with``): write after the response has begun, in
        a stream, a WebSocket or a background task. Loads the session afresh, and at the end merges
        and saves. Edits of one session by several tasks or threads take turns. Raises SessionGone
        if it is no more."""
        return Edit(self)

    # -- within ------------------------------------------------------------------------------------

    def _look(self) -> None:
        """The first look loads; after the response has begun, every look asks the store."""
        if self._preloaded:
            self._preloaded = False
            self._ready = self._phase is not COMMITTED
        elif self._loaded is NOT_LOADED or self._phase is COMMITTED:
            self._manager.look(self)

    def _write(self, *, cookie: bool = False) -> None:
        if self._phase is not OPEN:
            if self._phase is COMMITTED:
                raise SessionCommitted(
                    "the response has begun, and with it the session is saved; "
                    "write inside `with session.edit():` (in async code `async with`)"
                )
            if cookie:
                raise SessionCommitted("the response has begun: no cookie can be set for a new id")
        if not self._ready:
            self._look()

    def _authenticated_for(self) -> float | None:
        if self.user is None:
            return None
        if "moved" in self._meta and self._login is None:  # it was logged in somewhere else
            return inf
        # A login makes a new record, and a rotation carries its age on.
        return 0.0 if self._login is not None or self._found is None else self._found.age

    def _revoke_user(self) -> None:
        self._write()
        user = self._current_user()
        if user is None:
            raise LoginRequired("nobody is logged in, so there is nobody to log out")
        self._manager.require("destroy_user")
        self._revoke = user

    def _view(self, key: str, load: Callable[[Any], T], dump: Callable[[T], Any]) -> T:
        """A typed view of one key: ``load(value or MISSING)`` makes it, once; what ``dump`` makes
        of it at the commit is stored, if that has changed."""
        if not self._ready:
            self._look()
        view = self._views.get(key)
        if view is None:
            value = load(self._data.get(key, MISSING))
            self._nested_possible = True
            view = self._views[key] = View(value, dump, codec.encode_value(dump(value), key))
        return view.value  # type: ignore[no-any-return]


def check_user(user: object) -> None:
    """Raise TypeError or ValueError unless this can be who is logged in."""
    if user is None:
        raise TypeError("login() needs a user; to end the session call logout()")
    if not isinstance(user, str):
        raise TypeError(f"login() takes the user as str, not {type(user).__name__}: str(user.id)")
    if not user:
        raise ValueError("login() takes a non-empty user")
    try:
        size = len(user.encode())
    except UnicodeEncodeError:
        raise ValueError("login() takes a user that UTF-8 can carry") from None
    if size > MAX_USER:
        raise ValueError(f"login() takes a user of at most {MAX_USER} bytes, not {size}")
