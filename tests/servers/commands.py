"""The command that starts each server."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Final

from tests.support import ROOT
from tests.support.servers import HOST, Server, serve

ASGI: Final = "tests.servers.asgi_app:app"
WSGI: Final = "tests.servers.wsgi_app:app"
AIOHTTP: Final = "tests.servers.aiohttp_app:main"

_PYTHON: Final = sys.executable
_UVICORN: Final = [_PYTHON, "-m", "uvicorn", ASGI, "--host", HOST, "--port", "{port}"]
_GUNICORN: Final = [_PYTHON, "-m", "gunicorn", WSGI, "--bind", HOST + ":{port}"]

ASGI_SERVERS: Final[dict[str, Sequence[str]]] = {
    "uvicorn": _UVICORN,
    "granian": [
        *(_PYTHON, "-m", "granian", "--interface", "asgi"),
        *("--host", HOST, "--port", "{port}", ASGI),
    ],
    "hypercorn": [_PYTHON, "-m", "hypercorn", "--bind", HOST + ":{port}", ASGI],
    # Not ASGI, but it has the same features: streams, WebSockets, a lifespan.
    "aiohttp": [_PYTHON, "-m", "aiohttp.web", "-H", HOST, "-P", "{port}", AIOHTTP],
}
WSGI_SERVERS: Final[dict[str, Sequence[str]]] = {
    "waitress": [
        *(_PYTHON, "-m", "waitress", "--host", HOST, "--port", "{port}"),
        *("--threads", "8", WSGI),
    ],
    "gunicorn": [*_GUNICORN, "--threads", "8"],
}
OWN_SERVERS: Final[dict[str, Sequence[str]]] = {
    "sanic": [
        *(_PYTHON, "-m", "sanic", "tests.servers.sanic_app:app"),
        *("--host", HOST, "--port", "{port}"),
    ],
    "tornado": [_PYTHON, "-m", "tests.servers.tornado_app", "{port}"],
}
"""The servers of frameworks that have their own."""
_DJANGO: Final = "tests.servers.django_app:app"
DJANGO_SERVERS: Final[dict[str, Sequence[str]]] = {
    "gunicorn django": [*_GUNICORN[:3], _DJANGO, *_GUNICORN[4:], "--threads", "8"],
    "uvicorn django": [
        *("env", "LEMBRO_ASYNC=1", *_UVICORN[:3]),
        *(_DJANGO, *_UVICORN[4:], "--lifespan", "off"),
    ],
}
SERVERS: Final = {**ASGI_SERVERS, **WSGI_SERVERS, **DJANGO_SERVERS, **OWN_SERVERS}

WORKERS: Final[dict[str, Sequence[str]]] = {
    "uvicorn --workers 2": [*_UVICORN, "--workers", "2"],
    "gunicorn -w 2": [*_GUNICORN, "-w", "2"],
    "hypercorn -w 2": [*ASGI_SERVERS["hypercorn"], "-w", "2"],
    "granian --workers 2": [*ASGI_SERVERS["granian"], "--workers", "2"],
    "sanic --workers 2": [*OWN_SERVERS["sanic"], "--workers", "2"],
}
ALONE: Final[dict[str, Sequence[str]]] = {
    "uvicorn --reload": [*_UVICORN, "--reload", "--reload-dir", "tests/servers"],
    "gunicorn --preload -w 1": [*_GUNICORN, "--preload", "-w", "1"],
    **SERVERS,
}
PROXIED: Final = [*_UVICORN, "--proxy-headers", "--forwarded-allow-ips", HOST]


@contextmanager
def running(argv: Sequence[str], **env: str) -> Iterator[Server]:
    """Run a server; ``env`` is added to its environment."""
    env["PYTHONPATH"] = f"{ROOT}:{ROOT / 'src'}"
    with serve(argv, env=env, timeout=60) as server:
        yield server
