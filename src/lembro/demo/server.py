"""Run the demo under uvicorn, until Ctrl-C or SIGTERM."""

from __future__ import annotations

import os
import signal
import socket
from contextlib import suppress

import uvicorn

from .app import create_app
from .live import Live


class CannotListenError(Exception):
    """The server cannot listen on the address. The message says why, and what to do."""


class Server(uvicorn.Server):
    """Ends the event streams before it waits for the connections."""

    def __init__(self, config: uvicorn.Config, live: Live) -> None:
        super().__init__(config)
        self._live = live

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        self._live.stop()
        await super().shutdown(sockets)


def run(host: str, port: int, *, idle_timeout: float) -> None:
    """Serve until Ctrl-C or SIGTERM. Both end the demo without an error.

    Raises:
        CannotListenError: the port is in use, or the address is not this machine's.
    """
    listener = listen(host, port)
    app = create_app(idle_timeout, (host, socket.gethostname()))
    config = uvicorn.Config(app, log_level="warning", access_log=False, server_header=False)
    shown = f"[{host}]" if ":" in host else host
    print(f"lembro demo: http://{shown}:{listener.getsockname()[1]} (Ctrl-C ends it)", flush=True)
    # After the shutdown uvicorn raises the signal again. By default SIGTERM would then end the
    # process as a failure, and make would report an error.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    with listener, suppress(KeyboardInterrupt):
        Server(config, app.state.live).run(sockets=[listener])


def listen(host: str, port: int) -> socket.socket:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        return socket.create_server((host, port), family=family, backlog=128)
    except OSError as error:
        again = os.environ.get("LEMBRO_CALLED_AS", "lembro demo --port ")
        reason = (error.strerror or str(error)).partition(" (while")[0].lower()
        raise CannotListenError(
            f"can't listen on {host}, port {port} ({reason}); "
            f"choose another one, for example: {again}{min(port + 1, 65535)}"
        ) from None
