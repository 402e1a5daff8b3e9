"""Server-side sessions in the application's memory: bounded in bytes, and purged automatically."""

from __future__ import annotations

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
    TooManySessions,
    UsageError,
)
from .events import Event
from .manager import SessionInfo, SessionManager
from .options import CookieOptions, SessionOptions
from .stores.base import AsyncStore, Found, Record, Store
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
    "TooManySessions",
    "UsageError",
    "Visitor",
    "size",
]

__version__ = "0.1.0"

_log.set_up()
