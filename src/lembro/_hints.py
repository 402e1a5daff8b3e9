"""Errors for unknown keywords, with a hint: options are often written as in another library."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from functools import wraps
from typing import Any, Final, TypeVar

from .errors import ConfigError

T = TypeVar("T")

STORE_NAMES: Final = (
    "max_size",
    "interval",
    "max_session_size",
    "reduce_to",
    "snapshot",
    "snapshot_max_age",
)
"""The options of ``MemoryStore``."""

_ELSEWHERE: Final = {  # names in other libraries, without underscores: lembro's option
    "httpsonly": "secure",
    "sessioncookie": "name",
    "sid": "name",
    "signed": "secret",
    **dict.fromkeys(("ttl", "lifetime", "expires", "expire", "expiresin"), "idle_timeout"),
    **dict.fromkeys(("sessionttl", "sessionlifetime", "permanentsessionlifetime"), "idle_timeout"),
    **dict.fromkeys(("max", "maxbytes", "bytes", "size", "maxmemory", "memory", "cap"), "max_size"),
    **dict.fromkeys(("checkperiod", "purgeinterval", "cleanupinterval"), "interval"),
    **dict.fromkeys(("prunesessioninterval", "checkexpirationinterval"), "interval"),
}

_NOT_NEEDED: Final = {  # express-session's, without underscores
    "resave": "an unmodified session is never stored again",
    "rolling": "each use extends the session, and its cookie",
    "saveuninitialized": "an empty session is never stored",
}

_OF_THE_SERVER: Final = {  # options that stores in a server do not have
    "max_size": "the server has its own limit, and max_session_size limits one session",
    "interval": "the server itself removes expired sessions",
}

_DURATIONS: Final = ("max_age", "idle_timeout", "interval")

_fields: Final[dict[str, Sequence[str]]] = {}
"""For each class with explained keywords: their names."""


def explain_keywords(cls: type[T]) -> type[T]:
    """Make an unknown keyword of a class a ConfigError with a hint, in place of a TypeError."""
    made: Any = cls
    init = made.__init__
    code = init.__code__
    known = code.co_varnames[1 : code.co_argcount + code.co_kwonlyargcount]
    _fields[cls.__name__] = known

    @wraps(init)
    def checked(self: T, *args: Any, **keywords: Any) -> None:
        check_names(keywords, known)
        init(self, *args, **keywords)

    made.__init__ = checked
    return cls


def check_names(keywords: Iterable[str], known: Sequence[str]) -> None:
    """Raise ConfigError for a name that is not ``known``. The error suggests the nearest one."""
    for name in keywords:
        if name not in known:
            raise ConfigError(
                f"no option {name!r}{meant_option(name, known)} (options: {', '.join(known)})"
            )


def not_needed(name: str) -> str:
    """Return the end of the error for an option that lembro does not need; empty for others."""
    reason = _NOT_NEEDED.get(_plain(name))
    return f"; leave it out, because {reason}" if reason else ""


def translated(name: str) -> str:
    """Return lembro's option for a name in another library, or else the name itself."""
    return _ELSEWHERE.get(_plain(name), name)


def meant_option(name: str, known: Sequence[str]) -> str:
    """Return the end of an error for a name that is not ``known``: what to write instead."""
    if name in ("session", "sessions"):
        return "; the keyword for a SessionManager is manager"
    options = _fields["SessionOptions"]
    ours = (*known, *STORE_NAMES, *_fields["CookieOptions"], *options)
    plain = {each.replace("_", ""): each for each in ours}
    if reason := not_needed(name):
        return reason
    word = _plain(name)
    bare = word.removeprefix("session")
    for part in (word, bare, bare.removeprefix("cookie")):
        meant = plain.get(part) or _ELSEWHERE.get(part)
        if meant is not None:
            break
    else:
        import difflib  # noqa: PLC0415 - only an error needs it

        near = difflib.get_close_matches(name, ours, 1, 0.7)
        near = near or difflib.get_close_matches(name, known, 1, 0.5)
        if not near or near[0] in known:
            return f"; did you mean {near[0]}?" if near else ""
        meant = near[0]
    # Names of JavaScript have capitals inside, and its durations are milliseconds.
    is_foreign = meant in _DURATIONS and name not in (name.lower(), name.upper())
    unit = ", in seconds" if is_foreign else ""
    if meant in known:
        return f"; write {meant}=...{unit}"
    if meant in _OF_THE_SERVER and "max_session_size" in known:
        return f"; leave it out, because {_OF_THE_SERVER[meant]}"
    if meant in STORE_NAMES:
        return f", which belongs to the store: MemoryStore({meant}=...){unit}"
    if meant in options:
        manager = "ExpressManager" if "set_user" in known else "SessionManager"
        return f", which belongs to the sessions: {manager}(store, {meant}=...)"
    idle = "; for the session's lifetime, write idle_timeout=..." if meant == "max_age" else ""
    return f"; write cookie=CookieOptions({meant}=...){unit}{idle}"


def _plain(name: str) -> str:
    return name.lower().replace("-", "").replace("_", "")
