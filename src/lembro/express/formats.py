"""The formats of the stores of Express, by the name of their npm package or by a URL."""

from __future__ import annotations

from typing import Any, Final
from urllib.parse import SplitResult, urlsplit

from ..errors import ConfigError
from ..stores.urls import boolean, cannot_be_read, parameters, split_query
from .store import ExpressStore

_SERVER: Final[dict[str, Any]] = {
    "max_session_size": str,
    "max_connections": int,
    "timeout": float,
}
_REDIS: Final[dict[str, Any]] = {
    **_SERVER,
    "prefix": str,
    "wait_replicas": int,
    "tls": boolean,
    "ca_file": str,
    "sentinel_password": str,
}
_SQL: Final[dict[str, Any]] = {**_SERVER, "table": str, "interval": float}
_MONGO: Final[dict[str, Any]] = {**_SERVER, "database": str, "collection": str}

FORMATS: Final[dict[str, tuple[str, str, dict[str, Any], tuple[str, ...]]]] = {
    "connect-redis": (
        "redis",
        "ConnectRedis",
        _REDIS,
        ("redis", "rediss", "valkey", "unix", "redis+sentinel", "redis+cluster"),
    ),
    "connect-pg-simple": (
        "postgres",
        "ConnectPgSimple",
        {**_SQL, "pgbouncer": boolean},
        ("postgresql", "postgres"),
    ),
    "connect-mongo": (
        "mongo",
        "ConnectMongo",
        {**_MONGO, "stringify": boolean},
        ("mongodb", "mongodb+srv"),
    ),
    "connect-mongodb-session": (
        "mongo",
        "ConnectMongoDBSession",
        _MONGO,
        ("mongodb", "mongodb+srv"),
    ),
    "express-mysql-session": ("mysql", "ExpressMySQLSession", _SQL, ("mysql", "mariadb")),
}
"""For each format: the module, the class, the parameters of a URL, and the schemes."""


def store_of(given: Any, format: str | None, **users: Any) -> ExpressStore:
    """Return the store of a URL, or the given one.

    Raises:
        ConfigError: the format is unknown, or does not fit the URL, or the store is not one of
            ``lembro.express``.
    """
    if isinstance(given, str):
        return _from_url(given, format, users)
    if not isinstance(given, ExpressStore):
        raise ConfigError(
            f"an ExpressManager needs a URL or a store of lembro.express, got {given!r}. "
            f"Example: ExpressManager('redis://localhost:6379/0', secret=...)"
        )
    extra = [name for name, value in {"format": format, **users}.items() if value is not None]
    if extra:
        raise ConfigError(
            f"{extra[0]} needs a URL, got a {type(given).__name__}. Give it to the store, if it is "
            f"user, set_user or user_type; else leave it out"
        )
    return given


def _from_url(url: str, format: str | None, users: dict[str, Any]) -> ExpressStore:
    try:
        parts = urlsplit(url)
    except ValueError:
        raise ConfigError(cannot_be_read("redis://localhost:6379/0")) from None
    schemes = dict.fromkeys(each for known in FORMATS.values() for each in known[3])
    scheme = parts.scheme.lower()
    if scheme not in schemes:  # mysql+pymysql, with the driver of SQLAlchemy
        scheme = scheme.partition("+")[0]
    fitting = [name for name, known in FORMATS.items() if scheme in known[3]]
    if format is not None and format not in FORMATS:
        raise ConfigError(f"format must be one of {', '.join(FORMATS)}, got {format!r}")
    if not fitting:
        raise ConfigError(
            f"the URL of an Express store must begin with one of {', '.join(schemes)}, followed by "
            f"a colon"
        )
    chosen = fitting[0] if format is None else format
    if chosen not in fitting:
        raise ConfigError(
            f"the format of a {scheme}: URL must be {' or '.join(fitting)}, got {chosen!r}"
        )
    module, name, known, _ = FORMATS[chosen]
    return _made(parts, module, name, known, users)


def _made(
    parts: SplitResult, module: str, name: str, known: dict[str, Any], users: dict[str, Any]
) -> ExpressStore:
    import importlib  # noqa: PLC0415 - a client library is needed for the given URL only

    if module == "redis":
        ours, theirs = parts.query, ""
    else:
        ours, theirs = split_query(parts, known)
    keywords = parameters(parts._replace(query=ours), known)
    make: Any = getattr(importlib.import_module(f".{module}", __package__), name)
    store: ExpressStore = make(parts._replace(query=theirs).geturl(), **keywords, **users)
    return store
