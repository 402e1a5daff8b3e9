"""The SessionManager that Django's settings describe: ``LEMBRO``, and ``SESSION_*``."""

from __future__ import annotations

import threading
from collections.abc import Mapping
from functools import partial
from http.cookies import Morsel
from typing import Any, Final

from django.conf import settings
from django.core.signals import setting_changed
from django.utils.module_loading import import_string

from ...errors import ConfigError
from ...manager import SessionManager, manager_of
from ...options import (
    DAY,
    STORE_NAMES,
    CookieOptions,
    check_names,
    exact_cookie,
    from_keywords,
    option_names,
    seconds,
)
from ...stores.memory import MemoryStore
from .lifetimes import idle_of

_lock: Final = threading.RLock()
_manager: SessionManager | None = None
_store: Any = None  # outlives a change of SESSION_*


def get_manager() -> SessionManager:
    """The manager of this project's sessions: ``get_manager().of_user(str(user.pk))``.

    Raises ConfigError for settings that cannot work.
    """
    return _manager or _made()


def _made() -> SessionManager:
    global _manager  # noqa: PLW0603 - one a process, as the settings are
    with _lock:  # two first requests at the same time have one store
        if _manager is None:
            manager = manager_from(settings)
            _check_name(manager.options.cookie.name)
            if not manager._store_is_async:  # else the middleware does, in the loop
                manager.start_for_good()
            manager._idle_of = partial(idle_of, manager.core.writer.idle)
            _manager = manager
        return _manager


def manager_from(settings: Any) -> SessionManager:
    """The manager of these settings; its store is made once."""
    global _store  # noqa: PLW0603
    given = _given(settings)
    check_names(given, [*STORE_NAMES, "store", "manager", *option_names()])
    manager = given.pop("manager", None)
    if manager is not None:
        if given:
            raise ConfigError(
                f"LEMBRO has {', '.join(given)} beside a SessionManager: give these to the manager"
            )
        return manager_of(_imported("manager", manager), None, {})
    options = options_from(settings, given)
    if _store is None:
        _store = store_from(given)
    return SessionManager(_store, from_keywords(options))


def _check_name(name: str) -> None:
    """Django's cookies are those of http.cookies, which cannot have the name of an attribute."""
    if Morsel().isReservedKey(name):
        raise ConfigError(
            f"cookie name {name!r}: that is an attribute of cookies; give another, for "
            f'example SESSION_COOKIE_NAME="sessionid"'
        )


def store_from(given: Mapping[str, Any]) -> Any:
    """The store that LEMBRO asks for."""
    own = {name: given[name] for name in STORE_NAMES if name in given}
    if "store" not in given:
        return MemoryStore(**own)
    if own:
        raise ConfigError(f"LEMBRO has {', '.join(own)} beside a store: give these to the store")
    store = _imported("store", given["store"])
    if not isinstance(store, type):
        return store
    try:
        return store()
    except TypeError as error:
        raise ConfigError(
            f"LEMBRO['store']={given['store']!r} cannot be made without arguments ({error}): give "
            f"the store itself, or the path to one"
        ) from None


def options_from(settings: Any, given: Mapping[str, Any]) -> dict[str, Any]:
    """The keywords of SessionOptions: what LEMBRO says, else what SESSION_* do."""
    options: dict[str, Any] = {
        name: value for name, value in given.items() if name != "store" and name not in STORE_NAMES
    }
    if "idle_timeout" not in options:
        options["idle_timeout"] = _cookie_age(settings.SESSION_COOKIE_AGE)
    age = seconds("idle_timeout", options["idle_timeout"])
    options.setdefault("absolute_timeout", max(age, 30 * DAY))
    if "cookie" not in options:
        options["cookie"] = _cookie_from(settings, options["idle_timeout"])
    return options


def _cookie_age(age: Any) -> Any:
    try:
        seconds("SESSION_COOKIE_AGE", age)
    except ConfigError:
        raise ConfigError(
            f"SESSION_COOKIE_AGE={age!r}: give seconds, more than 0, for example 28800"
        ) from None
    return age


def _cookie_from(settings: Any, age: Any) -> CookieOptions:
    samesite = settings.SESSION_COOKIE_SAMESITE
    if not isinstance(samesite, str):
        raise ConfigError(
            f'SESSION_COOKIE_SAMESITE={samesite!r}: write "Lax", "Strict" or "None"; without the '
            f"attribute browsers differ"
        )
    return exact_cookie(  # Django's test client and other code read the cookie by this name
        {
            "name": settings.SESSION_COOKIE_NAME,
            "path": settings.SESSION_COOKIE_PATH,
            "domain": settings.SESSION_COOKIE_DOMAIN,
            # Django's default is False, "not only over https"; it is set over https all the same.
            "secure": _boolean(settings, "SESSION_COOKIE_SECURE") or "auto",
            "httponly": _boolean(settings, "SESSION_COOKIE_HTTPONLY"),
            "samesite": samesite.lower(),
            "max_age": None if _boolean(settings, "SESSION_EXPIRE_AT_BROWSER_CLOSE") else age,
        }
    )


def _boolean(settings: Any, name: str) -> bool:
    """A setting that is on or off. Text, as from the environment, would be on whatever it says."""
    value = getattr(settings, name)
    if isinstance(value, str):
        raise ConfigError(f"{name}={value!r}: write True or False, without quotes")
    return bool(value)


def _given(settings: Any) -> dict[str, Any]:
    given = getattr(settings, "LEMBRO", {})
    if not isinstance(given, Mapping) or not all(isinstance(name, str) for name in given):
        raise ConfigError(f'LEMBRO={given!r}: write a dict, for example {{"max_size": "64M"}}')
    return dict(given)


def _imported(name: str, value: Any) -> Any:
    """What a dotted path leads to, as anywhere in Django's settings."""
    if not isinstance(value, str):
        return value
    try:
        return import_string(value)
    except ImportError as error:
        raise ConfigError(f"LEMBRO[{name!r}]={value!r} cannot be imported: {error}") from error


def forget(*, store: bool = True) -> None:
    """Read the settings again at the next use."""
    global _manager, _store  # noqa: PLW0603
    with _lock:
        _manager = None
        if store:
            _store = None


def _changed(*, setting: str, **_: Any) -> None:
    """Tests override settings; the sessions stay, unless LEMBRO itself is another."""
    if setting == "LEMBRO" or setting.startswith("SESSION_"):
        forget(store=setting == "LEMBRO")


setting_changed.connect(_changed)
