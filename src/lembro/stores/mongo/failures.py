"""Translate the errors of pymongo to lembro's."""

from __future__ import annotations

import random
from typing import Any, Final

from ...errors import ConfigError, StoreError, StoreFull, StoreUnavailable
from ..external.backend import Busy, Dropped
from ..external.extras import client as import_client

CONFLICTS: Final = frozenset({112, 11000})
"""Another caller changed the same document (112), or inserted it at the same moment (11000)."""
CONFLICTED: Final = "other requests changed the same sessions until the timeout"
NO_ACCESS: Final = frozenset({13, 18, 8000})
FULL: Final = frozenset({14031})
PAUSE: Final = 0.001  # seconds after the first conflict; doubled after each one
LONGEST_PAUSE: Final = 0.032


class Failures:
    """The exceptions of pymongo.

    Args:
        place: The name of the server, for messages.
    """

    def __init__(self, place: str) -> None:
        errors: Any = import_client("pymongo.errors", "mongo")
        self.place: str = place
        self.base: type[Exception] = errors.PyMongoError
        self.reply: type[Exception] = errors.OperationFailure
        """The server replied with an error. It has aborted the transaction, if there was one."""
        self._write: Any = errors.WriteError
        self._dropped: type[Exception] = errors.AutoReconnect
        self._timeout: type[Exception] = errors.NetworkTimeout
        self._no_server: type[Exception] = errors.ServerSelectionTimeoutError
        self._busy: tuple[type[Exception], ...] = (
            errors.WaitQueueTimeoutError,
            errors.ExecutionTimeout,
            errors.WriteConcernError,
        )

    def is_disconnect(self, error: BaseException) -> bool:
        """Return whether there is no connection now, or none to a primary."""
        return isinstance(error, self._dropped) and not isinstance(error, self._timeout)

    def is_conflict(self, error: Any) -> bool:
        """Return whether a verb changed nothing because of another caller, and can run again."""
        return error.code in CONFLICTS or bool(error.has_error_label("TransientTransactionError"))

    @staticmethod
    def pause(conflicts: int) -> float:
        """Return the seconds to wait after a number of conflicts."""
        longest = min(LONGEST_PAUSE, PAUSE * 2.0**conflicts)
        return random.uniform(longest / 2, longest)  # noqa: S311 - no secret

    def check(self, reply: Any) -> Any:
        """Return a reply. Raise the error that it contains, which pymongo does not raise."""
        for error in reply.get("writeErrors", ()):
            raise self._write(error.get("errmsg"), error.get("code"), error)
        concern = reply.get("writeConcernError")
        if concern is not None:
            raise Busy(
                f"{self.place}: too few members of the replica set confirmed a change in time "
                f"({concern.get('errmsg')}). The change was made, but a failover could undo it"
            )
        return reply

    def setup_error(self, error: Any) -> Exception:
        """Return the error to raise when a connector cannot be opened."""
        if error.code not in NO_ACCESS:
            return error  # type: ignore[no-any-return]
        return ConfigError(
            f"{self.place} rejects the user of the store ({error.code}). Check the user and the "
            f"password in the URL, authSource, and the permissions of the user"
        )

    def translate(self, error: Exception) -> StoreError | None:
        """Return lembro's error for an error of pymongo, or None for any other error."""
        if isinstance(error, StoreError):
            return error
        if not isinstance(error, self.base):
            return None
        text = f"{self.place}: {error}"
        if isinstance(error, self._dropped):
            repeats = not isinstance(error, (self._timeout, self._no_server))
            return (Dropped if repeats else StoreUnavailable)(text)
        if isinstance(error, self._busy):
            return Busy(text)
        return (StoreFull if getattr(error, "code", None) in FULL else StoreError)(text)
