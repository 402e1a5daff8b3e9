"""The SessionManager of Django's settings: ``LEMBRO`` and ``SESSION_*``."""

from __future__ import annotations

import difflib
import threading
from collections.abc import Callable, Mapping
from dataclasses import fields
from http.cookies import Morsel
from typing import Any, Final

from django.conf import settings
from django.core.signals import setting_changed
from django.utils.module_loading import import_string

from ..._hints import STORE_NAMES, not_needed, translated
from ...errors import ConfigError
from ...options import (
    DAY,
    CookieOptions,
    SessionOptions,
    exact_cookie,
    from_keywords,
    option_names,
    seconds,
)
from ...stores import MemoryStore, store_of
from .._adapter import SessionManager, manager_of, path_prefixes, runner_of

_STORE_KEYS: Final = {name.upper(): name for name in STORE_NAMES}
_OPTION_KEYS: Final = {name.upper(): name for name in option_names()}
_COOKIE_KEYS: Final = {field.name.upper(): field.name for field in fields(CookieOptions)}
KEYS: Final = (*_STORE_KEYS, "STORE", "MANAGER", "OPTIONS", "EXCLUDE", "USER_ID", *_OPTION_KEYS)
"""The keys of LEMBRO."""

_lock: Final = threading.RLock()
_manager: SessionManager | None = None
_exclude: tuple[str, ...] = ()
_user_id: Callable[[str], str] = str
_store: Any = None  # kept when SESSION_* change


def get_manager() -> SessionManager:
    """Return the manager of this project's sessions: ``get_manager().user_sessions(user.pk)``.

    Raises:
        ConfigError: A setting cannot work.
    """
    return _manager or _made()


def get_exclude() -> tuple[str, ...]:
    """Return the path prefixes without a session: ``LEMBRO["EXCLUDE"]``."""
    get_manager()
    return _exclude


def user_id_of(pk: object) -> str:
    """Return the user ID of the sessions of the user with this primary key.

    It is the key as text, or the result of the function ``LEMBRO["USER_ID"]``.
    """
    get_manager()
    return _user_id(str(pk))


def _made() -> SessionManager:
    global _manager, _exclude, _user_id  # noqa: PLW0603 - one for each process, like the settings
    with _lock:  # so that concurrent first requests share one store
        if _manager is None:
            _exclude = exclude_from(settings)
            _user_id = _user_id_from(settings)
            manager = manager_from(settings)
            _check_name(manager.options.cookie.name)
            runner = runner_of(manager)
            if not runner.is_async:  # else the middleware opens the store, in the event loop
                runner.open_permanently()
            runner.lifecycle.writer.id_of = runner.cookie.short_id
            _manager = manager
        return _manager


def manager_from(settings: Any) -> SessionManager:
    """Make the manager from these settings. Its store is made once."""
    global _store  # noqa: PLW0603
    given = _given(settings)
    given.pop("EXCLUDE", None)
    given.pop("USER_ID", None)
    manager = given.pop("MANAGER", None)
    if manager is not None:
        if given:
            raise ConfigError(
                f"{', '.join(given)} cannot be given together with LEMBRO['MANAGER']. Give these "
                f"options to the SessionManager, or leave MANAGER out"
            )
        return manager_of(_imported("MANAGER", manager), None, None, {})
    options = options_from(settings, given)
    if _store is None:
        _store = store_from(given)
    return SessionManager(_store, options)


def exclude_from(settings: Any) -> tuple[str, ...]:
    """Return the path prefixes without a session."""
    given = _given(settings)
    try:
        return path_prefixes(given.get("EXCLUDE", ()))
    except ConfigError as error:
        raise ConfigError(f"LEMBRO['EXCLUDE']: {error}") from None


def _user_id_from(settings: Any) -> Callable[[str], str]:
    """Return the function of LEMBRO that makes a user ID of a primary key."""
    function: Callable[[str], str] = _imported("USER_ID", _given(settings).get("USER_ID", str))
    if not callable(function):
        raise ConfigError(
            f"LEMBRO['USER_ID'] must be a function of a primary key, or the dotted path to one, "
            f'got {function!r}. Example: "shop.tenants.user_id"'
        )
    return function


def _check_name(name: str) -> None:
    """Check that Django can send the cookie: http.cookies refuses the names of attributes."""
    if Morsel().isReservedKey(name):
        raise ConfigError(
            f"the cookie's name must not be the name of a cookie attribute, got {name!r}. "
            f'Example: SESSION_COOKIE_NAME = "sessionid"'
        )


def store_from(given: Mapping[str, Any]) -> Any:
    """Return the store of LEMBRO, that of the environment, or a new MemoryStore."""
    keywords = {name: given[key] for key, name in _STORE_KEYS.items() if key in given}
    if "STORE" not in given:
        return MemoryStore(**keywords) if keywords else store_of(None)
    if keywords:
        raise ConfigError(
            f"{', '.join(key for key in _STORE_KEYS if key in given)} cannot be given together "
            f"with LEMBRO['STORE']. Give these options to the store"
        )
    named = given["STORE"]
    if isinstance(named, str) and ":" in named:  # a dotted path has no colon
        return store_of(named)
    store = _imported("STORE", named)
    if not isinstance(store, type):
        return store
    try:
        return store()
    except TypeError as error:
        raise ConfigError(
            f"LEMBRO['STORE'] must be a store, or a class that needs no arguments, got "
            f"{given['STORE']!r} ({error})"
        ) from None


def options_from(settings: Any, given: Mapping[str, Any]) -> SessionOptions:
    """Return the options. A key of LEMBRO overrides its OPTIONS, and these override SESSION_*."""
    base = given.get("OPTIONS")
    if base is not None and not isinstance(base, SessionOptions):
        raise ConfigError(
            f"LEMBRO['OPTIONS'] must be SessionOptions, got {base!r}. Example: "
            f"SessionOptions.aal2()"
        )
    options = {name: given[key] for key, name in _OPTION_KEYS.items() if key in given}
    if base is None:
        if "idle_timeout" not in options:
            options["idle_timeout"] = _cookie_age(settings.SESSION_COOKIE_AGE)
        age = seconds("idle_timeout", options["idle_timeout"])
        options.setdefault("absolute_timeout", max(age, 30 * DAY))
        idle = options["idle_timeout"]
    else:
        idle = options.get("idle_timeout", base.idle_timeout)
    if "cookie" not in options and (base is None or base.cookie == CookieOptions()):
        options["cookie"] = _cookie_from(settings, idle)
    return from_keywords(options, base)


def _cookie_age(age: Any) -> Any:
    try:
        seconds("SESSION_COOKIE_AGE", age)
    except ConfigError:
        raise ConfigError(
            f"SESSION_COOKIE_AGE must be seconds, more than 0, got {age!r}. Example: 28800"
        ) from None
    return age


def _cookie_from(settings: Any, age: Any) -> CookieOptions:
    samesite = settings.SESSION_COOKIE_SAMESITE
    if not isinstance(samesite, str):
        raise ConfigError(
            f'SESSION_COOKIE_SAMESITE must be "Lax", "Strict" or "None", got {samesite!r}. Without '
            f'the attribute, browsers differ. Example: SESSION_COOKIE_SAMESITE = "Lax"'
        )
    return exact_cookie(  # Django's test client and other code read the cookie by this name
        {
            "name": settings.SESSION_COOKIE_NAME,
            "path": settings.SESSION_COOKIE_PATH,
            "domain": settings.SESSION_COOKIE_DOMAIN,
            # With False, Django's default, the cookie is Secure over https only.
            "secure": _boolean(settings, "SESSION_COOKIE_SECURE") or "auto",
            "httponly": _boolean(settings, "SESSION_COOKIE_HTTPONLY"),
            "samesite": samesite.lower(),
            "max_age": None if _boolean(settings, "SESSION_EXPIRE_AT_BROWSER_CLOSE") else age,
        }
    )


def _boolean(settings: Any, name: str) -> bool:
    """Return a setting that is on or off. A str, as from the environment, would always be on."""
    value = getattr(settings, name)
    if isinstance(value, str):
        raise ConfigError(f"{name} must be True or False, without quotes, got {value!r}")
    return bool(value)


def _given(settings: Any) -> dict[str, Any]:
    given = getattr(settings, "LEMBRO", {})
    if not isinstance(given, Mapping) or not all(isinstance(key, str) for key in given):
        raise ConfigError(
            f'LEMBRO must be a dict with str keys, got {given!r}. Example: {{"MAX_SIZE": "64M"}}'
        )
    for key in given:
        if key not in KEYS:
            raise ConfigError(
                f"LEMBRO has no key {key!r}{_meant(key)}. Its keys are {', '.join(KEYS)}"
            )
    return dict(given)


def _meant(key: str) -> str:
    """Return the end of the error for an unknown key: the fix."""
    plain = {known.replace("_", ""): known for known in (*_COOKIE_KEYS, *KEYS)}
    if reason := not_needed(key):
        return reason
    word = translated(key).upper().replace("-", "").replace("_", "")
    near = [plain[word]] if word in plain else difflib.get_close_matches(key.upper(), KEYS, 1, 0.5)
    if not near:
        return ""
    if near[0] in KEYS:
        return f"; write {near[0]!r}"
    return f"; write 'COOKIE': CookieOptions({_COOKIE_KEYS[near[0]]}=...)"


def _imported(key: str, value: Any) -> Any:
    """Return the object of a dotted path, as elsewhere in Django's settings."""
    if not isinstance(value, str):
        return value
    try:
        return import_string(value)
    except ImportError as error:
        raise ConfigError(f"LEMBRO[{key!r}]={value!r} cannot be imported: {error}") from error


def forget(*, store: bool = True) -> None:
    """Read the settings again at the next use.

    Args:
        store: Whether the store, with its sessions, is dropped too.
    """
    global _manager, _store  # noqa: PLW0603
    with _lock:
        _manager = None
        if store:
            _store = None


def _changed(*, setting: str, **_: Any) -> None:
    """Follow a setting that a test overrides. The sessions stay, unless LEMBRO itself changes."""
    if setting == "LEMBRO" or setting.startswith("SESSION_"):
        forget(store=setting == "LEMBRO")


setting_changed.connect(_changed)
