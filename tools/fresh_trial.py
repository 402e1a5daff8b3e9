"""Use an installed lembro in each way that needs only msgspec; ``tools/fresh.py`` runs this.

It runs outside of the repository's packages, so it may import only the standard library and lembro.
"""

from __future__ import annotations

import asyncio
import importlib.metadata
import json
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any
from wsgiref.util import setup_testing_defaults

import lembro
from lembro import Record, SessionManager
from lembro.asgi import SessionMiddleware as ASGIMiddleware
from lembro.ids import handle_for
from lembro.stores import SQLiteStore
from lembro.wsgi import SessionMiddleware as WSGIMiddleware

HYPHENED = b"\xfb" * 32  # a key whose handle begins with a hyphen


def wsgi_app(environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
    session = environ["lembro.session"]
    session["visits"] = session.get("visits", 0) + 1
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [str(session["visits"]).encode()]


async def asgi_app(scope: Any, receive: Any, send: Any) -> None:
    session = scope["session"]
    session["visits"] = session.get("visits", 0) + 1
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": str(session["visits"]).encode()})


def try_wsgi() -> None:
    app: Any = WSGIMiddleware(wsgi_app, SessionManager())
    cookie = ""
    for expected in (b"1", b"2"):
        environ: dict[str, Any] = {"HTTP_COOKIE": cookie}
        setup_testing_defaults(environ)
        headers: list[tuple[str, str]] = []

        def start(_: str, given: Any, *rest: Any, headers: Any = headers) -> None:
            headers.extend(given)

        body = b"".join(app(environ, start))
        assert body == expected, body
        cookie = dict(headers).get("Set-Cookie", cookie).partition(";")[0]


async def try_asgi() -> None:
    app: Any = ASGIMiddleware(asgi_app, SessionManager())
    cookie = b""
    for expected in (b"1", b"2"):
        scope = {
            "type": "http",
            "method": "GET",
            "path": "/",
            "scheme": "http",
            "query_string": b"",
        }
        sent: list[Any] = []

        async def receive() -> Any:
            return {"type": "http.request", "body": b"", "more_body": False}

        async def send(message: Any, sent: list[Any] = sent) -> None:
            sent.append(message)

        await app({**scope, "headers": [(b"cookie", cookie)]}, receive, send)
        assert sent[1]["body"] == expected, sent
        headers = dict(sent[0]["headers"])
        cookie = headers.get(b"set-cookie", cookie).partition(b";")[0]


def command(*words: str) -> str:
    argv = [sys.executable, "-I", "-m", "lembro", *words]
    return subprocess.run(argv, capture_output=True, text=True, check=True, timeout=60).stdout


def try_commands(folder: str) -> None:
    path = Path(folder) / "sessions.db"
    url = f"sqlite:///{path}"
    with SQLiteStore(path) as store:
        manager = SessionManager(store)
        manager.create({"n": 1}, user_id="ana")
        [(_, found)] = store.all()
        store.add(HYPHENED, Record(found.payload), idle=60, life=60)
    assert len(command("sessions", "list", "--store", url, "--json").splitlines()) == 2
    handle = handle_for(HYPHENED)
    assert handle.startswith("-")
    assert json.loads(command("sessions", "show", handle, "--json", "--store", url))["data"]
    command("sessions", "revoke", "--store", url, handle)
    assert json.loads(command("sessions", "stats", "--json", "--store", url))["sessions"] == 1
    assert "fit into 4M" in command("size", "--max-size", "4M", sample(folder))
    assert command("schema", "--dialect", "postgresql").startswith("create table")


def sample(folder: str) -> str:
    path = Path(folder) / "sample.json"
    path.write_text('{"cart": [1, 2]}', encoding="ascii")
    return str(path)


def main() -> None:
    installed = {each.name.lower() for each in importlib.metadata.distributions()}
    assert installed <= {"lembro", "msgspec", "pip", "setuptools"}, installed
    assert not Path(lembro.__file__).is_relative_to(Path(__file__).parents[1])
    try_wsgi()
    asyncio.run(try_asgi())
    with tempfile.TemporaryDirectory() as folder:
        try_commands(folder)
    print(f"fresh: lembro {lembro.__version__} works on Python {sys.version.split()[0]}")


main()
