"""A private PgBouncer in transaction mode, in front of the shared PostgreSQL server."""

from __future__ import annotations

import atexit
from functools import cache
from typing import Final

from tests.support import require_or_skip
from tests.support.servers import HOST
from tests.support.servers.databases import DatabaseServer, find_program
from tests.support.servers.postgres import PostgresServer, shared

CONFIG: Final = """
[databases]
* = host={host} port={server}
[pgbouncer]
listen_addr = {host}
listen_port = {port}
unix_socket_dir =
auth_type = trust
auth_file = {folder}/users
pool_mode = transaction
default_pool_size = 3
"""


class PgBouncer(DatabaseServer):
    """A pooler with three connections to the server for all clients."""

    name = "pgbouncer"

    def __init__(self, server: PostgresServer) -> None:
        program = find_program("pgbouncer", "/usr/sbin")
        if program is None:
            require_or_skip("no PgBouncer on this machine (apt-get install pgbouncer)")
        super().__init__()
        config = self.folder / "pgbouncer.ini"
        config.write_text(
            CONFIG.format(host=HOST, server=server.port, port=self.port, folder=self.folder),
            encoding="ascii",
        )
        (self.folder / "users").write_text('"lembro" "secret"\n', encoding="ascii")
        self.spawn([program, str(config)], self.listens)

    @property
    def url(self) -> str:
        return f"postgresql://lembro:secret@{HOST}:{self.port}/postgres"


@cache
def shared_pooler() -> PgBouncer:
    """Return the pooler of this test process."""
    pooler = PgBouncer(shared())
    atexit.register(pooler.remove)
    return pooler
