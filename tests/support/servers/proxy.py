"""A proxy in front of a server. It counts round trips, and drops a reply when a test sets this."""

from __future__ import annotations

import socket
import threading
from contextlib import suppress
from typing import Self

from tests.support.servers import HOST


class Proxy:
    """Forwards the bytes between clients and a server.

    In each connection, a request that follows a reply begins a round trip.
    """

    def __init__(self, port: int) -> None:
        self._server = port
        self._listener = socket.create_server((HOST, 0))
        self.port: int = self._listener.getsockname()[1]
        self.round_trips = 0
        self.connections = 0
        self.lose_reply = False
        """Whether to close the connection instead of passing on a reply."""
        self.replies_before = 0
        """How many replies to pass on before the one that is lost."""
        self.lost = 0
        self._sockets: list[socket.socket] = []
        threading.Thread(target=self._accept, daemon=True).start()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        for each in (self._listener, *self._sockets):
            _close(each)

    def cut(self) -> None:
        """Close all connections."""
        while self._sockets:
            _close(self._sockets.pop())

    def _accept(self) -> None:
        with suppress(OSError):
            while True:
                client, _ = self._listener.accept()  # no limit: a daemon thread
                self.connections += 1
                self._sockets.append(client)
                try:
                    self._connect(client)
                except OSError:  # the server is down
                    _close(client)
                if self._listener.fileno() < 0:  # the proxy was closed meanwhile
                    self.cut()

    def _connect(self, client: socket.socket) -> None:
        server = socket.create_connection((HOST, self._server))
        self._sockets.append(server)
        for each in (client, server):
            each.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        state = {"asked": False}
        for there, back, asks in ((client, server, True), (server, client, False)):
            args = there, back, state, asks
            threading.Thread(target=self._pass_on, args=args, daemon=True).start()

    def _pass_on(
        self, there: socket.socket, back: socket.socket, state: dict[str, bool], asks: bool
    ) -> None:
        with suppress(OSError):
            while data := there.recv(1 << 16):
                if asks and not state["asked"]:
                    self.round_trips += 1
                elif not asks and self.lose_reply:
                    if not self.replies_before:
                        self.lose_reply = False
                        self.lost += 1
                        break
                    self.replies_before -= 1
                state["asked"] = asks
                back.sendall(data)
        _close(there)
        _close(back)


def _close(each: socket.socket) -> None:
    with suppress(OSError):
        each.shutdown(socket.SHUT_RDWR)
    each.close()
