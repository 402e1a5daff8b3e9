"""Check that a store has the verbs of the contract, and that a script has the right one."""

from __future__ import annotations

from typing import Any, Final

from .._log import log
from .._threads import is_coroutine_function
from ..errors import ConfigError

_VERBS: Final = ("get", "add", "set", "replace", "touch", "destroy")
_warned: Final[set[str]] = set()


def check_store(store: Any) -> None:
    """Raise ConfigError unless this is a store."""
    missing = [verb for verb in _VERBS if not callable(getattr(store, verb, None))]
    if isinstance(store, type) or missing:
        lacks = (
            f" It lacks {', '.join(missing)}." if missing and not isinstance(store, type) else ""
        )
        raise ConfigError(
            f"store must be a store, got {store!r}.{lacks} Example: MemoryStore(max_size='64M')"
        )
    asynchronous = [is_coroutine_function(getattr(store, verb)) for verb in _VERBS]
    if hasattr(store, "blocking") and any(asynchronous):
        raise ConfigError(
            f"{type(store).__name__} has async verbs and `blocking`; remove `blocking`"
        )
    if not hasattr(store, "blocking") and not all(asynchronous):
        raise ConfigError(
            f"{type(store).__name__} has synchronous verbs, so it needs the attribute `blocking`; "
            f"set it to True or False"
        )


def warn_of_no_sessions(store: Any) -> None:
    """Warn once if an in-process store holds nothing, in a process that has served no request.

    A script outside of a running server has its own store. Without the warning, it would seem to
    have ended a user's sessions.
    """
    name = type(store).__name__
    if name in _warned or not hasattr(store, "length") or store.length():
        return
    _warned.add(name)
    log.warning(
        "lembro: this process asks for sessions, but has served no request, and its %s is empty. "
        "The sessions of a running server are in the memory of that process only. Do this in the "
        "server itself, for example on a page for administrators, or keep the sessions in a store "
        "that processes share",
        name,
    )
