"""The errors of lembro: subclasses of :class:`LembroError`."""

from __future__ import annotations

from typing import Final

LONGEST_PATH: Final = 200
"""The maximum length of a path, or of other text from a visitor, in an error or a log message."""

LONGEST_REASON: Final = 500
"""The maximum length of the reason in an event, and of an error in a log message."""


class LembroError(Exception):
    """The base class of all errors of lembro."""


class ConfigError(LembroError, ValueError):
    """An option, an argument or a setup cannot work. The message says what to write instead."""


class UsageError(LembroError):
    """A call cannot work here, for example in an event loop. The message says what to write."""


class StoreError(LembroError):
    """The backend of a store failed. A visitor gets a 503 and stays logged in."""


class StoreUnavailable(StoreError):  # noqa: N818 - named after the state, as those below
    """The backend cannot be reached, or did not answer in time."""


class StoreFull(StoreError):  # noqa: N818
    """The backend has no room for the write. Reads still work."""


class StoreReadOnly(StoreError):  # noqa: N818
    """The backend accepts no writes. Reads still work."""


def printable(text: str, longest: int = LONGEST_PATH) -> str:
    """Return text that may come from a visitor in a form that is safe in logs: short, on one line.

    Without a limit, a visitor could fill the disk with log messages.
    """
    if len(text) > longest:
        text = text[: longest - 3] + "..."
    return text if text.isprintable() else repr(text)[1:-1]


class CodecError(LembroError, ValueError):
    """A value cannot be stored in a session, or a stored record cannot be read.

    Attributes:
        path: The path of the value in the session, such as ``cart[2].price``; empty if unknown.
    """

    def __init__(self, message: str, *, path: str = "") -> None:
        path = printable(path)
        super().__init__(f"{path}: {message}" if path else message)
        self.path = path


class SessionTooLarge(LembroError):  # noqa: N818 - named after the state, as in other libraries
    """The session is larger than the store accepts. The stored session stays as it was.

    Attributes:
        size: The size that the session would have, in bytes.
        limit: The largest size that the store accepts, in bytes.
    """

    def __init__(self, size: int, limit: int, what: str = "session") -> None:
        super().__init__(
            f"the {what} must take at most {limit} bytes, got {size} bytes. "
            f"Store less in it, or raise max_session_size"
        )
        self.size = size
        self.limit = limit


class SessionCommitted(LembroError):  # noqa: N818
    """The response has begun, so the session is read-only. Write inside ``session.edit()``."""


class SessionGone(LembroError):  # noqa: N818
    """The session expired, or was ended elsewhere, while this connection was open."""


class TooManySessions(LembroError):  # noqa: N818
    """The user has as many sessions as allowed, and ``at_max_sessions="refuse"`` is set."""


class LoginRequired(LembroError):  # noqa: N818
    """The action needs a login, or a more recent one (``session.require_recent``)."""
