"""Stores keep the sessions. ``base`` is the contract, and ``from_url`` makes a store from a URL.

A store is imported at its first use, because most applications use only one.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from .urls import from_url, store_of

if TYPE_CHECKING:
    from .copying import Copied, copy_sessions
    from .external.stats import StoreStats
    from .memory import MemoryStore, Stats
    from .mongo.store import MongoStore
    from .moving import MovingStore
    from .redis.store import RedisStore
    from .sql.django import DjangoStore
    from .sql.postgres import PostgresStore
    from .sql.sqlalchemy import SQLAlchemyStore
    from .sql.sqlite import SQLiteStore

__all__ = [
    "Copied",
    "DjangoStore",
    "MemoryStore",
    "MongoStore",
    "MovingStore",
    "PostgresStore",
    "RedisStore",
    "SQLAlchemyStore",
    "SQLiteStore",
    "Stats",
    "StoreStats",
    "copy_sessions",
    "from_url",
    "store_of",
]

_MODULES: Final = {
    "Copied": "copying",
    "DjangoStore": "sql.django",
    "MemoryStore": "memory",
    "MongoStore": "mongo.store",
    "MovingStore": "moving",
    "PostgresStore": "sql.postgres",
    "RedisStore": "redis.store",
    "SQLAlchemyStore": "sql.sqlalchemy",
    "SQLiteStore": "sql.sqlite",
    "Stats": "memory",
    "StoreStats": "external.stats",
    "copy_sessions": "copying",
}


def __getattr__(name: str) -> Any:
    """Import a store at its first use."""
    module = _MODULES.get(name)
    if module is None:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from importlib import import_module  # noqa: PLC0415

    return getattr(import_module(f".{module}", __package__), name)


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
