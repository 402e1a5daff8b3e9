"""MongoStore: sessions in MongoDB."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

from ... import bytesize
from ..._hints import explain_keywords
from ...errors import ConfigError, StoreError
from ..external.backend import AsyncConnector, Connector, PreparedVerbs
from ..external.settings import check_count, check_timeout
from ..external.store import MAX_SESSION_SIZE, ExternalStore

CONNECTIONS: Final = 20
TIMEOUT: Final = 0.2  # seconds
COLLECTION: Final = "lembro_sessions"
LARGEST: Final = 15 * 2**20  # bytes; a document of MongoDB has at most 16 MiB


@explain_keywords
class MongoStore(ExternalStore):
    """Sessions in MongoDB 5.0 or later, shared by any number of machines. (Experimental.)

    The server must be a replica set or a sharded cluster, because a login is a transaction. MongoDB
    itself removes expired sessions.

    Args:
        server: A URL: ``mongodb://`` or ``mongodb+srv://``, with the options of pymongo. Or a
            ``MongoClient`` or an ``AsyncMongoClient`` of pymongo. The store is then only sync or
            only async, and never closes the client.
        database: The name of the database. None: the one that the URL names, or ``lembro``.
        collection: The name of the collection. A second one has this name followed by ``_users``.
        max_session_size: The maximum size of a session in bytes, at most 15 MiB.
        max_connections: The maximum number of connections of each process, and of each event loop.
            Only with a URL. The default is 20.
        timeout: The maximum number of seconds that one command may take, with the time to connect
            and to wait for a free connection.
        clock: A function that returns seconds, for tests. Then nothing expires in MongoDB.

    Raises:
        ConfigError: An argument is invalid, or pymongo is not installed.
    """

    system: str = "mongodb"

    def __init__(
        self,
        server: Any,
        *,
        database: str | None = None,
        collection: str = COLLECTION,
        max_session_size: int | str = MAX_SESSION_SIZE,
        max_connections: int | None = None,
        timeout: float = TIMEOUT,
        clock: Callable[[], float] | None = None,
    ) -> None:
        if database is not None:
            check_name("database", database)
        check_name("collection", collection)
        largest = bytesize.parse(max_session_size)
        if largest > LARGEST:
            raise ConfigError(
                f"max_session_size must be at most 15 MiB, because a document of MongoDB has at "
                f"most 16 MiB, got {max_session_size!r}. Example: max_session_size='1M'"
            )
        backend = MongoBackend(
            server,
            database,
            collection,
            check_connections(server, max_connections),
            check_timeout(timeout),
            clock,
        )
        super().__init__(backend, max_session_size=largest)


class MongoBackend:
    """The verbs, and the sync and async connections to a server."""

    def __init__(  # noqa: PLR0917 - the arguments of the store
        self,
        server: Any,
        database: str | None,
        collection: str,
        size: int,
        timeout: float,
        clock: Callable[[], float] | None,
    ) -> None:
        # Imported here, because only an application with MongoDB has the client library.
        from . import clients, failures  # noqa: PLC0415

        made = clients.Clients(server, database, size, timeout)
        self.clients: clients.Clients = made
        self.place: str = made.place
        self.verbs: PreparedVerbs = self.make_verbs(collection, made.date, clock)
        known = failures.Failures(made.place)
        self.translate: Callable[[Exception], StoreError | None] = known.translate

        def connector() -> Connector:
            from .connector import MongoConnector  # noqa: PLC0415

            return MongoConnector(made, self.verbs, known)

        def async_connector() -> AsyncConnector:
            from .aio import AsyncMongoConnector  # noqa: PLC0415 - imports asyncio

            return AsyncMongoConnector(made, self.verbs, known)

        self.connector: Callable[[], Connector] | None = connector if made.is_sync else None
        self.async_connector: Callable[[], AsyncConnector] | None = (
            async_connector if made.is_async else None
        )

    def make_verbs(
        self, collection: str, date: Any, clock: Callable[[], float] | None
    ) -> PreparedVerbs:
        """Make the verbs. A store with another format overrides this."""
        from .verbs import MongoVerbs  # noqa: PLC0415

        return MongoVerbs(collection, date, clock)


def check_connections(server: Any, value: int | None) -> int:
    if value is not None and not isinstance(server, str):
        raise ConfigError(
            "max_connections needs a URL, got a client. Configure the client, or pass a URL"
        )
    return check_count("max_connections", CONNECTIONS if value is None else value, least=1)


def check_name(argument: str, value: object) -> None:
    if not isinstance(value, str) or not value:
        raise ConfigError(
            f"{argument} must be a str that is not empty, got {value!r}. "
            f"Example: {argument}='sessions'"
        )
