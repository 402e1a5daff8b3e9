"""The application of ``server.js`` in Python, called without a server."""

from __future__ import annotations

import asyncio
import io
import json
import threading
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any

import lembro.asgi
import lembro.wsgi
from lembro import Session, SessionManager
from tests.support.express import PATIENCE, Answer


def act(session: Session, path: str, body: Any) -> None:
    """Do what the route of the path does in ``server.js``."""
    match path:
        case "/read":
            dict(session)
        case "/login":
            session.login(body["username"])
        case "/write":
            session[body["key"]] = body["value"]
        case "/push":
            session[body["key"]]["items"].append(body["value"])
        case "/logout" | "/passport-logout":
            session.logout()
        case "/regenerate":
            session.regenerate_id()
        case _:
            raise AssertionError(f"no route {path}")


def answer_of(session: Session) -> bytes:
    return json.dumps({"session": dict(session), "user": session.user_id}).encode()


class Site:
    """The application over a manager. Subclasses are WSGI or ASGI."""

    def ask(
        self,
        path: str,
        body: object = None,
        cookie: str = "",
        headers: Mapping[str, str] = {},
        *,
        during: Callable[[], object] = lambda: None,
    ) -> Answer:
        """Handle a request.

        Args:
            path: A route of ``server.js``.
            body: What the request holds as JSON.
            cookie: Its header ``Cookie``.
            headers: Its other headers.
            during: Called by the handler after the session is loaded.
        """
        raise NotImplementedError

    @contextmanager
    def held(self, path: str, body: object = None, cookie: str = "") -> Iterator[list[Answer]]:
        """Handle a request, whose handler waits with its session loaded until the block ends."""
        held, released = threading.Event(), threading.Event()
        answers: list[Answer] = []

        def wait() -> None:
            held.set()
            assert released.wait(PATIENCE)

        with ThreadPoolExecutor(1) as pool:
            request = pool.submit(self.ask, path, body, cookie, during=wait)
            try:
                assert held.wait(PATIENCE)
                yield answers
            finally:
                released.set()
            answers.append(request.result(PATIENCE))


class WSGISite(Site):
    def __init__(self, manager: SessionManager) -> None:
        self._app = lembro.wsgi.SessionMiddleware(self._handle, manager)

    def _handle(self, environ: Any, start_response: Any) -> list[bytes]:
        session = environ["lembro.session"]
        dict(session)
        environ["test.during"]()
        act(session, environ["PATH_INFO"], json.load(environ["wsgi.input"]))
        start_response("200 OK", [("Content-Type", "application/json")])
        return [answer_of(session)]

    def ask(
        self,
        path: str,
        body: object = None,
        cookie: str = "",
        headers: Mapping[str, str] = {},
        *,
        during: Callable[[], object] = lambda: None,
    ) -> Answer:
        environ = {
            "REQUEST_METHOD": "GET" if body is None else "POST",
            "PATH_INFO": path,
            "SCRIPT_NAME": "",
            "SERVER_NAME": "127.0.0.1",
            "SERVER_PORT": "80",
            "SERVER_PROTOCOL": "HTTP/1.1",
            "wsgi.url_scheme": "http",
            "wsgi.input": io.BytesIO(json.dumps(body).encode()),
            "wsgi.errors": io.StringIO(),
            "test.during": during,
            **({"HTTP_COOKIE": cookie} if cookie else {}),
            **{f"HTTP_{name.upper().replace('-', '_')}": value for name, value in headers.items()},
        }
        started: list[Any] = []
        content: Any = self._app(environ, lambda *args: started.append(args))  # type: ignore[arg-type]
        text = b"".join(content).decode()
        if hasattr(content, "close"):
            content.close()
        status, sent, *_ = started[0]
        cookies = [value for name, value in sent if name.lower() == "set-cookie"]
        return Answer(int(status[:3]), cookies, text)


class ASGISite(Site):
    def __init__(self, manager: SessionManager, runner: asyncio.Runner) -> None:
        self._app = lembro.asgi.SessionMiddleware(self._handle, manager)
        self._runner = runner

    async def _handle(self, scope: Any, receive: Any, send: Any) -> None:
        session = scope["session"]
        dict(session)
        scope["during"]()
        act(session, scope["path"], json.loads((await receive())["body"]))
        head = [(b"content-type", b"application/json")]
        await send({"type": "http.response.start", "status": 200, "headers": head})
        await send({"type": "http.response.body", "body": answer_of(session)})

    def ask(
        self,
        path: str,
        body: object = None,
        cookie: str = "",
        headers: Mapping[str, str] = {},
        *,
        during: Callable[[], object] = lambda: None,
    ) -> Answer:
        sent = [(name.lower().encode(), value.encode()) for name, value in headers.items()]
        if cookie:
            sent.append((b"cookie", cookie.encode()))
        scope = {
            "type": "http",
            "asgi": {"version": "3.0"},
            "http_version": "1.1",
            "method": "GET" if body is None else "POST",
            "scheme": "http",
            "path": path,
            "raw_path": path.encode(),
            "query_string": b"",
            "headers": sent,
            "client": ("127.0.0.1", 1),
            "server": ("127.0.0.1", 80),
            "during": during,
        }
        messages: list[Any] = []

        async def receive() -> Any:
            return {"type": "http.request", "body": json.dumps(body).encode()}

        async def send(message: Any) -> None:
            messages.append(message)

        self._runner.run(self._app(scope, receive, send))
        start = next(each for each in messages if each["type"] == "http.response.start")
        cookies = [value.decode() for name, value in start["headers"] if name == b"set-cookie"]
        text = b"".join(each.get("body", b"") for each in messages).decode()
        return Answer(start["status"], cookies, text)
