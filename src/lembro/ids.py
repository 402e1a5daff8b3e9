"""Session IDs, the keys and handles that are derived from them, and user IDs."""

from __future__ import annotations

import os
import random
import re
import secrets
from base64 import urlsafe_b64encode
from collections.abc import Callable
from hashlib import sha256
from typing import Final, TypeAlias
from uuid import UUID

UserID: TypeAlias = str | int | UUID
"""The type of a user ID. It is stored as its ``str``."""

MAX_USER_ID: Final = 256  # bytes

ID_LENGTH: Final = 43
"""The length of a session ID in characters: 256 bits as base64url, without padding."""
SHORT_ID_LENGTH: Final = 40
"""The length of a session ID that other code keeps in a column of 40 characters, as with Django."""

_is_id = re.compile(
    rf"[A-Za-z0-9_-]{{{SHORT_ID_LENGTH}}}(?:[A-Za-z0-9_-]{{{ID_LENGTH - SHORT_ID_LENGTH}}})?",
    re.ASCII,
).fullmatch

# Marks come from a separate generator, which the system seeds and random.seed() does not change.
# Asking the system for each mark would take 0.5 us, a tenth of a write.
_marks = random.Random()  # noqa: S311
if hasattr(os, "register_at_fork"):  # pragma: no branch - Windows does not fork
    os.register_at_fork(after_in_child=_marks.seed)  # else workers would make the same marks


class SessionID(str):
    """A session ID whose ``repr`` does not show it.

    Error reporters record the variables of every frame. If a store fails after it has written, an
    error report would otherwise contain a valid session ID.
    """

    __slots__ = ()

    def __repr__(self) -> str:
        return "<session ID>"


class CookieValue(bytes):
    """The value of a cookie, whose ``repr`` does not show it; see :class:`SessionID`."""

    __slots__ = ()

    def __repr__(self) -> str:
        return "<cookie value>"


def id_of(secret: bytes) -> SessionID:
    """Return 32 random bytes as a session ID: 43 characters."""
    return SessionID(urlsafe_b64encode(secret).rstrip(b"=").decode())


def new_id(form: Callable[[bytes], SessionID] = id_of) -> SessionID:
    """Return a new session ID, from 256 random bits of the system.

    Args:
        form: Makes the ID from 32 random bytes.
    """
    return form(secrets.token_bytes(32))


def new_mark() -> bytes:
    """Return 48 random bits, which make a write of a session unique. They are not secret."""
    return _marks.getrandbits(48).to_bytes(6, "big")


def is_id(text: str) -> bool:
    """Return whether ``text`` has the form of a session ID, issued or not."""
    return _is_id(text) is not None


def key_for(session_id: str) -> bytes:
    """Return the key of a session in the store: the SHA-256 of its ID, 32 bytes.

    So a copy of the store contains no session IDs, and the time of a lookup reveals nothing about
    them (CVE-2019-16782).
    """
    return sha256(session_id.encode()).digest()


def handle_for(key: bytes) -> str:
    """Return the public name of a session, for lists and logs: 12 characters, no secret."""
    return urlsafe_b64encode(key[:9]).decode()


def user_id_text(user_id: object, call: str) -> str:
    """Check a user ID and return it as text. ``call`` names the method, for the error.

    Raises:
        TypeError: it is not a str, int or UUID.
        ValueError: it is empty, longer than 256 bytes, or not Unicode.
    """
    if isinstance(user_id, UUID) or (isinstance(user_id, int) and not isinstance(user_id, bool)):
        user_id = _digits(user_id) if isinstance(user_id, int) else str(user_id)
    if not isinstance(user_id, str):
        kind = type(user_id).__name__
        raise TypeError(
            f"{call}() takes the user ID as str, int or UUID, got {kind}. Example: {call}(user.id)"
        )
    if not user_id:
        raise ValueError(f"{call}() takes a non-empty user ID, got ''. Example: {call}(user.id)")
    try:
        size = len(user_id.encode())
    except UnicodeEncodeError:
        raise ValueError(
            f"{call}() takes a user ID that UTF-8 can encode, got a lone surrogate. Remove it"
        ) from None
    if size > MAX_USER_ID:
        raise ValueError(
            f"{call}() takes a user ID of at most {MAX_USER_ID} bytes, got {size}. "
            f"Example: {call}(user.id)"
        )
    return user_id if type(user_id) is str else str.__str__(user_id)


def _digits(number: int) -> str:
    """Return an int as text.

    Python refuses to convert thousands of digits. For such a number, return nines of about the same
    length, because the caller reports only the length.
    """
    if number.bit_length() > 8 * MAX_USER_ID:  # at least 617 digits
        return "9" * (number.bit_length() * 3 // 10)
    return str(int(number))
