"""Make an SQL store from a URL."""

from __future__ import annotations

from typing import Any, Final
from urllib.parse import SplitResult, unquote

from ...errors import ConfigError
from ..urls import boolean, parameters, split_query
from .django import DjangoStore
from .postgres import PostgresStore
from .sqlalchemy import SQLAlchemyStore
from .sqlite import SQLiteStore

_SERVER: Final[dict[str, Any]] = {
    "table": str,
    "max_session_size": str,
    "max_connections": int,
    "timeout": float,
    "interval": float,
}
_PREFIX: Final = "sqlalchemy+"
_MYSQL: Final = (
    "charset",
    "unix_socket",
    "ssl_ca",
    "ssl_cert",
    "ssl_key",
    "ssl_check_hostname",
)


def from_url(parts: SplitResult) -> Any:
    """Return the store of a URL."""
    scheme = parts.scheme.lower()
    if scheme == "sqlite":
        return _sqlite(parts)
    if scheme in ("postgresql", "postgres"):  # libpq takes both
        return _postgres(parts)
    if scheme == "django":
        return _django(parts)
    if scheme in ("mysql", "mariadb") or scheme.startswith(_PREFIX):
        return _sqlalchemy(parts, scheme)
    raise ConfigError(f"this version of lembro has no store for {parts.scheme}: URLs")


def _sqlite(parts: SplitResult) -> SQLiteStore:
    """Return the store of ``sqlite:///relative.db`` or ``sqlite:////absolute.db``."""
    if parts.netloc or len(parts.path) < 2 or parts.path[0] != "/":
        raise ConfigError(
            "a sqlite: URL needs three slashes and a path, as in sqlite:///sessions.db, or four "
            "for a path from the root, as in sqlite:////var/lib/app/sessions.db"
        )
    keywords = parameters(
        parts,
        {"max_size": _size, "max_session_size": str, "interval": float, "timeout": float},
    )
    return SQLiteStore(unquote(parts.path[1:]), **keywords)


def _postgres(parts: SplitResult) -> PostgresStore:
    known = {**_SERVER, "pgbouncer": boolean}
    ours, theirs = split_query(parts, known)
    keywords = parameters(parts._replace(query=ours), known)
    return PostgresStore(f"postgresql://{parts.netloc}{parts.path}?{theirs}", **keywords)


def _sqlalchemy(parts: SplitResult, scheme: str) -> SQLAlchemyStore:
    """Return the store of ``mysql://...``, ``mariadb://...`` or ``sqlalchemy+...``.

    The other parameters are those of SQLAlchemy.
    """
    ours, theirs = split_query(parts, _SERVER)
    if not scheme.startswith(_PREFIX):
        parameters(parts, {**_SERVER, **dict.fromkeys(_MYSQL, str)})  # raises if one is unknown
    keywords = parameters(parts._replace(query=ours), _SERVER)
    url = f"{scheme.removeprefix(_PREFIX)}://{parts.netloc}{parts.path}"
    return SQLAlchemyStore(f"{url}?{theirs}" if theirs else url, **keywords)


def _django(parts: SplitResult) -> DjangoStore:
    if parts.path or "@" in parts.netloc:
        raise ConfigError(
            "a django: URL needs a key of DATABASES only. Example: 'django://default'"
        )
    known = {name: _SERVER[name] for name in ("table", "max_session_size", "interval")}
    return DjangoStore(parts.netloc or "default", **parameters(parts, known))


def _size(text: str) -> str | None:
    return None if text.lower() == "none" else text
