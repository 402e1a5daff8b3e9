"""Read the session settings of Flask, Quart and Flask-Session as lembro's options."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import timedelta
from typing import Any, Final

from .._log import log
from ..errors import ConfigError
from ..options import seconds

__all__ = ["COOKIE", "LIFETIME", "Config", "Wanted", "framework_settings", "warn_of_unused"]

Config = Mapping[str, Any]
Wanted = Mapping[str, tuple[str, Any]]
"""The options that the framework's settings set: for each, the setting and its value."""

COOKIE: Final[dict[str, tuple[str, Any]]] = {
    "name": ("SESSION_COOKIE_NAME", "session"),
    "domain": ("SESSION_COOKIE_DOMAIN", None),
    "path": ("SESSION_COOKIE_PATH", None),
    "httponly": ("SESSION_COOKIE_HTTPONLY", True),
    "secure": ("SESSION_COOKIE_SECURE", False),
    "partitioned": ("SESSION_COOKIE_PARTITIONED", False),
    "samesite": ("SESSION_COOKIE_SAMESITE", None),
}
"""The options of the cookie: for each, the setting, and the framework's default, for which lembro's
default is used."""

LIFETIME: Final = timedelta(days=31)
"""The frameworks' default of ``PERMANENT_SESSION_LIFETIME``."""

_UNUSED: Final = (
    "SESSION_TYPE",
    "SESSION_ID_LENGTH",
    "SESSION_KEY_PREFIX",
    "SESSION_SERIALIZATION_FORMAT",
    "SESSION_CLEANUP_N_REQUESTS",
    "SESSION_REDIS",
    "SESSION_MEMCACHED",
    "SESSION_CACHELIB",
    "SESSION_FILE_",
    "SESSION_MONGODB",
    "SESSION_SQLALCHEMY",
    "SESSION_DYNAMODB",
    "SESSION_URI",
)
"""Prefixes of settings of Flask-Session and Quart-Session that lembro does not use."""


def framework_settings(config: Config) -> Wanted:
    """Return the framework's settings that differ from their defaults."""
    wanted: dict[str, tuple[str, Any]] = {}
    for option, (key, default) in COOKIE.items():
        value = config.get(key, default)
        if not value and default is None:  # False is Quart's default where Flask has None
            continue
        if value != default:
            wanted[option] = (key, value)
    if "samesite" in wanted:  # Flask writes "Lax"
        key, value = wanted["samesite"]
        wanted["samesite"] = (key, str(value).lower())
    root = config.get("APPLICATION_ROOT")
    if "path" not in wanted and root not in (None, "", "/"):
        wanted["path"] = ("APPLICATION_ROOT", root)
    lifetime = config.get("PERMANENT_SESSION_LIFETIME", LIFETIME)
    idle = seconds("PERMANENT_SESSION_LIFETIME", lifetime)
    if idle != LIFETIME.total_seconds():
        wanted["idle_timeout"] = ("PERMANENT_SESSION_LIFETIME", idle)
    if _is_on(config, "SESSION_PERMANENT"):
        wanted["max_age"] = ("SESSION_PERMANENT", idle)
    if _is_on(config, "SESSION_USE_SIGNER"):
        wanted["secret"] = ("SESSION_USE_SIGNER", _secrets(config))
    return wanted


def _is_on(config: Config, key: str) -> bool:
    """Return whether a setting is True. Refuse a str, because it would always be true."""
    value = config.get(key)
    if isinstance(value, str):
        raise ConfigError(f"{key} must be True or False, without quotes, got {value!r}")
    return bool(value)


def _secrets(config: Config) -> tuple[str, ...]:
    keys = [config.get("SECRET_KEY"), *(config.get("SECRET_KEY_FALLBACKS") or ())]
    if not keys[0]:
        raise ConfigError(
            "SESSION_USE_SIGNER=True needs a SECRET_KEY, which signs the cookie. Set one, or leave "
            "SESSION_USE_SIGNER out, because a session ID cannot be guessed"
        )
    return tuple(key.decode("latin-1") if isinstance(key, bytes) else key for key in keys)


def warn_of_unused(config: Config) -> None:
    """Warn of settings that lembro does not use."""
    names: Sequence[str] = [
        key for key, value in config.items() if key.startswith(_UNUSED) and value is not None
    ]
    if names:
        log.warning(
            "lembro: app.config has %s, which lembro does not use. The sessions are in the store "
            "of Lembro(...): remove these settings",
            ", ".join(sorted(names)),
        )
    if config.get("SESSION_REFRESH_EACH_REQUEST") is False:
        log.warning(
            "lembro: app.config has SESSION_REFRESH_EACH_REQUEST=False, which lembro does not use, "
            "because using a session extends it. To limit its lifetime, set LEMBRO_ABSOLUTE_TIMEOUT"
        )
