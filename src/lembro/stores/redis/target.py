"""Read the URL of a server."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, Final
from urllib.parse import SplitResult, unquote, urlsplit

from ...errors import ConfigError
from ..urls import cannot_be_read, without_password

Address = tuple[str, int]
SENTINEL: Final = "redis+sentinel"
CLUSTER: Final = "redis+cluster"


@dataclass(frozen=True)
class Target:
    """A server, Sentinels or a Cluster.

    Attributes:
        scheme: The scheme of the URL.
        place: The URL without user, password and parameters.
        hosts: Hosts and ports.
        path: The path of a Unix socket, or the name that Sentinels use for the primary.
        database: The number of the database.
        username: The user, or None.
        password: The password, or None.
        tls: Whether to connect over TLS.
        ca_file: The file of the certificates to trust over TLS. None: those of the system.
        sentinel_password: The password of the Sentinels.
        timeout: Seconds to connect, and to wait for a reply.
    """

    scheme: str
    place: str
    hosts: tuple[Address, ...]
    path: str = ""
    database: int = 0
    username: str | None = None
    password: str | None = None
    tls: bool = False
    ca_file: str | None = None
    sentinel_password: str | None = None
    timeout: float = 0.2


def parse(url: str, *, tls: bool = False, **options: Any) -> Target:
    """Return the target that a URL names, with more options.

    Raises:
        ConfigError: The URL cannot be read. The message contains no password.
    """
    parts = urlsplit(url)
    _check_password(parts)
    if parts.query or parts.fragment:
        raise ConfigError(
            "the URL of RedisStore() has no parameters. Pass them as arguments, or use "
            "lembro.stores.from_url()"
        )
    scheme, path = parts.scheme.lower(), unquote(parts.path).strip("/")
    credentials, _, hosts = parts.netloc.rpartition("@")
    username, _, password = credentials.partition(":")
    target = Target(
        scheme,
        without_password(parts),
        _hosts(hosts, parts, 26379 if scheme == SENTINEL else 6379),
        username=unquote(username) or None,
        password=unquote(password) or None,
        tls=tls or scheme == "rediss",
        **options,
    )
    if scheme == "unix" and target.tls:
        raise ConfigError("tls cannot be used with a unix: URL. Omit it, or use a rediss: URL")
    if target.ca_file is not None and not target.tls:
        raise ConfigError(
            f"ca_file needs TLS, got a {scheme}: URL without it. Use a rediss: URL, or add tls=True"
        )
    if scheme == "unix":
        if not path:
            raise ConfigError("a unix: URL needs a path, as in unix:///run/redis/redis.sock")
        return replace(target, path=unquote(parts.path))
    if scheme == SENTINEL:
        name, _, path = path.partition("/")
        if not name:
            raise ConfigError(
                "a redis+sentinel: URL needs the name of the primary, as in "
                "redis+sentinel://host1:26379,host2:26379/mymaster"
            )
        target = replace(target, path=name)
    if not path:
        return target
    if scheme == CLUSTER or not path.isdecimal():
        raise ConfigError(
            f"the path of a {scheme}: URL must be "
            f"{'left out' if scheme == CLUSTER else 'the number of a database'}, got {path!r}"
        )
    return replace(target, database=int(path))


def _check_password(parts: SplitResult) -> None:
    """Raise ConfigError if a special character in a password splits the URL.

    Then the host, the path or the query is a part of the password, and no message may contain it.
    """
    rest = f"{parts.path}{parts.query}{parts.fragment}"
    socket = parts.scheme.lower() == "unix" and not parts.netloc.rpartition("@")[2]
    if "@" in rest and not socket:  # the path of a socket may contain an @
        raise ConfigError(cannot_be_read("redis://:password@localhost:6379/0"))


def _hosts(text: str, parts: SplitResult, port: int) -> tuple[Address, ...]:
    several = parts.scheme.lower() in (SENTINEL, CLUSTER)
    found = []
    for host in text.split(",") if several else [text]:
        try:
            one = urlsplit(f"//{host}")
            found.append((one.hostname or "localhost", one.port or port))
        except ValueError:
            raise ConfigError(
                f"a host of a {parts.scheme}: URL must be a name and a port, got {host!r}. "
                f"Example: {parts.scheme}://localhost:{port}"
            ) from None
    return tuple(found)
