"""Make a store from a URL, which comes from a setting or an environment variable.

The store connects at its first use. Its modules are imported when a URL names it.
"""

from __future__ import annotations

import os
from collections.abc import Collection, Iterable
from typing import TYPE_CHECKING, Any, Final

from .._hints import meant_option
from ..errors import ConfigError

if TYPE_CHECKING:
    from urllib.parse import SplitResult

VARIABLE: Final = "LEMBRO_STORE"
"""The environment variable with the URL of the default store of a SessionManager."""

SCHEMES: Final[dict[str, tuple[str, str]]] = {
    "memory": ("memory_url", "memory:64M"),
    "sqlite": ("sql.url", "sqlite:///sessions.db"),
    "redis": ("redis.url", "redis://localhost:6379/0"),
    "rediss": ("redis.url", "rediss://localhost:6379/0"),
    "valkey": ("redis.url", "valkey://localhost:6379/0"),
    "unix": ("redis.url", "unix:///run/redis/redis.sock"),
    "redis+sentinel": ("redis.url", "redis+sentinel://host1:26379,host2:26379/mymaster"),
    "redis+cluster": ("redis.url", "redis+cluster://host1:7000,host2:7000"),
    "postgresql": ("sql.url", "postgresql://user:password@localhost/database"),
    "postgres": ("sql.url", "postgresql://user:password@localhost/database"),
    "mysql": ("sql.url", "mysql://user:password@localhost/database"),
    "mariadb": ("sql.url", "mariadb://user:password@localhost/database"),
    "sqlalchemy": ("sql.url", "sqlalchemy+postgresql+asyncpg://user:password@localhost/database"),
    "django": ("sql.url", "django://default"),
    "mongodb": ("mongo.url", "mongodb://localhost:27017/database"),
    "mongodb+srv": ("mongo.url", "mongodb+srv://user:password@cluster.example.com/database"),
}
"""For each scheme: the module in this package with a ``from_url``, and an example."""


def from_url(url: str) -> Any:
    """Return the store that a URL names. The store connects at its first use.

    The parameters of the URL are the keywords of the store's class, for example
    ``sqlite:///sessions.db?max_size=64M``.

    Raises:
        ConfigError: The scheme or a parameter is unknown, or a package is not installed. The
            message never contains a password.
    """
    import importlib  # noqa: PLC0415
    from urllib.parse import urlsplit  # noqa: PLC0415 - it loads ipaddress and more

    if not isinstance(url, str):
        raise ConfigError(f"the store's URL must be a str, got {type(url).__name__}. {_examples()}")
    scheme, colon, _ = url.partition(":")
    name = "sqlalchemy" if scheme.lower().startswith("sqlalchemy+") else scheme.lower()
    known = SCHEMES.get(name) if colon else None
    if known is None:
        raise ConfigError(f"{_no_scheme(scheme if colon else '')} {_examples()}")
    try:
        module: Any = importlib.import_module(f".{known[0]}", __package__)
    except ModuleNotFoundError as error:
        if error.name is None or not error.name.startswith(f"{__package__}."):
            raise
        raise ConfigError(f"this version of lembro has no store for {scheme}: URLs") from None
    try:
        parts = urlsplit(url)
        if "," not in parts.netloc:  # several hosts, each with its port
            parts.port  # noqa: B018 - raises ValueError if it is not a number
    except ValueError:
        raise ConfigError(cannot_be_read(known[1])) from None
    if "#" in url:  # the rest of the URL would be ignored
        raise ConfigError(cannot_be_read(known[1]))
    return module.from_url(parts)


def store_of(given: Any) -> Any:
    """Return the store for the argument ``store``: a store, a URL, or None.

    For None, return the store that the environment variable ``LEMBRO_STORE`` names. If it is not
    set, return a MemoryStore.
    """
    if isinstance(given, str):
        return from_url(given)
    if given is not None:
        return given
    url = os.environ.get(VARIABLE)
    if not url:
        from .memory import MemoryStore  # noqa: PLC0415 - it loads 30 modules that other stores do not need

        return MemoryStore()
    try:
        return from_url(url)
    except ConfigError as error:
        raise ConfigError(f"the environment variable {VARIABLE} is invalid: {error}") from None


def parameters(parts: SplitResult, known: dict[str, Any]) -> dict[str, Any]:
    """Return the parameters of a URL as keyword arguments.

    Args:
        parts: The URL.
        known: For each parameter, a function that converts the text to the value, or raises
            ValueError.

    Raises:
        ConfigError: A parameter is unknown, is given twice, or has a value that cannot be read.
    """
    from urllib.parse import parse_qsl  # noqa: PLC0415

    found: dict[str, Any] = {}
    for name, text in parse_qsl(parts.query, keep_blank_values=True):
        if name not in known:
            if "@" in parts.query:  # a password with a question mark: print no part of it
                raise ConfigError(cannot_be_read(f"{parts.scheme}://user:password@localhost"))
            raise ConfigError(
                f"a {parts.scheme}: URL has no parameter {name!r}{meant_option(name, [*known])} "
                f"(parameters: {', '.join(known)})"
            )
        if name in found:
            raise ConfigError(
                f"a {parts.scheme}: URL must contain the parameter {name!r} only once. Remove one "
                f"of them"
            )
        try:
            found[name] = known[name](text)
        except ValueError as error:
            if isinstance(error, ConfigError):
                raise
            raise ConfigError(
                f"the parameter {name!r} of a {parts.scheme}: URL must be {_KINDS[known[name]]}, "
                f"got {text!r}"
            ) from None
    return found


def split_query(parts: SplitResult, known: Collection[str]) -> tuple[str, str]:
    """Split the query of a URL into the parameters of lembro and those of the client library.

    Args:
        parts: The URL.
        known: The names of lembro's parameters.
    """
    from urllib.parse import parse_qsl, quote, urlencode  # noqa: PLC0415

    pairs = parse_qsl(parts.query, keep_blank_values=True)
    ours = [pair for pair in pairs if pair[0] in known]
    theirs = [pair for pair in pairs if pair[0] not in known]
    return urlencode(ours), urlencode(theirs, quote_via=quote)  # libpq does not read + as a space


def boolean(text: str) -> bool:
    """Return the value of a parameter that is true or false."""
    try:
        return {"true": True, "1": True, "false": False, "0": False}[text.lower()]
    except KeyError:
        raise ValueError(text) from None


_KINDS: Final[dict[Any, str]] = {int: "a whole number", float: "a number", boolean: "true or false"}


def cannot_be_read(example: str) -> str:
    """Return the message for a URL that cannot be split into its parts. It contains no part."""
    return (
        f"the store's URL cannot be read. Example: {example!r}. Write special characters of a "
        f"password or a path as %XX, for example %40 for @, %23 for #, and %2F for a slash"
    )


def without_password(parts: SplitResult) -> str:
    """Return a URL without its user, password and parameters, for errors and logs."""
    from urllib.parse import unquote  # noqa: PLC0415

    host = parts.netloc.rpartition("@")[2]
    return f"{parts.scheme}://{host}{unquote(parts.path)}"


def _no_scheme(scheme: str) -> str:
    # Only a word before a colon is printed, because other text may contain a password.
    if not scheme.replace("+", "").isalnum():
        return "the store's URL must begin with a scheme and a colon."
    near = _nearest(scheme.lower(), SCHEMES, 0.6)
    meant = f" Did you mean '{near}:'?" if near else ""
    return f"the store's URL must begin with a scheme that lembro knows, got '{scheme}:'.{meant}"


def _nearest(word: str, known: Iterable[str], cutoff: float) -> str | None:
    import difflib  # noqa: PLC0415 - only an error needs it

    near = difflib.get_close_matches(word, list(known), 1, cutoff)
    return near[0] if near else None


def _examples() -> str:
    return f"Examples: {', '.join(dict.fromkeys(example for _, example in SCHEMES.values()))}"
