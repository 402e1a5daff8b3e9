"""A private PostgreSQL server."""

from __future__ import annotations

import atexit
import signal
import threading
from functools import cache
from typing import Any, Final

import psycopg

from lembro.stores.sql.postgres import PostgresStore
from tests.support import require_or_skip
from tests.support.servers import HOST
from tests.support.servers.databases import DatabaseServer, find_program, new_table

FOLDERS: Final = ("/usr/lib/postgresql/*/bin", "/usr/pgsql-*/bin", "/usr/local/bin")
# The data of a test are not needed after a crash of the machine.
SETTINGS: Final = {
    "fsync": "off",
    "full_page_writes": "off",
    "shared_buffers": "32MB",
    "max_connections": "200",
    "unix_socket_directories": "",
    "listen_addresses": HOST,
    "autovacuum_naptime": "1h",
}

_starting = threading.Lock()


class PostgresServer(DatabaseServer):
    """PostgreSQL with a superuser ``lembro``, whose password is ``secret``."""

    name = "postgres"

    def __init__(self) -> None:
        self._initdb = find_program("initdb", *FOLDERS)
        self._postgres = find_program("postgres", *FOLDERS)
        if self._initdb is None or self._postgres is None:
            require_or_skip("no PostgreSQL on this machine (apt-get install postgresql)")
        super().__init__()
        self.data = self.folder / "data"
        password = self.folder / "password"
        password.write_text("secret", encoding="ascii")
        password.chmod(0o644)
        self.run(
            [
                self._initdb,
                f"--pgdata={self.data}",
                "--username=lembro",
                "--auth=scram-sha-256",
                f"--pwfile={password}",
                "--encoding=UTF8",
                "--locale=C",
                "--no-sync",
            ]
        )
        # A password costs milliseconds of both processors, so only other roles have one.
        rules = "host all lembro 127.0.0.1/32 trust\nhost all all 127.0.0.1/32 scram-sha-256\n"
        (self.data / "pg_hba.conf").write_text(rules, encoding="ascii")
        self.databases = 0

    def start(self, **settings: str) -> None:
        """Start the server, or start it again."""
        assert self._postgres is not None
        argv = [self._postgres, "-D", str(self.data), "-p", str(self.port)]
        for name, value in {**SETTINGS, **settings}.items():
            argv += ["-c", f"{name}={value}"]
        self.spawn(argv, self._answers)

    def restart(self, **settings: str) -> None:
        """End the server as an operator does, and start it again."""
        self.stop(signal.SIGINT)
        self.start(**settings)

    def url(self, database: str = "postgres", **parameters: Any) -> str:
        """Return the URL of a database."""
        query = "&".join(f"{name}={value}" for name, value in parameters.items())
        mark = "?" if query else ""
        return f"postgresql://lembro:secret@{HOST}:{self.port}/{database}{mark}{query}"

    def new_database(self) -> str:
        """Make an empty database and return its name."""
        self.databases += 1
        name = f"test{self.databases}"
        self.execute(f"create database {name}")
        return name

    def execute(self, text: str, database: str = "postgres") -> list[Any]:
        """Perform a statement as the superuser, and return its rows."""
        with psycopg.connect(self.url(database), autocommit=True) as connection:
            cursor = connection.execute(text.encode())
            return cursor.fetchall() if cursor.description else []

    def _answers(self) -> bool:
        try:
            psycopg.connect(self.url(), connect_timeout=2).close()
        except psycopg.OperationalError:
            return False
        return True


def shared() -> PostgresServer:
    """Return the server of this test process for tests that only use it."""
    with _starting:
        return _server("shared")


def for_faults() -> PostgresServer:
    """Return the server of this test process for tests that freeze, end or configure it."""
    with _starting:
        return _server("for faults")


@cache
def _server(use: str) -> PostgresServer:
    server = PostgresServer()
    atexit.register(server.remove)
    server.start()
    return server


def new_store(**options: Any) -> PostgresStore:
    """Return a store with a table of its own. Its deadline suits a busy machine."""
    options = {"table": new_table(), "timeout": 10.0, **options}
    return PostgresStore(shared().url(), **options)
