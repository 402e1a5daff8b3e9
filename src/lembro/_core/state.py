"""What a session is in the course of its request; the lifecycle reads and writes it."""

from __future__ import annotations

import enum
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Final

from .._http.cookie import ABSENT, Presented
from ..errors import StoreError
from ..events import Event
from ..ids import handle_for
from ..stores.base import Found
from . import codec

if TYPE_CHECKING:
    from ..manager import SessionManager
    from ..migrate.lifecycle import Adoption
    from .edit import Turns


class Loaded(enum.Enum):
    """How a request arrived: the rows of the decision table."""

    NOT_LOADED = "not looked at yet"
    NEW = "no cookie, or an id the store does not know"
    LIVE = "a live session"
    ROTATED = "a replaced id that is followed"
    STALE = "a replaced id that leads nowhere, or an ambiguous cookie"


class Phase(enum.Enum):
    OPEN = "the response has not begun"
    COMMITTED = "the response has begun"
    EDITING = "inside session.edit()"


# The members that every request meets: to get one from its class is a slow look-up (before 3.14).
NOT_LOADED: Final = Loaded.NOT_LOADED
NEW: Final = Loaded.NEW
LIVE: Final = Loaded.LIVE
OPEN: Final = Phase.OPEN
COMMITTED: Final = Phase.COMMITTED


class SetCookie:
    """The cookie to send: for a new id, or to renew its age."""

    __slots__ = ("max_age", "reputation", "session_id")

    def __init__(self, session_id: str, reputation: bytes | None, max_age: float | None) -> None:
        self.session_id: str = session_id
        self.reputation: bytes | None = reputation
        self.max_age: float | None = max_age


class ClearCookie:
    """The cookie is to be removed."""

    __slots__ = ()


CLEAR: Final = ClearCookie()

MISSING: Final = object()
"""What a typed view is made of where its key is not there."""


class View:
    """What a typed view holds, and the encoding of what it was when it was last stored."""

    __slots__ = ("dump", "stored", "value")

    def __init__(self, value: Any, dump: Callable[[Any], Any], stored: bytes) -> None:
        self.value: Any = value
        self.dump: Callable[[Any], Any] = dump
        self.stored: bytes = stored


class SessionState:
    """What is known of a session, and what was asked for. :class:`~lembro.Session` is the public
    face of it; the lifecycle reads and writes the attributes themselves."""

    # What a session has that nobody has looked at, and what stays as it is in most: one is made for
    # every request, and each attribute that need not be set saves 0.02 us.
    _ready = False  # loaded, and the response has not begun
    _preloaded = False  # loaded before the handler was called, and not looked at so far
    _loaded = NOT_LOADED
    _phase = OPEN
    _cookie: SetCookie | ClearCookie | None = None
    _failure: StoreError | None = None
    _turns: Turns  # made at the first edit

    # The record: where it is, and what it was when it was loaded, or stored last.
    _presented_key: bytes | None = None  # of the id that came with the request
    _key: bytes | None = None
    _found: Found | None = None
    _payload = b""
    _issued_id: str | None = None  # if one was issued
    _lost_user: str | None = None  # whose data these still are, once save() found it gone
    _legacy: Adoption | None = None  # it came by a cookie of old (``migrate_from``)

    # What the request makes of it; its data are in _data, and lembro's own map in _meta.
    _assigned = False  # a key, since it was loaded
    _nested_possible = False  # something that can change in itself

    _outer_views: dict[str, View] | None = None  # set aside while edit() is under way

    # What was asked for.
    _login: str | None = None  # the user
    _regenerate = False
    _destroy = False
    _touch = False
    _revoke: str | None = None  # the user whose other sessions are to end
    _resend_cookie = (
        False  # its cookie is to be sent again: how long the browser keeps it has changed
    )

    def __init__(
        self,
        manager: SessionManager,
        read: Callable[[Any], Presented] | None = None,
        source: Any = None,
        send: Any = None,
        asynchronous: bool = False,
    ) -> None:
        """Made by an integration: ``read(source)`` finds the cookie, at the first look; ``send`` is
        what the integration needs when the response begins."""
        self._manager = manager
        self._read = read
        self._source = source
        self._send = send
        self._async = asynchronous

    def _begin(self) -> None:
        """Fill in what a session has that is looked at; a request that does not look skips it."""
        self._presented = ABSENT if self._read is None else self._read(self._source)
        self._loaded = NEW
        self._meta: codec.Meta = {}
        self._data: codec.Data = {}
        self._views: dict[str, View] = {}
        self._events: list[Event] = []  # to be told, once the flow has ended

    def _is_unused(self) -> bool:
        """Whether nobody has looked at it: then it costs nothing and leaves no trace."""
        return self._preloaded or self._loaded is NOT_LOADED

    def _current_user(self) -> str | None:
        if self._login is not None:
            return self._login
        return None if self._found is None or self._destroy else self._found.user

    def _current_handle(self) -> str | None:
        return None if self._key is None else handle_for(self._key)

    def _flush_views(self) -> None:
        """Put what has changed in the typed views into the data."""
        for key, view in self._views.items():
            value = view.dump(view.value)
            encoding = codec.encode_value(value, key)
            if encoding != view.stored:
                view.stored = encoding
                self._data[key] = value
                self._assigned = True
