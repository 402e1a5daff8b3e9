"""Session IDs of Express, and the keys that lembro makes of them.

A store of Express keeps a session under the ID itself. Everywhere else lembro uses the hash of the
ID, so that an ID is never logged.
"""

from __future__ import annotations

from base64 import urlsafe_b64encode
from typing import Any, Final

from ..ids import SessionID, key_for

LONGEST: Final = 256
"""The maximum length of a session ID, in characters. express-session makes 32, and ``genid`` may
make others."""


class ExpressKey(bytes):
    """The key of a session: the hash of its ID, with the ID itself."""

    session_id: SessionID


def key_of(session_id: str) -> ExpressKey:
    """Return the key of a session ID."""
    key = ExpressKey(key_for(session_id))
    key.session_id = SessionID(session_id)
    return key


def id_of(secret: bytes) -> SessionID:
    """Return a session ID as express-session makes it: 24 random bytes as base64url."""
    return SessionID(urlsafe_b64encode(secret[:24]).decode())


def is_id(text: str) -> bool:
    """Return whether a text may be a session ID.

    ``genid`` may return any text. Control characters are no part of an ID, because databases refuse
    some of them.
    """
    return 0 < len(text) <= LONGEST and text.isprintable()


class SentID(SessionID):
    """A session ID with the attributes that its cookie has, from the stored session."""

    __slots__ = ("attributes",)

    attributes: dict[str, Any]
