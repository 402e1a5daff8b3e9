"""RedisStore: sessions in Redis or Valkey."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Final

from ..._hints import explain_keywords
from ...errors import ConfigError, StoreError
from ..external.backend import AsyncConnector, Connector
from ..external.settings import check_count, check_timeout
from ..external.store import MAX_SESSION_SIZE, ExternalStore

if TYPE_CHECKING:
    from .verbs import RedisVerbs

CONNECTIONS: Final = 20
TIMEOUT: Final = 0.2  # seconds


@explain_keywords
class RedisStore(ExternalStore):
    """Sessions in Redis 6.2 or later, or in Valkey, shared by any number of machines.

    Each verb takes one round trip. Redis itself removes expired sessions.

    Args:
        server: A URL: ``redis://``, ``rediss://`` (TLS), ``valkey://``, ``unix://``,
            ``redis+sentinel://host1,host2/name``, or ``redis+cluster://host1,host2``. Or a client
            of redis-py or valkey-py, sync or async. The store is then only sync or only async, and
            never closes the client.
        prefix: The beginning of all keys. In a Cluster, it gets a hash tag, such as ``{lembro}:``.
        max_session_size: The maximum size of a session in bytes.
        max_connections: The maximum number of connections of each process, and of each event loop.
            Only with a URL. The default is 20.
        timeout: The maximum number of seconds to connect, to wait for a reply, and to wait for a
            free connection. Only with a URL. The default is 0.2.
        wait_replicas: How many replicas must confirm the end of a session or a new ID. If fewer
            do, StoreUnavailable is raised. 0 does not wait. Only with a URL.
        tls: Whether to connect over TLS. A rediss: URL always does. Only with a URL.
        ca_file: The file of the certificates to trust over TLS. None: those of the system. Only
            with a URL.
        sentinel_password: The password of the Sentinels. Only with a URL.
        clock: A function that returns seconds, for tests. Then nothing expires in Redis.

    Raises:
        ConfigError: An argument is invalid, or redis-py is not installed.
    """

    system: str = "redis"

    def __init__(
        self,
        server: Any,
        *,
        prefix: str = "lembro:",
        max_session_size: int | str = MAX_SESSION_SIZE,
        max_connections: int | None = None,
        timeout: float | None = None,
        wait_replicas: int = 0,
        tls: bool = False,
        ca_file: str | None = None,
        sentinel_password: str | None = None,
        clock: Callable[[], float] | None = None,
    ) -> None:
        url_only: dict[str, Any] = {
            "max_connections": max_connections,
            "timeout": timeout,
            "wait_replicas": wait_replicas,
            "tls": tls,
            "ca_file": ca_file,
            "sentinel_password": sentinel_password,
        }
        backend: URLBackend | ClientBackend
        if isinstance(server, str):
            backend = URLBackend(server, prefix, clock, **url_only)
        else:
            wrong = [name for name, value in url_only.items() if value]
            if wrong:
                raise ConfigError(
                    f"{wrong[0]} needs a URL, got a client. Configure the client, or pass a URL"
                )
            backend = ClientBackend(server, prefix, clock)
        super().__init__(backend, max_session_size=max_session_size)


class URLBackend:
    """The verbs, and the sync and async connections to a URL."""

    def __init__(
        self,
        url: str,
        prefix: str,
        clock: Callable[[], float] | None,
        *,
        max_connections: int | None,
        timeout: float | None,
        wait_replicas: int,
        **options: Any,
    ) -> None:
        # Imported here, because only an application with Redis has the client library.
        from . import clients, failures, locator, target  # noqa: PLC0415

        timeout = check_timeout(TIMEOUT if timeout is None else timeout)
        server = target.parse(url, timeout=timeout, **options)
        size = CONNECTIONS if max_connections is None else max_connections
        size = check_count("max_connections", size, least=1)
        encoded = _tagged(prefix, is_cluster=server.scheme == target.CLUSTER)
        self.place: str = server.place
        self.verbs: RedisVerbs = self.make_verbs(
            encoded,
            clock=clock,
            wait_replicas=check_count("wait_replicas", wait_replicas, least=0),
            wait=max(1, int(timeout * 500)),  # half of the timeout, so that WAIT replies in time
        )
        known = failures.Failures("redis", server.place)
        self.translate: Callable[[Exception], StoreError | None] = known.translate

        def connector() -> Connector:
            from .connector import RedisConnector, Slots  # noqa: PLC0415

            return RedisConnector(
                clients.Connections(server, "redis"),
                locator.Locator(server, encoded),
                self.verbs,
                known,
                Slots(size, timeout),
            )

        def async_connector() -> AsyncConnector:
            from .aio import AsyncRedisConnector, AsyncSlots  # noqa: PLC0415 - imports asyncio

            return AsyncRedisConnector(
                clients.Connections(server, "redis.asyncio"),
                locator.Locator(server, encoded),
                self.verbs,
                known,
                AsyncSlots(size, timeout),
            )

        self.connector: Callable[[], Connector] | None = connector
        self.async_connector: Callable[[], AsyncConnector] | None = async_connector

    def make_verbs(self, prefix: bytes, **options: Any) -> RedisVerbs:
        """Make the verbs. A store with another format overrides this."""
        from .verbs import RedisVerbs  # noqa: PLC0415

        return RedisVerbs(prefix, **options)


class ClientBackend:
    """The verbs, and the client of the application, which is sync or async."""

    def __init__(self, client: Any, prefix: str, clock: Callable[[], float] | None) -> None:
        from . import clients, failures  # noqa: PLC0415

        package = clients.package_of(client)
        self.place: str = f"the application's {type(client).__name__}"
        tagged = _tagged(prefix, is_cluster=hasattr(client, "get_node_from_key"))
        self.verbs: RedisVerbs = self.make_verbs(tagged, clock=clock)
        known = failures.Failures(package, self.place)
        self.translate: Callable[[Exception], StoreError | None] = known.translate

        def connector() -> Connector:
            from .connector import ClientConnector  # noqa: PLC0415

            return ClientConnector(client, self.verbs, known)

        def async_connector() -> AsyncConnector:
            from .aio import AsyncClientConnector  # noqa: PLC0415

            return AsyncClientConnector(client, self.verbs, known)

        is_async = clients.is_async(client)
        if not is_async:
            clients.make_safe(client)
        self.connector: Callable[[], Connector] | None = None if is_async else connector
        self.async_connector: Callable[[], AsyncConnector] | None = (
            async_connector if is_async else None
        )

    def make_verbs(self, prefix: bytes, **options: Any) -> RedisVerbs:
        """Make the verbs; see :meth:`URLBackend.make_verbs`."""
        from .verbs import RedisVerbs  # noqa: PLC0415

        return RedisVerbs(prefix, **options)


def _tagged(prefix: str, *, is_cluster: bool) -> bytes:
    """Return the prefix. In a Cluster, add a hash tag, which puts all keys into one slot."""
    if not isinstance(prefix, str) or not prefix:
        raise ConfigError(
            f"prefix must be a str that is not empty, got {prefix!r}. Example: prefix='shop:'"
        )
    if is_cluster and not re.search(r"\{[^}]", prefix):
        prefix = f"{{{prefix[:-1]}}}:" if prefix[-1] == ":" else f"{{{prefix}}}"
    return prefix.encode()
