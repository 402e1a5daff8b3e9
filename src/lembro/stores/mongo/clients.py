"""The clients of pymongo, and their options."""

from __future__ import annotations

import time
from contextlib import AbstractContextManager
from typing import Any, Final
from urllib.parse import urlsplit

from ...errors import ConfigError
from ..external.extras import client as import_client
from ..urls import cannot_be_read, without_password

DATABASE: Final = "lembro"
"""The database, if neither the URL nor the client names one."""
RECONNECT: Final = 1.0
"""Seconds that pymongo may take for a new connection. After it has lost a connection, it checks the
server first, and begins with that up to half a second later."""
EXAMPLE: Final = "mongodb://user:password@localhost:27017/database"


class Clients:
    """Makes the clients of a URL, or has the client of the application.

    Args:
        server: The URL or the client.
        database: The name of the database. None: the one that the URL or the client names.
        size: The maximum number of connections of a client that is made.
        timeout: The maximum number of seconds that a command may take.

    Raises:
        ConfigError: The URL cannot be read, or the server is neither a URL nor a client.
    """

    def __init__(self, server: Any, database: str | None, size: int, timeout: float) -> None:
        self._pymongo: Any = import_client("pymongo", "mongo")
        codec: Any = import_client("bson.codec_options", "mongo")
        concern: Any = import_client("pymongo.read_concern", "mongo")
        self._server = server
        self._database = database
        self._size = size
        self.timeout: float = timeout
        self._patient_until = 0.0
        self.date: Any = import_client("bson.datetime_ms", "mongo").DatetimeMS
        self.options: Any = codec.CodecOptions(
            datetime_conversion=codec.DatetimeConversion.DATETIME_MS
        )
        self.snapshot: Any = concern.ReadConcern("snapshot")
        self.made: bool = isinstance(server, str)
        """Whether the clients are made for a URL. Then the connectors close them."""
        self.is_sync: bool = self.made or isinstance(server, self._pymongo.MongoClient)
        self.is_async: bool = self.made or isinstance(server, self._pymongo.AsyncMongoClient)
        if not self.is_sync and not self.is_async:
            raise ConfigError(
                f"MongoStore needs a URL, or a client of pymongo, got {type(server).__name__}. "
                f"Example: MongoStore('mongodb://localhost:27017/shop')"
            )
        self.place: str = (
            check_url(server) if self.made else f"the application's {type(server).__name__}"
        )

    def client(self) -> Any:
        """Return the sync client. It connects at its first use."""
        return self._client("MongoClient")

    def async_client(self) -> Any:
        """Return the async client. It connects at its first use."""
        return self._client("AsyncMongoClient")

    def database(self, client: Any) -> Any:
        """Return the database of the sessions."""
        # The later batches of a cursor use the options of the database, not of the command.
        if self._database is None:
            return client.get_default_database(DATABASE, codec_options=self.options)
        return client.get_database(self._database, codec_options=self.options)

    def limit(self, seconds: float = 0.0) -> AbstractContextManager[Any]:
        """Return a context in which pymongo raises after the timeout, or ``seconds`` if longer."""
        if time.monotonic() < self._patient_until:
            seconds = max(seconds, RECONNECT)
        context: AbstractContextManager[Any] = self._pymongo.timeout(max(self.timeout, seconds))
        return context

    def note_disconnect(self) -> None:
        """Note that there is no connection, so that the next verbs wait longer for one."""
        self._patient_until = time.monotonic() + 2 * RECONNECT

    def _client(self, name: str) -> Any:
        if not self.made:
            return self._server
        return getattr(self._pymongo, name)(self._server, maxPoolSize=self._size, connect=False)


def check_url(url: str) -> str:
    """Check the URL of a server, and return it without user, password and parameters.

    Raises:
        ConfigError: The URL cannot be read, or pymongo does not accept an option. The message
            contains no password.
    """
    errors: Any = import_client("pymongo.errors", "mongo")
    parsers: Any = import_client("pymongo.uri_parser", "mongo")
    parts = urlsplit(url)
    if "@" in f"{parts.path}{parts.query}{parts.fragment}":  # a part of the password
        raise ConfigError(cannot_be_read(EXAMPLE))
    try:
        # The servers of a mongodb+srv: URL are in the DNS, which is asked at the first use.
        parsers.parse_uri(url.replace("mongodb+srv://", "mongodb://", 1))
    except (errors.InvalidURI, ValueError):
        raise ConfigError(cannot_be_read(EXAMPLE)) from None
    except errors.ConfigurationError as error:
        raise ConfigError(
            f"pymongo does not accept the options of the {parts.scheme}: URL: {error} See the "
            f"connection options of pymongo. Those of MongoStore are arguments, or parameters of "
            f"lembro.stores.from_url()"
        ) from None
    return without_password(parts)
