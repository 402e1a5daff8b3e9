"""Run the demo under uvicorn, in one or several processes, until Ctrl-C or SIGTERM."""

from __future__ import annotations

import multiprocessing
import os
import signal
import socket
from contextlib import suppress
from typing import Any, Final

import uvicorn

from lembro import ConfigError, MemoryStore
from lembro.stores import from_url

from .app import create_app
from .live import Live

EXAMPLE: Final = "--store sqlite:///demo.db"


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


def run(
    host: str, port: int, *, idle_timeout: float, store: str | None = None, workers: int = 1
) -> None:
    """Serve until Ctrl-C or SIGTERM. Both end the demo without an error.

    Args:
        host: The address to listen on.
        port: The port; 0 for a free one.
        idle_timeout: The idle timeout of the sessions, in seconds.
        store: The URL of a store that the workers share.
        workers: How many processes serve.

    Raises:
        CannotListenError: the port is in use, or the address is not this machine's.
        ConfigError: The URL cannot be read, or the store cannot be shared by the workers.
    """
    if store is not None and isinstance(from_url(store), MemoryStore):
        raise ConfigError(
            f"--store must be a store outside of the process, got memory:. Example: {EXAMPLE}"
        )
    if store is None and workers > 1:
        raise ConfigError(
            f"--workers {workers} needs a store that the workers share. Example: {EXAMPLE}"
        )
    listener = listen(host, port)
    shown = f"[{host}]" if ":" in host else host
    print(f"lembro demo: http://{shown}:{listener.getsockname()[1]} (Ctrl-C ends it)", flush=True)
    arguments = listener, idle_timeout, (host, socket.gethostname()), store
    with listener:
        if workers == 1:
            serve(*arguments)
        else:
            serve_in_workers(workers, *arguments)


def serve(
    listener: socket.socket, idle_timeout: float, names: tuple[str, ...], store: str | None
) -> None:
    """Serve in this process until Ctrl-C or SIGTERM."""
    app = create_app(idle_timeout, names, store)
    config = uvicorn.Config(app, log_level="warning", access_log=False, server_header=False)
    # After the shutdown uvicorn raises the signal again. By default SIGTERM would then end the
    # process as a failure, and make would report an error.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    with suppress(KeyboardInterrupt):
        Server(config, app.state.live).run(sockets=[listener])


def serve_in_workers(count: int, *arguments: Any) -> None:
    """Serve in several processes until Ctrl-C or SIGTERM.

    Args:
        count: The number of processes.
        arguments: The arguments of :func:`serve`.
    """
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    spawn = multiprocessing.get_context("spawn")
    workers = [spawn.Process(target=serve, args=arguments, daemon=True) for _ in range(count)]
    with suppress(KeyboardInterrupt):
        for worker in workers:
            worker.start()
        for worker in workers:
            worker.join()
    for worker in workers:
        if worker.pid is not None:
            worker.terminate()
            worker.join()


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
