"""What a session is in the course of its request; the lifecycle reads and writes it."""

from __future__ import annotations

import enum
from collections.abc import Callable
from typing import Any, Final


class Arrived(enum.Enum):
    """How a request arrived: the rows of the decision table."""

    UNREAD = "not looked at yet"
    NEW = "no cookie, or an id the store does not know"
    LIVE = "a live session"
    FOLLOWED = "a replaced id that is followed"
    DEAD_END = "a replaced id that leads nowhere, or an ambiguous cookie"


class Phase(enum.Enum):
    OPEN = "the response has not begun"
    COMMITTED = "the response has begun"
    EDITING = "inside session.edit()"


# The members that every request meets: to get one from its class is a slow look-up (before 3.14).
UNREAD: Final = Arrived.UNREAD
NEW: Final = Arrived.NEW
LIVE: Final = Arrived.LIVE
OPEN: Final = Phase.OPEN
COMMITTED: Final = Phase.COMMITTED


class SetCookie:
    """The cookie to send: for a new id, or to renew its age."""

    __slots__ = ("max_age", "session_id", "standing")

    def __init__(self, session_id: str, standing: bytes | None, max_age: float | None) -> None:
        self.session_id: str = session_id
        self.standing: bytes | None = standing
        self.max_age: float | None = max_age


class ClearCookie:
    """The cookie is to be removed."""

    __slots__ = ()


CLEAR: Final = ClearCookie()


MISSING: Final = object()


class View:
    """What a typed view holds, and the encoding of what it was when it was last stored."""

    __slots__ = ("dump", "stored", "value")

    def __init__(self, value: Any, dump: Callable[[Any], Any], stored: bytes) -> None:
        self.value: Any = value
        self.dump: Callable[[Any], Any] = dump
        self.stored: bytes = stored
