"""What Flask and Quart have in ``app.config``, as lembro's options."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import timedelta
from typing import Any, Final

from .._log import log
from ..errors import ConfigError
from ..manager import SessionManager, manager_of
from ..options import (
    DAY,
    CookieOptions,
    OptionKeywords,
    SessionOptions,
    exact_cookie,
    from_keywords,
    meant_option,
    option_names,
    seconds,
)
from ..stores.base import AsyncStore, Store
from ..stores.memory import MemoryStore

Config = Mapping[str, Any]

COOKIE: Final[dict[str, tuple[str, Any]]] = {
    "name": ("SESSION_COOKIE_NAME", "session"),
    "domain": ("SESSION_COOKIE_DOMAIN", None),
    "path": ("SESSION_COOKIE_PATH", None),
    "httponly": ("SESSION_COOKIE_HTTPONLY", True),
    "secure": ("SESSION_COOKIE_SECURE", False),
    "partitioned": ("SESSION_COOKIE_PARTITIONED", False),
    "samesite": ("SESSION_COOKIE_SAMESITE", None),
}
"""Each option of the cookie: its name in the configuration, and the framework's default, which
stands for lembro's."""

MAX_SIZE: Final = "LEMBRO_MAX_SIZE"
"""The one name in the configuration that is lembro's own: the framework has none for it."""

LIFETIME: Final = timedelta(days=31)  # the frameworks' default

_ELSEWHERE: Final = (
    "SESSION_TYPE",
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
"""Beginnings of what Flask-Session and Quart-Session have, and lembro has no use for."""


def manager_from(
    config: Config,
    manager: SessionManager | None,
    store: Store | AsyncStore | None,
    given: OptionKeywords,
) -> SessionManager:
    """The manager of an application: the one that it was given, or one of its configuration. What
    was given and what is configured must not contradict each other. Raises ConfigError."""
    _tell_what_is_not_used(config)
    store = _store(config, manager, store)
    wanted = _wanted(config)
    if manager is not None:
        manager = manager_of(manager, store, given)
        _compare(wanted, _plain(manager.options), "the SessionManager")
        return manager
    plain = _plain(checked(given))
    _compare(wanted, {name: plain[name] for name in _names(given)}, "Lembro(...)")
    options: dict[str, Any] = {name: value for name, (_, value) in wanted.items()}
    cookie = {name: options.pop(name) for name in (*COOKIE, "max_age") if name in options}
    options.update(given)
    _choose_lifetimes(options)
    try:
        if cookie and "cookie" not in given:
            options["cookie"] = exact_cookie(cookie)
        return manager_of(None, store, options)
    except ConfigError as error:
        keys = ", ".join(key for key, _ in wanted.values())
        raise ConfigError(f"{error} (app.config has {keys})" if keys else str(error)) from None


def _store(
    config: Config, manager: SessionManager | None, store: Store | AsyncStore | None
) -> Store | AsyncStore | None:
    """The store that was given, or one of the configured size. Raises ConfigError, also for what
    else in the configuration looks like lembro's."""
    for key in config:
        if key.startswith("LEMBRO_") and key != MAX_SIZE:
            meant = meant_option(key.removeprefix("LEMBRO_").lower(), option_names())
            if meant.endswith("(max_size=...)"):
                meant = f"; did you mean {MAX_SIZE}?"
            raise ConfigError(
                f"no setting {key!r}{meant} (there is {MAX_SIZE}; the keywords of Lembro(app, ...) "
                f"are store, {', '.join(option_names())})"
            )
    max_size = config.get(MAX_SIZE)
    if max_size is None:
        return store
    if manager is not None or store is not None:
        raise ConfigError(
            f"app.config has {MAX_SIZE}={max_size!r}, but Lembro(...) was given a store: leave one "
            f"of them out"
        )
    try:
        return MemoryStore(max_size)
    except ConfigError as error:
        raise ConfigError(f"{error} (app.config has {MAX_SIZE})") from None


def checked(given: OptionKeywords) -> SessionOptions:
    """What was given, without the configuration, which may have the one timeout to the other.
    Raises ConfigError."""
    absolute = given.get("absolute_timeout")
    if absolute is not None:
        seconds("absolute_timeout", absolute)
    both = {"idle_timeout", "absolute_timeout"} <= given.keys()
    return from_keywords(given if both else {**given, "absolute_timeout": None})


def _names(given: OptionKeywords) -> set[str]:
    """What these options set, of those that can be configured too."""
    names = {"idle_timeout", "secret"} & given.keys()
    return names | {*COOKIE, "names", "max_age"} if "cookie" in given else names


def _wanted(config: Config) -> dict[str, tuple[str, Any]]:
    """What the configuration sets to something else than the framework's default: the option, by
    what name it is set, and to what."""
    wanted: dict[str, tuple[str, Any]] = {}
    for option, (key, default) in COOKIE.items():
        value = config.get(key, default)
        if value != default and not (value is False and default is None):  # False: none, in Quart
            wanted[option] = (key, value)
    if "samesite" in wanted:  # Flask has "Lax"
        key, value = wanted["samesite"]
        wanted["samesite"] = (key, str(value).lower())
    root = config.get("APPLICATION_ROOT")
    if "path" not in wanted and root not in (None, "/"):
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
    """Text, as from the environment, would be on whatever it says."""
    value = config.get(key)
    if isinstance(value, str):
        raise ConfigError(f"{key}={value!r}: write True or False, without quotes")
    return bool(value)


def _secrets(config: Config) -> tuple[str, ...]:
    keys = [config.get("SECRET_KEY"), *(config.get("SECRET_KEY_FALLBACKS") or ())]
    if not keys[0]:
        raise ConfigError(
            "SESSION_USE_SIGNER=True signs the cookie with SECRET_KEY, and there is none: set one, "
            "or leave SESSION_USE_SIGNER out, since an id cannot be guessed"
        )
    return tuple(key.decode("latin-1") if isinstance(key, bytes) else key for key in keys)


def _choose_lifetimes(options: dict[str, Any]) -> None:
    """The idle timeout is the configured lifetime, and the absolute one no shorter."""
    absolute = options.get("absolute_timeout")
    if "idle_timeout" not in options:
        idle = LIFETIME.total_seconds()
        if absolute is not None:
            idle = min(idle, seconds("absolute_timeout", absolute))
        options["idle_timeout"] = idle
    if "absolute_timeout" not in options:
        idle = seconds("idle_timeout", options["idle_timeout"])
        options["absolute_timeout"] = max(idle, 30 * DAY)


def _compare(wanted: Mapping[str, tuple[str, Any]], chosen: Mapping[str, Any], who: str) -> None:
    for option, (key, value) in wanted.items():
        if option == "name" and value in chosen.get("names", ()):
            continue
        if option in chosen and chosen[option] != value:
            shown = "..." if option == "secret" else f"{chosen[option]!r}"
            raise ConfigError(
                f"app.config has {key}={'...' if option == 'secret' else repr(value)}, but {who} "
                f"has {option}={shown}: leave one of them out, or make them say the same"
            )


def _plain(options: SessionOptions) -> dict[str, Any]:
    return {
        "idle_timeout": seconds("idle_timeout", options.idle_timeout),
        "secret": options.secret,
        **_plain_cookie(options.cookie),
    }


def _plain_cookie(cookie: CookieOptions) -> dict[str, Any]:
    age = cookie.max_age
    plain = {option: getattr(cookie, option) for option in COOKIE}
    names = (cookie.name, cookie.name_over(https=False), cookie.name_over(https=True))
    return {
        **plain,
        "names": names,
        "max_age": None if age is None else seconds("max_age", age),
    }


def _tell_what_is_not_used(config: Config) -> None:
    names: Sequence[str] = [
        key for key, value in config.items() if key.startswith(_ELSEWHERE) and value is not None
    ]
    if names:
        log.warning(
            "app.config has %s, which lembro does not use: sessions are in the store that Lembro "
            "was given",
            ", ".join(sorted(names)),
        )
    if config.get("SESSION_REFRESH_EACH_REQUEST") is False:
        log.warning(
            "app.config has SESSION_REFRESH_EACH_REQUEST=False, which lembro does not use: a "
            "session that is used lives on. To end it after some time all the same, give "
            "absolute_timeout"
        )
