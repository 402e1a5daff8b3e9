"""Read lembro's options from the arguments and from ``app.config`` of Flask and Quart.

There are three sources: the arguments of ``Lembro(...)``, the settings ``LEMBRO_...``, and the
framework's own settings (``SESSION_COOKIE_...``, ``PERMANENT_SESSION_LIFETIME``, and two of
Flask-Session's). Two sources may set the same option, but only to the same value.
"""

from __future__ import annotations

import dataclasses
import difflib
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import timedelta
from typing import Any, Final, NamedTuple, cast

from .._hints import STORE_NAMES, not_needed, translated
from ..errors import ConfigError
from ..options import (
    DAY,
    CookieOptions,
    SessionOptions,
    exact_cookie,
    from_keywords,
    option_names,
    seconds,
)
from ..stores.base import AsyncStore, Store
from ..stores.memory import MemoryStore
from ._adapter import SessionManager, manager_of, path_prefixes
from ._flask_settings import (
    COOKIE,
    LIFETIME,
    Config,
    Wanted,
    framework_settings,
    warn_of_unused,
)

__all__ = ["FOLLOW", "Given", "check", "sessions_from"]


class Given(NamedTuple):
    """The arguments of ``Lembro(...)``."""

    manager: SessionManager | None
    store: Store | AsyncStore | str | None
    options: SessionOptions | None
    exclude: tuple[str, ...]
    keywords: Mapping[str, Any]


_PREFIX: Final = "LEMBRO_"
_STORE: Final = "LEMBRO_STORE"
_MAX_SIZE: Final = "LEMBRO_MAX_SIZE"
_EXCLUDE: Final = "LEMBRO_EXCLUDE"
_OPTIONS: Final = "LEMBRO_OPTIONS"
FOLLOW: Final = "LEMBRO_FOLLOW_FLASK_LOGIN"
"""The setting that is False if the logins of Flask-Login are not lembro's logins."""


# -- the arguments ---------------------------------------------------------------------------------


def check(given: Given) -> None:
    """Check the arguments alone, before the application is configured.

    Raises:
        ConfigError: an argument cannot work.
    """
    if given.manager is not None:
        manager_of(given.manager, given.store, given.options, given.keywords)
        return
    if given.options is not None:
        _check_options("options", given.options)
    _partial(given.keywords)


def _check_options(name: str, options: object) -> None:
    if not isinstance(options, SessionOptions):
        raise ConfigError(
            f"{name} must be SessionOptions, got {options!r}. Example: SessionOptions.aal2()"
        )


def _partial(keywords: Mapping[str, Any]) -> SessionOptions:
    """Make options of keywords only: ``app.config`` may add the other timeout."""
    absolute = keywords.get("absolute_timeout")
    if absolute is not None:
        seconds("absolute_timeout", absolute)
    both = {"idle_timeout", "absolute_timeout"} <= keywords.keys()
    return from_keywords(keywords if both else {**keywords, "absolute_timeout": None})


# -- the arguments and the configuration -----------------------------------------------------------


def sessions_from(config: Config, given: Given) -> tuple[SessionManager, tuple[str, ...]]:
    """Return the manager of an application, and the path prefixes without a session.

    Raises:
        ConfigError: a setting cannot work, or contradicts another or an argument.
    """
    warn_of_unused(config)
    fields = _fields(config)
    exclude = _exclude_from(config, given)
    store = _store_from(config, given)
    options = _options_from(config, given)
    wanted = framework_settings(config)
    if given.manager is not None:
        held = given.manager.options
        _agree(fields, {name: getattr(held, name) for name in fields}, "the SessionManager")
        if options is not None and _plain_fields(options) != _plain_fields(held):
            raise _contradiction(_OPTIONS, options, "the SessionManager", "options", held)
        _compare(wanted, _plain(held), "the SessionManager")
        return given.manager, exclude
    _agree(fields, given.keywords, "Lembro(...)")
    with _naming([_setting(name) for name in fields]):
        _partial(fields)
    keywords: dict[str, Any] = {}
    for who, source in (
        ("the SessionOptions", _changed(options)),
        ("", fields),
        ("Lembro(...)", given.keywords),
    ):
        plain = _plain(_partial(source))
        _compare(wanted, {name: plain[name] for name in _comparable(source)}, who)
        keywords.update(source)
    with _naming([*(key for key, _ in wanted.values()), *map(_setting, fields)]):
        return _made(store, options, wanted, keywords), exclude


@contextmanager
def _naming(settings: Sequence[str]) -> Iterator[None]:
    """Name these settings in an error that they may have caused."""
    try:
        yield
    except ConfigError as error:
        if settings:
            raise ConfigError(f"{error} (app.config has {', '.join(settings)})") from None
        raise


def _made(
    store: Store | AsyncStore | str | None,
    options: SessionOptions | None,
    wanted: Wanted,
    keywords: dict[str, Any],
) -> SessionManager:
    """Make a manager of settings and arguments that agree."""
    values = {name: value for name, (_, value) in wanted.items()}
    cookie = {name: values.pop(name) for name in (*COOKIE, "max_age") if name in values}
    keywords = {**values, **keywords}
    if cookie and "cookie" not in keywords:
        keywords["cookie"] = exact_cookie(cookie)
    if options is None:
        _choose_lifetimes(keywords)
    return manager_of(None, store, options, keywords)


def _choose_lifetimes(keywords: dict[str, Any]) -> None:
    """Set the idle timeout to the framework's lifetime, and the absolute one to at least that."""
    absolute = keywords.get("absolute_timeout")
    if "idle_timeout" not in keywords:
        idle = LIFETIME.total_seconds()
        if absolute is not None:
            idle = min(idle, seconds("absolute_timeout", absolute))
        keywords["idle_timeout"] = idle
    if "absolute_timeout" not in keywords:
        idle = seconds("idle_timeout", keywords["idle_timeout"])
        keywords["absolute_timeout"] = max(idle, 30 * DAY)


# -- the settings of lembro ------------------------------------------------------------------------


def _fields(config: Config) -> dict[str, Any]:
    """Return the options that single settings ``LEMBRO_...`` set.

    Raises:
        ConfigError: there is no such setting.
    """
    fields = {_setting(name): name for name in option_names()}
    known = [_STORE, _MAX_SIZE, _EXCLUDE, _OPTIONS, FOLLOW, *fields]
    found = {}
    for key, value in config.items():
        if key in fields:
            found[fields[key]] = value
        elif key.startswith(_PREFIX) and key not in known:
            raise ConfigError(
                f"app.config has no setting {key}{_meant(key, known)} "
                f"The settings are {', '.join(known)}"
            )
    return found


def _setting(option: str) -> str:
    return _PREFIX + option.upper()


def _meant(key: str, known: Sequence[str]) -> str:
    """Return the fix for an unknown setting: to leave it out, or the most similar one."""
    name = translated(key.removeprefix(_PREFIX).lower())
    if reason := not_needed(name):
        return f"{reason}."
    names = {known_key.removeprefix(_PREFIX).lower(): known_key for known_key in known}
    names |= {
        option: f"{_STORE}=MemoryStore({option}=...)"
        for option in STORE_NAMES
        if option != "max_size"
    }
    for option in (*COOKIE, "max_age"):
        names[f"cookie_{option}"] = f"LEMBRO_COOKIE=CookieOptions({option}=...)"
    return f"; did you mean {names[difflib.get_close_matches(name, names, 1, 0)[0]]}?"


def _exclude_from(config: Config, given: Given) -> tuple[str, ...]:
    exclude = config.get(_EXCLUDE)
    if exclude is None:
        return given.exclude
    with _naming([_EXCLUDE]):
        prefixes = path_prefixes(exclude)
    if given.exclude and set(given.exclude) != set(prefixes):
        raise _contradiction(_EXCLUDE, exclude, "Lembro(...)", "exclude", list(given.exclude))
    return prefixes


def _store_from(config: Config, given: Given) -> Store | AsyncStore | str | None:
    """Return the store that was given or is configured."""
    store, max_size = config.get(_STORE), config.get(_MAX_SIZE)
    present = given.store if given.manager is None else given.manager.store
    if store is not None:
        if max_size is not None:
            raise ConfigError(
                f"app.config has {_STORE} and {_MAX_SIZE}={max_size!r}: leave one of them out"
            )
        if present is not None and present is not store:
            raise ConfigError(
                f"app.config has {_STORE}={store!r}, but Lembro(...) was given a store: leave one "
                f"of them out"
            )
        return store  # type: ignore[no-any-return]  # the manager checks it
    if max_size is None:
        return given.store
    if present is not None:
        raise ConfigError(
            f"app.config has {_MAX_SIZE}={max_size!r}, but Lembro(...) was given a store: leave "
            f"one of them out"
        )
    with _naming([_MAX_SIZE]):
        return MemoryStore(max_size)


def _options_from(config: Config, given: Given) -> SessionOptions | None:
    """Return the options that were given or are configured as an object."""
    options = config.get(_OPTIONS)
    if options is None:
        return given.options
    _check_options(_OPTIONS, options)
    if given.options is not None and _plain_fields(options) != _plain_fields(given.options):
        raise _contradiction(_OPTIONS, options, "Lembro(...)", "options", given.options)
    return cast("SessionOptions", options)


def _changed(options: SessionOptions | None) -> dict[str, Any]:
    """Return the fields of options that are not the defaults."""
    if options is None:
        return {}
    plain, default = _plain_fields(options), _plain_fields(SessionOptions())
    return {name: getattr(options, name) for name in plain if plain[name] != default[name]}


# -- agreement -------------------------------------------------------------------------------------


def _agree(fields: Mapping[str, Any], chosen: Mapping[str, Any], who: str) -> None:
    """Raise ConfigError if a setting ``LEMBRO_...`` differs from another source."""
    for name, value in fields.items():
        if name in chosen and _normal(name, chosen[name]) != _normal(name, value):
            raise _contradiction(_setting(name), value, who, name, chosen[name])


def _compare(wanted: Wanted, chosen: Mapping[str, Any], who: str) -> None:
    """Raise ConfigError if a setting of the framework differs from another source.

    ``who`` names the source; it is empty for settings ``LEMBRO_...``.
    """
    for option, (key, value) in wanted.items():
        if option == "name" and value in chosen.get("names", ()):
            continue
        if option in chosen and chosen[option] != value:
            setting = _setting(option if option in option_names() else "cookie")
            raise _contradiction(key, value, who or setting, option, chosen[option])


def _contradiction(key: str, value: Any, who: str, option: str, chosen: Any) -> ConfigError:
    """Make the error for two sources that contradict each other. It shows no secret."""
    given, other = ("...", "...") if option == "secret" else (repr(value), repr(chosen))
    return ConfigError(
        f"app.config has {key}={given}, but {who} has {option}={other}: leave one of them out, or "
        f"give both the same value"
    )


def _comparable(source: Mapping[str, Any]) -> set[str]:
    """Return the options of a source that the framework's settings can set too."""
    names = {"idle_timeout", "secret"} & source.keys()
    return names | {*COOKIE, "names", "max_age"} if "cookie" in source else names


def _normal(name: str, value: Any) -> Any:
    """Return a value in a form that can be compared."""
    if isinstance(value, timedelta):
        return value.total_seconds()
    if isinstance(value, CookieOptions):
        return {
            each.name: _normal("", getattr(value, each.name)) for each in dataclasses.fields(value)
        }
    if name in ("secret", "migrate_from"):
        several = isinstance(value, list | tuple)
        return tuple(value) if several else () if value is None else (value,)
    return value


def _plain_fields(options: SessionOptions) -> dict[str, Any]:
    return {name: _normal(name, getattr(options, name)) for name in option_names()}


def _plain(options: SessionOptions) -> dict[str, Any]:
    return {
        "idle_timeout": seconds("idle_timeout", options.idle_timeout),
        "secret": options.secret,
        **_plain_cookie(options.cookie),
    }


def _plain_cookie(cookie: CookieOptions) -> dict[str, Any]:
    age = cookie.max_age
    return {
        **{option: getattr(cookie, option) for option in COOKIE},
        "names": {cookie.name, *(cookie.name_over(https=on) for on in (False, True))},
        "max_age": None if age is None else seconds("max_age", age),
    }
