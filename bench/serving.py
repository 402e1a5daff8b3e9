"""Serve requests of many visitors in turn, each with a login and two other cookies.

The application is called in this process. Each request comes from another visitor than the one
before. If a single visitor sent all requests, they would be faster than in a real application. The
session would already be the last one of its queue, so the store would not have to move it, and its
bytes would already be in the processor's caches.
"""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Callable, Coroutine, Iterable, Mapping, Sequence
from dataclasses import dataclass
from io import BytesIO
from itertools import cycle, islice
from time import process_time
from typing import Any, Final

from bench.peers import ACTIONS, LOGIN, ASGIApp, WSGIApp

VISITORS: int = 2_000
OTHERS: Final = "_ga=GA1.1.1209345177.1790000000; theme=dark"

Batch = Callable[[int], float]
"""Serve this number of requests. Return the seconds."""
Run = Callable[[Coroutine[Any, Any, Any]], Any]
"""Run a coroutine in an event loop, as ``asyncio.run`` does."""
Clock = Callable[[], float]


@dataclass
class Contender:
    library: str
    action: str
    batch: Batch


def strangers() -> list[str]:
    """Return the Cookie headers of as many visitors without a session."""
    return [OTHERS] * VISITORS


def with_others(set_cookies: Iterable[str]) -> str:
    """Return the Cookie header of a browser that got these Set-Cookie headers."""
    pairs = [value.partition(";")[0] for value in set_cookies]
    assert pairs, "the login has set no cookie"
    return "; ".join([OTHERS, *pairs])


def check_status(library: str, action: str, status: int) -> None:
    """Raise an error for another status: otherwise an error page would be timed."""
    if status != 200:
        raise SystemExit(f"{library} answers {status} ({action}); the bench is broken")


# -- ASGI ------------------------------------------------------------------------------------------


def _scope(cookie: str) -> dict[str, Any]:
    return {
        "type": "http",
        "asgi": {"version": "3.0", "spec_version": "2.3"},
        "http_version": "1.1",
        "method": "GET",
        "scheme": "http",
        "path": "/",
        "raw_path": b"/",
        "query_string": b"",
        "root_path": "",
        "headers": [
            (b"host", b"127.0.0.1:8000"),
            (b"user-agent", b"Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101"),
            (b"accept", b"text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8"),
            (b"accept-language", b"en-GB,en;q=0.5"),
            (b"accept-encoding", b"gzip, deflate, br, zstd"),
            (b"connection", b"keep-alive"),
            (b"cookie", cookie.encode()),
        ],
        "client": ("127.0.0.1", 40000),
        "server": ("127.0.0.1", 8000),
    }


async def _receive() -> dict[str, Any]:
    return {"type": "http.request", "body": b"", "more_body": False}


async def _send(message: Any) -> None:
    pass


def asgi_batch(
    app: ASGIApp, cookies: Sequence[str], run: Run = asyncio.run, clock: Clock = process_time
) -> Batch:
    visits = cycle([_scope(cookie) for cookie in cookies])

    async def serve(count: int) -> float:
        start = clock()
        for scope in islice(visits, count):
            await app(dict(scope), _receive, _send)
        return clock() - start

    def batch(count: int) -> float:
        seconds: float = run(serve(count))  # in an event loop, as libraries expect
        return seconds

    return batch


async def _started(app: ASGIApp, cookie: str) -> Any:
    """Return the message that starts the response."""
    messages: list[Any] = []

    async def send(message: Any) -> None:
        messages.append(message)

    await app(_scope(cookie), _receive, send)
    return messages[0]


async def _logged_in(login: ASGIApp) -> str:
    start = await _started(login, OTHERS)
    headers = [(bytes(n).lower(), bytes(v)) for n, v in start["headers"]]
    return with_others(value.decode() for name, value in headers if name == b"set-cookie")


def asgi_actions(
    library: str,
    apps: Mapping[str, ASGIApp],
    run: Run = asyncio.run,
    clock: Clock = process_time,
    actions: Sequence[str] = ACTIONS,
) -> list[Contender]:
    """Return a function for each action, with the cookies of the visitors' logins."""

    async def log_in_and_check() -> list[str]:
        cookies = [await _logged_in(apps[LOGIN]) for _ in range(VISITORS)]
        for action in ACTIONS:
            for cookie in cookies:
                check_status(library, action, (await _started(apps[action], cookie))["status"])
        return cookies

    cookies = run(log_in_and_check())
    return [
        Contender(library, action, asgi_batch(apps[action], cookies, run, clock))
        for action in actions
    ]


# -- WSGI ------------------------------------------------------------------------------------------


def _environ(cookie: str) -> dict[str, Any]:
    return {
        "REQUEST_METHOD": "GET",
        "SCRIPT_NAME": "",
        "PATH_INFO": "/",
        "QUERY_STRING": "",
        "SERVER_NAME": "127.0.0.1",
        "SERVER_PORT": "8000",
        "SERVER_PROTOCOL": "HTTP/1.1",
        "REMOTE_ADDR": "127.0.0.1",
        "HTTP_HOST": "127.0.0.1:8000",
        "HTTP_ACCEPT_LANGUAGE": "en-GB,en;q=0.5",
        "HTTP_COOKIE": cookie,
        "wsgi.input": BytesIO(),
        "wsgi.errors": sys.stderr,
        "wsgi.url_scheme": "http",
    }


def _start_response(status: str, headers: Any, exc_info: Any = None) -> Callable[[bytes], None]:
    return lambda data: None


def wsgi_batch(app: WSGIApp, cookies: Sequence[str], clock: Clock = process_time) -> Batch:
    visits = cycle([_environ(cookie) for cookie in cookies])

    def serve(count: int) -> float:
        start = clock()
        for environ in islice(visits, count):
            body = app(dict(environ), _start_response)
            for _chunk in body:
                pass
            close = getattr(body, "close", None)
            if close is not None:
                close()
        return clock() - start

    return serve


def _answered(app: WSGIApp, cookie: str) -> tuple[int, list[tuple[str, str]]]:
    """Return the status and the headers of the response."""
    given: list[tuple[int, list[tuple[str, str]]]] = []

    def start_response(status: str, headers: list[tuple[str, str]], exc_info: Any = None) -> Any:
        given.append((int(status[:3]), headers))

    body = app(_environ(cookie), start_response)
    list(body)
    close = getattr(body, "close", None)
    if close is not None:
        close()
    return given[-1]


def wsgi_actions(
    library: str,
    apps: Mapping[str, WSGIApp],
    clock: Clock = process_time,
    actions: Sequence[str] = ACTIONS,
) -> list[Contender]:
    """Return a function for each action, with the cookies of the visitors' logins."""
    cookies = []
    for _ in range(VISITORS):
        _, headers = _answered(apps[LOGIN], OTHERS)
        cookies.append(
            with_others(value for name, value in headers if name.lower() == "set-cookie")
        )
    for action in ACTIONS:
        for cookie in cookies:
            check_status(library, action, _answered(apps[action], cookie)[0])
    return [
        Contender(library, action, wsgi_batch(apps[action], cookies, clock)) for action in actions
    ]


def by_action(app: WSGIApp) -> dict[str, WSGIApp]:
    """Return an application for each action, of one whose paths are the actions."""

    def at(action: str) -> WSGIApp:
        def page(environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
            environ["PATH_INFO"] = f"/{action}"
            return app(environ, start_response)

        return page

    return {action: at(action) for action in (LOGIN, *ACTIONS)}
