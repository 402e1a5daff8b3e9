"""Small applications for the tests of restarts: ``asgi``, ``wsgi`` and ``flask``.

They import little, because each test starts them several times, and nothing from the tests, because
a reloader gets a copy of this file.
"""

from __future__ import annotations

import json
import os
from typing import Any

from lembro import MemoryStore, Session, SessionManager
from lembro.asgi import SessionMiddleware as ASGISessions
from lembro.wsgi import KEY
from lembro.wsgi import SessionMiddleware as WSGISessions

manager = SessionManager(MemoryStore("4M", snapshot=os.environ["LEMBRO_TEST_SNAPSHOT"]))


def _count(data: dict[str, Any]) -> int:
    data["count"] = data.get("count", 0) + 1
    return int(data["count"])


def page(session: Session, path: str) -> Any:
    name, _, argument = path.strip("/").partition("/")
    if name == "login":
        session.login(argument)
    elif name == "logout":
        session.logout()
    elif name == "count":
        return session.atomic(_count)
    elif name == "me":
        return [session.user_id, session.get("count")]
    elif name == "process":
        return os.getpid()
    return None


async def _asgi(scope: Any, receive: Any, send: Any) -> None:
    if scope["type"] == "lifespan":
        for end in ("startup", "shutdown"):
            await receive()
            await send({"type": f"lifespan.{end}.complete"})
        return
    body = json.dumps(page(scope["session"], scope["path"])).encode()
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": body})


def _wsgi(environ: Any, start_response: Any) -> list[bytes]:
    body = json.dumps(page(environ[KEY], environ["PATH_INFO"])).encode()
    start_response("200 OK", [("Content-Length", str(len(body)))])
    return [body]


asgi = ASGISessions(_asgi, manager)
wsgi = WSGISessions(_wsgi, manager)


def flask() -> Any:
    from flask import Flask  # noqa: PLC0415 - only one of the servers needs it

    app = Flask(__name__)
    app.wsgi_app = wsgi  # type: ignore[method-assign]
    return app
