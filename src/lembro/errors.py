"""What can go wrong, by name. All that lembro raises on purpose is a :class:`LembroError`."""

from __future__ import annotations


class LembroError(Exception):
    """The base of all errors of lembro."""


class ConfigError(LembroError, ValueError):
    """An option, an argument or a set-up that cannot work; says what to write instead."""


class UsageError(LembroError):
    """A call that cannot work where it is made; says what to write instead."""


class StoreError(LembroError):
    """The backend of a store failed: it is down, full, locked or read-only."""


def printable(path: str) -> str:
    """A path of keys as it may go into logs: keys may come from a user."""
    return path if path.isprintable() else repr(path)[1:-1]


class CodecError(LembroError, ValueError):
    """A value that a session cannot carry, or a stored record that cannot be read.

    ``path`` leads to the offending value: ``cart[2].price``.
    """

    def __init__(self, message: str, *, path: str = "") -> None:
        path = printable(path)
        super().__init__(f"{path}: {message}" if path else message)
        self.path = path


class SessionTooLarge(LembroError):  # noqa: N818 - a name of the field, not only an error
    """The session is larger than the store accepts (``size`` and ``limit`` in bytes).

    What was stored before stays as it was.
    """

    def __init__(self, size: int, limit: int, what: str = "session") -> None:
        super().__init__(
            f"the {what} takes {size} bytes, the limit for one {what} is {limit} bytes; "
            f"keep less in it, or raise max_session_size"
        )
        self.size = size
        self.limit = limit


class SessionCommitted(LembroError):  # noqa: N818
    """The response has begun: the session is read-only, write inside ``session.edit()``."""


class SessionGone(LembroError):  # noqa: N818
    """The session was destroyed elsewhere or has expired while this connection was open."""


class TooManySessions(LembroError):  # noqa: N818
    """The user has reached the number of sessions allowed, and new ones are refused."""


class LoginRequired(LembroError):  # noqa: N818
    """The action needs a login, or a more recent one (``session.require_recent``)."""
