"""Server-side sessions for web applications: in memory, in a file, in Redis or in a database."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from . import _log, size
from ._core.session import Session
from ._device import Visitor
from .errors import (
    CodecError,
    ConfigError,
    LembroError,
    LoginRequired,
    SessionCommitted,
    SessionGone,
    SessionTooLarge,
    StoreError,
    StoreFull,
    StoreReadOnly,
    StoreUnavailable,
    TooManySessions,
    UsageError,
)
from .events import Event
from .manager import SessionInfo, SessionManager
from .options import CookieOptions, SessionOptions
from .stores.base import AsyncStore, Found, Record, Store

if TYPE_CHECKING:
    from .stores.memory import MemoryStore

__all__ = [
    "AsyncStore",
    "CodecError",
    "ConfigError",
    "CookieOptions",
    "Event",
    "Found",
    "LembroError",
    "LoginRequired",
    "MemoryStore",
    "Record",
    "Session",
    "SessionCommitted",
    "SessionGone",
    "SessionInfo",
    "SessionManager",
    "SessionOptions",
    "SessionTooLarge",
    "Store",
    "StoreError",
    "StoreFull",
    "StoreReadOnly",
    "StoreUnavailable",
    "TooManySessions",
    "UsageError",
    "Visitor",
    "size",
]

__version__ = "0.1.0"

_log.set_up()


def __getattr__(name: str) -> Any:
    """Import MemoryStore at its first use, because it has 30 modules that no other store needs."""
    if name != "MemoryStore":
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from .stores.memory import MemoryStore  # noqa: PLC0415

    return MemoryStore


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
