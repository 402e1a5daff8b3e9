"""Translate the errors of redis-py and valkey-py, which have the same class names, to lembro's."""

from __future__ import annotations

from typing import Any, Final

from ...errors import StoreError, StoreFull, StoreReadOnly, StoreUnavailable
from ..external.backend import Busy, Dropped
from ..external.extras import client as import_client
from .target import Address

_CLASSES: Final = (
    ("ReadOnlyError", StoreReadOnly),
    ("OutOfMemoryError", StoreFull),
    ("TryAgainError", Busy),
    ("MaxConnectionsError", Busy),
    ("ClusterDownError", StoreUnavailable),
    ("RedisClusterException", StoreUnavailable),
    ("ValkeyClusterException", StoreUnavailable),
    ("TimeoutError", StoreUnavailable),
    ("ConnectionError", StoreUnavailable),
)
_CODES: Final = (  # before Redis 7, the error of a script contains the original code in its text
    ("OOM command not allowed", StoreFull),
    ("READONLY You can't write", StoreReadOnly),
    ("MISCONF", StoreReadOnly),
    ("NOREPLICAS", StoreReadOnly),
    ("BUSY ", StoreUnavailable),
)
_SETUP: Final = ("AuthenticationError", "AuthorizationError", "NoPermissionError")
_NOT_DROPPED: Final = (*_SETUP, "BusyLoadingError", "MaxConnectionsError")


class Failures:
    """The exceptions of one client library.

    Args:
        package: ``redis`` or ``valkey``.
        place: The name of the server, for messages.
    """

    def __init__(self, package: str, place: str) -> None:
        module: Any = import_client(f"{package}.exceptions", "redis")
        self.place = place
        self.connection: type[Exception] = module.ConnectionError
        self.unavailable: tuple[type[Exception], ...] = (
            module.ConnectionError,
            module.TimeoutError,
        )
        self.response: type[Exception] = module.ResponseError
        self.moved: type[Exception] = module.MovedError
        self.ask: type[Exception] = module.AskError
        self.no_script: type[Exception] = module.NoScriptError
        self.read_only: type[Exception] = module.ReadOnlyError
        self.setup: tuple[type[Exception], ...] = _named(module, _SETUP)
        self._not_dropped = _named(module, _NOT_DROPPED)
        self._base: tuple[type[Exception], ...] = (
            *_named(module, ("RedisError", "ValkeyError")),
            *_named(module, ("RedisClusterException", "ValkeyClusterException")),
            OSError,
        )
        self._classes = [
            (found, kind) for name, kind in _CLASSES for found in _named(module, (name,))
        ]

    def check_dropped(self, error: Exception, *, moves: bool = False) -> None:
        """Raise Dropped if another connection may perform a command that failed.

        Either this connection was dropped, so the command may or may not have been performed. Or
        its server no longer holds the sessions.

        Args:
            error: An error of the connection, or an error reply.
            moves: Whether another server may hold the sessions now.
        """
        if isinstance(error, self.connection):
            again = not isinstance(error, self._not_dropped)
        else:
            again = moves and isinstance(error, (self.moved, self.read_only))
        if again:
            raise Dropped(f"{self.place}: {error}") from error

    @staticmethod
    def address_of(error: Any) -> Address:
        """Return the address of the node that a key has moved to."""
        return error.host, error.port

    def translate(self, error: Exception) -> StoreError | None:
        """Return lembro's error for an error of the client, or None for any other error."""
        if isinstance(error, StoreError):
            return error
        if not isinstance(error, self._base):
            return None
        text = f"{self.place}: {error}"
        for known, kind in self._classes:
            if isinstance(error, known):
                return kind(text)
        for code, kind in _CODES:
            if code in str(error):
                return kind(text)
        return StoreUnavailable(text) if isinstance(error, OSError) else StoreError(text)


def _named(module: Any, names: tuple[str, ...]) -> tuple[type[Exception], ...]:
    """Return those exceptions that the client library has."""
    return tuple(getattr(module, name) for name in names if hasattr(module, name))
