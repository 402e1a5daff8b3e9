"""The errors of lembro. All that lembro raises on purpose is a :class:`LembroError`."""

from __future__ import annotations


class LembroError(Exception):
    """The base class of all errors of lembro."""


class ConfigError(LembroError, ValueError):
    """An option, an argument or a setup that cannot work; says what to write instead."""


class UsageError(LembroError):
    """A call that cannot work where it is made; says what to write instead."""


class StoreError(LembroError):
    """The backend of a store failed: it is down, full, locked or read-only."""


def printable(path: str) -> str:
    """Return a path of keys as text that is safe in logs, because keys may come from a user."""
    return path if path.isprintable() else repr(path)[1:-1]


class CodecError(LembroError, ValueError):
    """A value that a session cannot store, or a stored record that cannot be read.

    Attributes:
        path: Where the value is in the session, such as ``cart[2].price``; empty if not known.
    """

    def __init__(self, message: str, *, path: str = "") -> None:
        path = printable(path)
        super().__init__(f"{path}: {message}" if path else message)
        self.path = path


class SessionTooLarge(LembroError):  # noqa: N818 - named after the state, as in other libraries
    """The session is larger than the store accepts. The stored session stays as it was.

    Attributes:
        size: What the session would take, in bytes.
        limit: What the store accepts, in bytes.
    """

    def __init__(self, size: int, limit: int, what: str = "session") -> None:
        super().__init__(
            f"the {what} takes {size} bytes, the limit for one {what} is {limit} bytes; "
            f"keep less in it, or raise max_session_size"
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
