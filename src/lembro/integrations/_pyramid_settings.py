"""Read Pyramid's settings that begin with ``lembro.``. From an ini file they are text."""

from __future__ import annotations

import difflib
from collections.abc import Callable, Mapping
from typing import Any, Final

from .._hints import not_needed, translated
from ..errors import ConfigError
from ..options import CookieOptions
from ..stores.memory import MemoryStore
from ._adapter import SessionManager, manager_of

Reader = Callable[[str], Any]

_TRUE: Final = ("true", "yes", "on", "1")
_FALSE: Final = ("false", "no", "off", "0")


def _number(text: str) -> float:
    return int(text) if text.lstrip("-").isdecimal() else float(text)


def _none_or(read: Reader) -> Reader:
    return lambda text: None if text.lower() in ("", "none") else read(text)


def _boolean(text: str) -> bool:
    if text.lower() not in (*_TRUE, *_FALSE):
        raise ValueError
    return text.lower() in _TRUE


def _secure(text: str) -> bool | str:
    return "auto" if text.lower() == "auto" else _boolean(text)


def _lines(text: str) -> list[str]:
    return [line.strip() for line in text.splitlines() if line.strip()]


_SECONDS: Final = "seconds, for example 28800"
_BOOLEAN: Final = "true or false"

_STORE: Final[dict[str, tuple[Reader, str]]] = {
    "max_size": (str, "a size, for example 64M"),
    "interval": (_number, _SECONDS),
    "max_session_size": (_none_or(str), "a size, for example 1M"),
    "reduce_to": (float, "a share, for example 0.75"),
    "snapshot": (_none_or(str), "a path, for example /var/lib/app/sessions.bin"),
    "snapshot_max_age": (_number, _SECONDS),
}
_OPTIONS: Final[dict[str, tuple[Reader, str]]] = {
    "idle_timeout": (_number, _SECONDS),
    "absolute_timeout": (_none_or(_number), f"{_SECONDS}, or none"),
    "remember_timeout": (_none_or(_number), f"{_SECONDS}, or none"),
    "anonymous_idle_timeout": (_none_or(_number), f"{_SECONDS}, or none"),
    "passive": (_lines, "one path prefix per line"),
    "secret": (_none_or(_lines), "one secret per line"),
    "rotation_grace": (_number, _SECONDS),
    "max_sessions_per_user": (_none_or(int), "a whole number, or none"),
    "at_max_sessions": (str, "oldest or refuse"),
    "store_address": (_boolean, _BOOLEAN),
}
_EXCLUDE: Final[tuple[Reader, str]] = (_lines, "one path prefix per line")
_COOKIE: Final[dict[str, tuple[Reader, str]]] = {
    "cookie.name": (str, "a name, for example sid"),
    "cookie.prefix": (_none_or(str.lower), "auto, host, secure or none"),
    "cookie.path": (str, "a path, for example /"),
    "cookie.domain": (_none_or(str), "a host name"),
    "cookie.secure": (_secure, "auto, true or false"),
    "cookie.httponly": (_boolean, _BOOLEAN),
    "cookie.samesite": (str.lower, "lax, strict or none"),
    "cookie.partitioned": (_boolean, _BOOLEAN),
    "cookie.max_age": (_none_or(_number), f"{_SECONDS}, or none"),
}
_OBJECTS: Final = ("manager", "store", "options", "cookie", "describe", "migrate_from")
_KNOWN: Final = {**_STORE, **_OPTIONS, **_COOKIE, "exclude": _EXCLUDE}
_NAMES: Final = (*_KNOWN, *_OBJECTS)


def read_settings(settings: Mapping[str, Any]) -> tuple[SessionManager, Any]:
    """Read the settings.

    Returns:
        The manager that they describe, and ``exclude``.

    Raises:
        ConfigError: a setting is unknown, or cannot work.
    """
    given = {
        name.removeprefix("lembro."): _read(name, value)
        for name, value in settings.items()
        if isinstance(name, str) and name.startswith(("lembro.", "lembro_"))
    }
    exclude = given.pop("exclude", ())
    manager = given.pop("manager", None)
    if manager is not None and given:
        raise ConfigError(
            f"{', '.join(f'lembro.{name}' for name in given)} cannot be given together with "
            f"lembro.manager: give these to the SessionManager, or leave lembro.manager out"
        )
    cookie = {name[7:]: given.pop(name) for name in _COOKIE if name in given}
    if cookie:
        if "cookie" in given:
            raise ConfigError(
                "lembro.cookie cannot be given together with lembro.cookie.*: leave one of them out"
            )
        given["cookie"] = CookieOptions(**cookie)
    store, options = given.pop("store", None), given.pop("options", None)
    of_store = {name: given.pop(name) for name in _STORE if name in given}
    if of_store:
        if store is not None:
            raise ConfigError(
                f"lembro.{next(iter(of_store))} cannot be given together with lembro.store: give "
                f"it to the store"
            )
        store = MemoryStore(**of_store)
    return manager_of(manager, store, options, given), exclude


def _read(name: str, value: Any) -> Any:
    short = name.removeprefix("lembro.")
    if short in _OBJECTS:
        if isinstance(value, str) and short != "store":  # a store has a URL
            raise ConfigError(f"{name} must be an object, which you set in Python, got {value!r}")
        return value
    if short not in _KNOWN:
        word = short.removeprefix("lembro_")
        near = difflib.get_close_matches(translated(word), _NAMES, 1, 0.4)
        meant = f"; did you mean lembro.{near[0]}?" if near else ""
        raise ConfigError(
            f"there is no setting {name!r}{not_needed(word) or meant} "
            f"(settings: {', '.join(f'lembro.{known}' for known in _NAMES)})"
        )
    if not isinstance(value, str):
        return value
    read, allowed = _KNOWN[short]
    try:
        return read(value.strip())
    except ValueError:
        raise ConfigError(f"{name} must be {allowed}, got {value!r}") from None
