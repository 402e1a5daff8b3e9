"""A private MariaDB server."""

from __future__ import annotations

import atexit
import signal
import threading
from functools import cache
from typing import Any, Final

import pymysql

from tests.support import require_or_skip
from tests.support.servers import HOST
from tests.support.servers.databases import DatabaseServer, find_program

FOLDERS: Final = ("/usr/sbin", "/usr/bin", "/usr/local/sbin", "/usr/local/bin")
# The data of a test are not needed after a crash of the machine.
SETTINGS: Final = {
    "innodb-flush-log-at-trx-commit": "2",
    "innodb-buffer-pool-size": "32M",
    "innodb-log-file-size": "16M",
    "performance-schema": "off",
    "skip-name-resolve": "1",
    "max-connections": "200",
    "bind-address": HOST,
}

_starting = threading.Lock()


class MariaDBServer(DatabaseServer):
    """MariaDB with a user ``lembro``, whose password is ``secret``, and a database ``test``."""

    name = "mariadb"

    def __init__(self) -> None:
        install = find_program("mariadb-install-db", *FOLDERS)
        self._mariadbd = find_program("mariadbd", *FOLDERS)
        if install is None or self._mariadbd is None:
            require_or_skip("no MariaDB on this machine (apt-get install mariadb-server)")
        super().__init__()
        self.data = self.folder / "data"
        self.run(
            [
                install,
                "--no-defaults",
                f"--datadir={self.data}",
                "--auth-root-authentication-method=normal",
                "--skip-test-db",
                "--innodb-log-file-size=16M",
            ]
        )
        self._init = self.folder / "init.sql"
        self._init.write_text(
            "create database if not exists test;\n"
            "create user if not exists lembro@'%' identified by 'secret';\n"
            "grant all on *.* to lembro@'%' with grant option;\n",
            encoding="ascii",
        )
        self._init.chmod(0o644)

    def start(self, **settings: str) -> None:
        """Start the server, or start it again."""
        assert self._mariadbd is not None
        argv = [
            self._mariadbd,
            "--no-defaults",
            f"--datadir={self.data}",
            f"--socket={self.folder}/socket",
            f"--pid-file={self.folder}/pid",
            f"--init-file={self._init}",
            f"--port={self.port}",
        ]
        for name, value in {**SETTINGS, **settings}.items():
            argv.append(f"--{name.replace('_', '-')}={value}")
        self.spawn(argv, self._answers)

    def restart(self, **settings: str) -> None:
        """End the server as an operator does, and start it again."""
        self.stop(signal.SIGTERM)
        self.start(**settings)

    def url(self, scheme: str = "mysql", **parameters: Any) -> str:
        """Return the URL of the database."""
        query = "&".join(f"{name}={value}" for name, value in parameters.items())
        mark = "?" if query else ""
        return f"{scheme}://lembro:secret@{HOST}:{self.port}/test{mark}{query}"

    def connect(self) -> Any:
        """Return a connection of a client of the test."""
        return pymysql.connect(
            host=HOST,
            port=self.port,
            user="lembro",
            password="secret",
            database="test",
            autocommit=True,
            connect_timeout=5,
            read_timeout=30,
        )

    def execute(self, text: str) -> list[Any]:
        """Perform a statement, and return its rows."""
        connection = self.connect()
        try:
            with connection.cursor() as cursor:
                cursor.execute(text)
                return list(cursor.fetchall())
        finally:
            connection.close()

    def _answers(self) -> bool:
        try:
            self.connect().close()
        except pymysql.err.OperationalError:
            return False
        return True


def shared() -> MariaDBServer:
    """Return the server of this test process for tests that only use it."""
    with _starting:
        return _server("shared")


def for_faults() -> MariaDBServer:
    """Return the server of this test process for tests that freeze, end or configure it."""
    with _starting:
        return _server("for faults")


@cache
def _server(use: str) -> MariaDBServer:
    server = MariaDBServer()
    atexit.register(server.remove)
    server.start()
    return server
