"""Stores keep the sessions. ``base`` is the contract, and ``from_url`` makes a store from a URL.

A store is imported at its first use, because most applications use only one.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from .urls import from_url, store_of

if TYPE_CHECKING:
    from .external.stats import StoreStats
    from .memory import MemoryStore, Stats
    from .redis.store import RedisStore
    from .sql.django import DjangoStore
    from .sql.postgres import PostgresStore
    from .sql.sqlalchemy import SQLAlchemyStore
    from .sql.sqlite import SQLiteStore

__all__ = [
    "DjangoStore",
    "MemoryStore",
    "PostgresStore",
    "RedisStore",
    "SQLAlchemyStore",
    "SQLiteStore",
    "Stats",
    "StoreStats",
    "from_url",
    "store_of",
]

_MODULES: Final = {
    "DjangoStore": "sql.django",
    "MemoryStore": "memory",
    "PostgresStore": "sql.postgres",
    "RedisStore": "redis.store",
    "SQLAlchemyStore": "sql.sqlalchemy",
    "SQLiteStore": "sql.sqlite",
    "Stats": "memory",
    "StoreStats": "external.stats",
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
