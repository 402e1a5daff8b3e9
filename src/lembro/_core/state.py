"""The state of a session while its request runs. The lifecycle reads and writes it."""

from __future__ import annotations

import enum
from collections.abc import Callable
from typing import Any, Final, Never, Protocol, TypeVar

from .._http.cookie import Presented
from ..errors import SessionCommitted, StoreError, printable
from ..events import Event
from ..ids import handle_for
from ..stores.base import Found
from . import codec
from .effects import Flow
from .merge import Conflicts
from .turns import Turns

T = TypeVar("T")


class Loaded(enum.Enum):
    """The ways a session was loaded: the rows of the decision table."""

    NOT_LOADED = "not loaded yet"
    NEW = "no cookie, or an ID that the store does not know"
    LIVE = "a live session"
    ROTATED = "a rotated ID, within its grace"
    STALE = "an ID that is not accepted any more, or an ambiguous cookie"


class Phase(enum.Enum):
    """The phases of a request, which decide what may be written."""

    OPEN = "the response has not begun"
    COMMITTED = "the response has begun"
    EDITING = "inside session.edit()"


# The members that every request uses. Before Python 3.14, getting one from its class is slow.
NOT_LOADED: Final = Loaded.NOT_LOADED
NEW: Final = Loaded.NEW
LIVE: Final = Loaded.LIVE
OPEN: Final = Phase.OPEN
COMMITTED: Final = Phase.COMMITTED


class FlowRunner(Protocol):
    """The interface of the runner that a session uses (``_runtime/runner.py``)."""

    def load(self, session: Any) -> None:
        """Load a session that is accessed for the first time."""
        ...

    async def aload(self, session: Any) -> None:
        """Load a session that is not loaded, in an event loop."""
        ...

    def recheck(self, session: Any) -> None:
        """Load what was stored since the response began. Raise SessionGone if it has ended."""
        ...

    def run_action(self, session: Any, action: Callable[..., Flow[T]], *args: Any) -> T:
        """Run an action of ``actions.py`` for a session."""
        ...

    async def arun_action(self, session: Any, action: Callable[..., Flow[T]], *args: Any) -> T:
        """Run an action for a session, in an event loop."""
        ...

    size_limit: int | None
    """The maximum size of a session in bytes, if the store has a limit."""

    def require(self, verb: str) -> str:
        """Raise UsageError unless the store has this verb."""
        ...


class Transport(Protocol):
    """The interface of the request that a session uses (``_runtime/exchange.py``)."""

    runner: Any  # a FlowRunner

    def read_cookie(self) -> Presented:
        """Read the session cookie of the request."""
        ...

    def path(self) -> str:
        """Return the path of the request."""
        ...

    def describe_visitor(self) -> tuple[str, str]:
        """Return the visitor's device and address; each is empty unless the options ask for it."""
        ...

    def unknown_id(self, key: bytes) -> None:
        """Note that the store does not know the ID of the request."""
        ...

    def add_late_headers(self) -> bool:
        """Add ``Vary`` to a response that has left the integration but was not sent, if possible.

        Returns:
            Whether the session may be accessed: ``Vary`` was added, or the response has ended.
        """
        ...


RESPONSE_BEGUN: Final = (
    "the response has begun without `Vary: Cookie`, because the session was not accessed before. A "
    "cache could show this visitor's data to others. Access the session before the response "
    "begins, for example with `session.get(key)`. After that, read it at any time, and write "
    "inside `with session.edit():` (in async code `async with`)"
)
"""Why a session cannot be accessed for the first time in a stream or a background task."""

REQUEST_FAILED: Final = (
    "the request has failed, and the response of this error handler would have no `Vary: Cookie`. "
    "A cache could show this visitor's data to others. Handle the error inside of the session "
    "middleware: wrap the whole application, app = SessionMiddleware(app)"
)
"""Why a session cannot be accessed in an error handler around the session middleware."""


class SetCookie:
    """Send the cookie: for a new ID, or to renew its Max-Age."""

    __slots__ = ("max_age", "reputation", "session_id")

    def __init__(self, session_id: str, reputation: bytes | None, max_age: float | None) -> None:
        self.session_id: str = session_id
        self.reputation: bytes | None = reputation
        self.max_age: float | None = max_age


class ClearCookie:
    """Remove the cookie from the browser."""

    __slots__ = ()


CLEAR: Final = ClearCookie()

MISSING: Final = object()
"""The stored value of a typed part whose key is missing."""


class Upgraded:
    """An object that was made from data that do not fit its kind any more."""

    __slots__ = ("value",)

    def __init__(self, value: Any) -> None:
        self.value: Any = value


class View:
    """A typed part of a session: the object, and the encodings that tell whether it has changed."""

    __slots__ = ("base", "dump", "stored", "value")

    def __init__(self, value: Any, dump: Callable[[Any], Any], stored: bytes, base: bytes) -> None:
        self.value: Any = value
        self.dump: Callable[[Any], Any] = dump
        self.stored: bytes = stored
        """The encoding of the object when it was made or last stored."""
        self.base: bytes = base
        """The encoding of the data at that time, which differs if the object was upgraded."""


class SessionState:
    """The state of a session: its record, its data, and what the application asked for.

    The lifecycle works on these attributes. :class:`~lembro.Session` adds the public methods.
    """

    # The values of a session before its first access, as class attributes: one session is made for
    # every request, and each attribute that need not be set saves 0.02 us.
    _ready = False  # loaded, and the response has not begun
    _preloaded = False  # loaded before the handler was called, and not accessed so far
    _loaded = NOT_LOADED
    _phase = OPEN
    _cookie: SetCookie | ClearCookie | None = None
    _failure: StoreError | None = None  # of a preload; the first access raises it
    _too_late = ""  # why the session cannot be accessed any more
    _turns: Turns  # made at the first edit

    # The record: its key, and its content when it was loaded or last stored.
    _presented_key: bytes | None = None  # of the ID that came with the request
    _key: bytes | None = None
    _found: Found | None = None
    _payload = b""
    _issued_id: str | None = None  # if one was issued
    _lost_user: str | None = None  # the owner of the data, after save() found the session gone
    _adoption: object | None = None  # the legacy session that it came from (``migrate_from``)

    # Set when the session is loaded.
    _presented: Presented
    _meta: codec.Meta  # lembro's metadata
    _data: codec.Data
    _views: dict[str | None, View]
    _events: list[Event]  # emitted once the flow has ended

    # The changes of the request.
    _assigned = False  # a key was assigned or deleted since it was loaded
    _nested_possible = False  # a mutable value was returned, so a nested change is possible
    _size_limit = 0  # in bytes, if a value was assigned that exceeds it

    _outer_views: dict[str | None, View] | None = None  # set aside while edit() is under way

    # The actions that the application has asked for.
    _login: str | None = None  # the user ID
    _regenerate = False
    _destroy = False
    _touch = False
    # Whether an ID that another request has rotated still finds the session, and still ends it.
    # Django's engine sets both to False, because a replaced key has no session there.
    _follows_rotation = True
    _ends_successor = True
    _passive = False  # the request is not activity: it does not extend the session
    _life: float | None = None  # the absolute timeout of the login, if it has its own
    _revoke: str | None = None  # the user whose other sessions are to end
    _resend_cookie = False  # the lifetime has changed, and so the cookie's Max-Age

    def __init__(self, transport: Transport) -> None:
        self._transport = transport

    def __reduce_ex__(self, protocol: object) -> Never:
        """Refuse ``pickle`` and ``copy.deepcopy``."""
        raise TypeError(
            "a session cannot be pickled or copied deeply, because it belongs to its request. Use "
            "a plain dict of its data: session.copy(), or copy.deepcopy(session.copy())"
        )

    def _is_unused(self) -> bool:
        """Return whether the session was never accessed: then it is neither loaded nor stored."""
        return self._preloaded or self._loaded is NOT_LOADED

    def _check_accessible(self) -> None:
        """Raise SessionCommitted if the response lacks the header that an access needs."""
        if self._too_late:
            if not self._transport.add_late_headers():
                raise SessionCommitted(self._too_late)
            self._too_late = ""

    def _current_user(self) -> str | None:
        if self._login is not None:
            return self._login
        return None if self._found is None or self._destroy else self._found.user

    def _current_handle(self) -> str | None:
        return None if self._key is None else handle_for(self._key)

    def _note_conflicts(self, user: str | None, conflicts: Conflicts) -> None:
        """Report, in one event, the paths at which a merge could keep only one of two changes."""
        if conflicts:
            paths = ", ".join(printable(path, 60) for path in conflicts.paths)
            more = conflicts.number - len(conflicts.paths)
            reason = f"{paths}{f' and {more} more' if more else ''}: the later write won"
            self._events.append(Event("conflict", self._current_handle(), user, reason))
