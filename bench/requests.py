"""The time that a session adds to a request, over the bare application without any middleware.

Applications are called in-process, without a server or a client, whose time would drown what is
measured. All of them take turns in each round; what counts is the median over the rounds of the
difference to the bare application in the same round. A request is one of a browser with a login
and two cookies of other people.
"""

from __future__ import annotations

import asyncio
import gc
import json
import platform
import sys
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from io import BytesIO
from statistics import median
from time import perf_counter
from typing import Any, Final

from bench import peers
from bench.peers import ACTIONS, LOGIN, ASGIApp, WSGIApp
from bench.report import Progress, table

BATCH_SECONDS: Final = 0.002
ROUNDS: Final = {"quick": 200, "full": 1500}
OTHERS: Final = "_ga=GA1.1.1209345177.1790000000; theme=dark"

REQUIRED: Final = {"unused": 20, "read": 4, "modified": 3}
AIMED_AT: Final = {"unused": 25, "read": 5, "modified": 4}
"""lembro takes at most one such part of the time that Starlette's cookie session takes."""

Batch = Callable[[int], float]
"""Serve so many requests; the seconds it took."""


@dataclass
class Contender:
    library: str
    action: str
    batch: Batch


def main(*, quick: bool) -> None:
    size = len(json.dumps(peers.session_data(), separators=(",", ":")))
    python = f"{platform.python_implementation()} {platform.python_version()}"
    print(f"{python}; a session of {size} bytes of JSON; added microseconds a request\n")
    rounds = ROUNDS["quick" if quick else "full"]
    asgi = measure("ASGI", asgi_contenders(), rounds)
    report_asgi(asgi)
    wsgi = measure("WSGI", wsgi_contenders(), rounds)
    report_wsgi(wsgi)


# -- who takes part --------------------------------------------------------------------------------


def asgi_contenders() -> list[Contender]:
    found = [Contender("bare", "", asgi_batch(peers.bare_asgi, OTHERS))]
    for library, build in peers.ASGI.items():
        try:
            apps = build()
        except ImportError as error:
            _missing(library, error)
            continue
        cookie = asgi_cookie(apps[LOGIN])
        for action in ACTIONS:
            _check_asgi(library, action, apps[action], cookie)
            found.append(Contender(library, action, asgi_batch(apps[action], cookie)))
    return found


def wsgi_contenders() -> list[Contender]:
    found = [Contender("bare", "", wsgi_batch(peers.bare_wsgi, OTHERS))]
    for library, build in peers.WSGI.items():
        try:
            apps = build()
        except ImportError as error:
            _missing(library, error)
            continue
        found += wsgi_actions(library, apps)
    return found


def _missing(library: str, error: ImportError) -> None:
    print(f"  MISSING: {library} can't be imported ({error})\n")


# -- one request -----------------------------------------------------------------------------------


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


def asgi_batch(app: ASGIApp, cookie: str) -> Batch:
    scope = _scope(cookie)

    async def serve(count: int) -> float:
        start = perf_counter()
        for _ in range(count):
            await app(dict(scope), _receive, _send)
        return perf_counter() - start

    # In a running loop, though nothing here ever waits for it: that is what libraries expect.
    return lambda count: asyncio.run(serve(count))


def asgi_cookie(login: ASGIApp) -> str:
    """The Cookie header of a browser that has logged in."""
    messages: list[Any] = []

    async def send(message: Any) -> None:
        messages.append(message)

    asyncio.run(_run(login, _scope(OTHERS), send))
    headers = [(bytes(n).lower(), bytes(v)) for n, v in messages[0]["headers"]]
    return _join([value.decode() for name, value in headers if name == b"set-cookie"])


def asgi_actions(library: str, apps: dict[str, ASGIApp]) -> list[Contender]:
    """One for each action, with the cookie that a login sets."""
    cookie = asgi_cookie(apps[LOGIN])
    for action in ACTIONS:
        _check_status(library, action, asgi_status(apps[action], cookie))
    return [Contender(library, action, asgi_batch(apps[action], cookie)) for action in ACTIONS]


def asgi_status(app: ASGIApp, cookie: str) -> int:
    given: list[int] = []

    async def send(message: Any) -> None:
        if message["type"] == "http.response.start":
            given.append(message["status"])

    asyncio.run(_run(app, _scope(cookie), send))
    return given[0]


async def _run(app: ASGIApp, scope: dict[str, Any], send: Any) -> None:
    await app(scope, _receive, send)


def _check_asgi(library: str, action: str, app: ASGIApp, cookie: str) -> None:
    """It is the session of the login that is found: else a miss would be timed."""
    if action != "unused":
        scope = _scope(cookie)
        asyncio.run(_run(app, scope, _send))
        if scope["session"].get("user_id") != "4711":
            raise SystemExit(f"{library} does not find its session; the bench is broken")


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


def wsgi_batch(app: WSGIApp, cookie: str) -> Batch:
    environ = _environ(cookie)

    def serve(count: int) -> float:
        start = perf_counter()
        for _ in range(count):
            body = app(dict(environ), _start_response)
            for _chunk in body:
                pass
            close = getattr(body, "close", None)
            if close is not None:
                close()
        return perf_counter() - start

    return serve


def wsgi_cookie(login: WSGIApp) -> str:
    given: list[tuple[str, str]] = []

    def start_response(status: str, headers: list[tuple[str, str]], exc_info: Any = None) -> Any:
        given.extend(headers)

    list(login(_environ(OTHERS), start_response))
    return _join([value for name, value in given if name.lower() == "set-cookie"])


def wsgi_actions(library: str, apps: dict[str, WSGIApp]) -> list[Contender]:
    """One for each action, with the cookie that a login sets."""
    cookie = wsgi_cookie(apps[LOGIN])
    for action in ACTIONS:
        _check_status(library, action, wsgi_status(apps[action], cookie))
    return [Contender(library, action, wsgi_batch(apps[action], cookie)) for action in ACTIONS]


def wsgi_status(app: WSGIApp, cookie: str) -> int:
    given: list[int] = []

    def start_response(status: str, headers: Any, exc_info: Any = None) -> Any:
        given.append(int(status[:3]))

    list(app(_environ(cookie), start_response))
    return given[0]


def _check_status(library: str, action: str, status: int) -> None:
    """A framework makes a 500 of a page that does not find its session, which would be timed."""
    if status != 200:
        raise SystemExit(f"{library} answers {status} ({action}); the bench is broken")


def by_action(app: WSGIApp) -> dict[str, WSGIApp]:
    """An application whose paths are the actions, as one for each."""

    def at(action: str) -> WSGIApp:
        def page(environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
            environ["PATH_INFO"] = f"/{action}"
            return app(environ, start_response)

        return page

    return {action: at(action) for action in (LOGIN, *ACTIONS)}


def _join(set_cookies: list[str]) -> str:
    assert set_cookies, "the login has set no cookie"
    return "; ".join([OTHERS, *(value.partition(";")[0] for value in set_cookies)])


# -- measuring -------------------------------------------------------------------------------------

Added = dict[tuple[str, str], float]
"""(library, action) -> microseconds a request, more than the bare application's."""


def measure(kind: str, contenders: list[Contender], rounds: int) -> Added:
    """The bare application is the first contender."""
    counts = [_count_for(contender.batch) for contender in contenders]
    added: dict[tuple[str, str], list[float]] = {}
    bare: list[float] = []
    progress = Progress()
    gc.collect()
    gc.freeze()
    for number in range(rounds):
        progress.say(f"{kind}: round {number + 1} of {rounds}")
        times = [0.0] * len(contenders)
        turn = [(number + i) % len(contenders) for i in range(len(contenders))]
        for i in turn if number % 2 else reversed(turn):
            times[i] = contenders[i].batch(counts[i]) / counts[i] * 1e6
        bare.append(times[0])
        for contender, time in zip(contenders[1:], times[1:], strict=True):
            added.setdefault((contender.library, contender.action), []).append(time - times[0])
    gc.unfreeze()
    progress.done()
    print(f"{kind} (the bare application takes {median(bare):.2f})")
    return {key: median(times) for key, times in added.items()}


def _count_for(batch: Batch) -> int:
    """How many requests fill a batch; warms up as well."""
    batch(200)
    return max(20, int(BATCH_SECONDS / (batch(200) / 200)))


# -- reporting -------------------------------------------------------------------------------------


def _rows(added: Added) -> list[list[str]]:
    libraries = dict.fromkeys(library for library, _ in added)
    return [
        [library, *(f"{added[library, action]:.2f}" for action in ACTIONS)] for library in libraries
    ]


def report_asgi(added: Added) -> None:
    rows: list[list[str] | None] = [*_rows(added)]
    reference = "Starlette (cookie)"
    libraries = [name for name in peers.ASGI if name.startswith("lembro")]
    if (reference, "read") in added:
        rows.append(None)
        parts = {}
        for library in libraries:
            parts[library] = {
                action: added[reference, action] / added[library, action] for action in ACTIONS
            }
            rows.append([f"{library}: of Starlette", *map(part, parts[library].values())])
        rows += [_bar("required", REQUIRED, parts), _bar("aimed at", AIMED_AT, parts)]
    print(table(["", *ACTIONS], rows) + "\n")


def report_wsgi(added: Added) -> None:
    rows: list[list[str] | None] = [*_rows(added)]
    if ("Beaker (memory)", "read") in added:
        parts = [
            added["Beaker (memory)", action] / added["lembro.wsgi", action] for action in ACTIONS
        ]
        rows += [None, ["lembro.wsgi: of Beaker", *map(part, parts)]]
    print(table(["", *ACTIONS], rows))


def part(of: float) -> str:
    return f"1/{of:.1f}"


def _bar(name: str, bar: dict[str, int], parts: dict[str, dict[str, float]]) -> list[str]:
    verdicts = []
    for action in ACTIONS:
        met = all(part[action] >= bar[action] for part in parts.values())
        verdicts.append(f"1/{bar[action]} {'met' if met else 'MISSED'}")
    return [name, *verdicts]
