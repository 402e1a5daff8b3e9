"""The two middlewares over a function of the session, called as a server would call them."""

from __future__ import annotations

import asyncio
import io
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Literal

from lembro import Session, SessionManager, asgi, wsgi

Kind = Literal["asgi", "wsgi"]
KINDS: tuple[Kind, ...] = ("asgi", "wsgi")

Use = Callable[[Session], Any]


@dataclass
class Browser:
    """A browser that keeps the session cookie, by its name."""

    kind: Kind
    manager: SessionManager
    https: bool = False
    client: str | None = "127.0.0.1"
    user_agent: str | None = None
    jar: dict[str, str] = field(default_factory=dict)
    set_cookies: list[str] = field(default_factory=list)
    """The Set-Cookie headers of the last response."""

    def visit(self, use: Use) -> Any:
        """Make a request whose handler calls ``use(session)``. Return the result of ``use``."""
        results: list[Any] = []

        def handler(session: Session) -> None:
            results.append(use(session))

        headers = [("Cookie", f"{name}={value}") for name, value in self.jar.items()]
        if self.user_agent is not None:
            headers.append(("User-Agent", self.user_agent))
        sent = self._asgi(handler, headers) if self.kind == "asgi" else self._wsgi(handler, headers)
        self.set_cookies = [value for name, value in sent if name.lower() == "set-cookie"]
        for header in self.set_cookies:
            name, _, value = header.partition(";")[0].partition("=")
            if "Max-Age=0" in header:
                self.jar.pop(name, None)
            else:
                self.jar[name] = value
        return results[0]

    def _asgi(self, handler: Use, headers: list[tuple[str, str]]) -> list[tuple[str, str]]:
        async def app(scope: asgi.Scope, receive: asgi.Receive, send: asgi.Send) -> None:
            handler(scope["session"])
            await send({"type": "http.response.start", "status": 200, "headers": []})
            await send({"type": "http.response.body", "body": b""})

        sent: list[asgi.Message] = []

        async def send(message: asgi.Message) -> None:
            sent.append(message)

        async def receive() -> asgi.Message:
            return {"type": "http.request", "body": b"", "more_body": False}

        scope = {
            "type": "http",
            "method": "GET",
            "path": "/",
            "scheme": "https" if self.https else "http",
            "headers": [
                (name.lower().encode(), value.encode("latin-1")) for name, value in headers
            ],
            "client": None if self.client is None else (self.client, 50_000),
        }
        asyncio.run(_awaited(asgi.SessionMiddleware(app, self.manager), scope, receive, send))
        return [(name.decode(), value.decode()) for name, value in sent[0]["headers"]]

    def _wsgi(self, handler: Use, headers: list[tuple[str, str]]) -> list[tuple[str, str]]:
        def app(environ: Any, start_response: Any) -> list[bytes]:
            handler(environ[wsgi.KEY])
            start_response("200 OK", [])
            return [b""]

        environ: dict[str, Any] = {
            "REQUEST_METHOD": "GET",
            "PATH_INFO": "/",
            "wsgi.url_scheme": "https" if self.https else "http",
            "wsgi.input": io.BytesIO(),
        }
        if self.client is not None:
            environ["REMOTE_ADDR"] = self.client
        environ |= {f"HTTP_{name.upper().replace('-', '_')}": value for name, value in headers}
        sent: list[tuple[str, str]] = []

        def start_response(status: str, headers: list[tuple[str, str]], *_: Any) -> Any:
            sent[:] = headers
            return lambda data: None

        body: Any = wsgi.SessionMiddleware(app, self.manager)(environ, start_response)
        list(body)
        if hasattr(body, "close"):
            body.close()
        return sent


async def _awaited(app: asgi.ASGIApp, *args: Any) -> None:
    await app(*args)
