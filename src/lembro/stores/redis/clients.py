"""The connections of redis-py, and checks of a client that an application passes."""

from __future__ import annotations

import inspect
from typing import Any

from ...errors import ConfigError
from ..external.extras import client as import_client
from .target import CLUSTER, Address, Target

PACKAGES = ("redis", "valkey")


class Connections:
    """Makes the sync or the async connections to one target.

    Args:
        target: The server.
        package: ``redis`` or ``redis.asyncio``.
    """

    def __init__(self, target: Target, package: str) -> None:
        self._target = target
        self._module = import_client(f"{package}.connection", "redis")
        retries = import_client(f"{package}.retry", "redis")
        backoff = import_client("redis.backoff", "redis").NoBackoff()
        # The store repeats verbs, so the client must not. The reply types are those of RESP2.
        self._options: dict[str, Any] = {
            "socket_timeout": target.timeout,
            "socket_connect_timeout": target.timeout,
            "retry": retries.Retry(backoff, 0),
            "protocol": 2,
            "driver_info": None,
        }
        self._class = self._module.Connection
        if target.tls:
            self._class = self._module.SSLConnection
            self._options["ssl_ca_certs"] = target.ca_file

    def to_server(self, address: Address) -> Any:
        """Return a connection to the server that holds the sessions. It is not open yet."""
        target = self._target
        login = {"username": target.username, "password": target.password, "db": target.database}
        if target.scheme == "unix":
            return self._module.UnixDomainSocketConnection(
                path=target.path, **login, **self._options
            )
        host, port = address
        return self._class(host=host, port=port, **login, **self._options)

    def to_host(self, address: Address) -> Any:
        """Return a connection to a Sentinel or a node of a Cluster, which names the server."""
        if self._target.scheme == CLUSTER:
            return self.to_server(address)
        host, port = address
        password = self._target.sentinel_password
        return self._class(host=host, port=port, password=password, **self._options)


def package_of(client: Any) -> str:
    """Return the package of a client: ``redis`` or ``valkey``.

    Raises:
        ConfigError: The client is of another package, or it decodes the replies.
    """
    packages = [each.__module__.partition(".")[0] for each in type(client).__mro__]
    package = next((each for each in packages if each in PACKAGES), None)
    if package is None or not hasattr(client, "execute_command"):
        raise ConfigError(
            f"RedisStore needs a URL, or a client of redis-py or valkey-py, got "
            f"{type(client).__name__}. Example: RedisStore('redis://localhost:6379/0')"
        )
    if client.get_encoder().decode_responses:
        raise ConfigError(
            "the client of a RedisStore must return bytes, got one with decode_responses=True. "
            "Make another client for the store, or pass a URL"
        )
    return package


def is_async(client: Any) -> bool:
    """Return whether the commands of a client are awaited."""
    return inspect.iscoroutinefunction(client.execute_command)


def make_safe(client: Any) -> None:
    """Make a client close its new connections after an error in the middle of a command.

    The Sentinel connections of redis-py 8.1 and valkey-py 6.2 do not. After a timeout, their unread
    reply stays in the pool, and the next command gets it instead of its own.
    """
    pool = getattr(client, "connection_pool", None)
    kind: Any = getattr(pool, "connection_class", None)
    if pool is None or kind is None:
        return
    read = inspect.signature(kind.read_response).parameters.get("disconnect_on_error")
    if read is None or read.default:
        return

    def read_response(self: Any, *args: Any, **options: Any) -> Any:
        options.setdefault("disconnect_on_error", True)
        return kind.read_response(self, *args, **options)

    pool.connection_class = type(kind.__name__, (kind,), {"read_response": read_response})
    pool.disconnect()
