"""A visitor of the dashboard, over both of its applications."""

from __future__ import annotations

import asyncio
import io
import re
from collections.abc import Mapping
from typing import Any, Final
from urllib.parse import urlencode

from lembro import SessionManager
from lembro.dashboard import ASGIDashboard, WSGIDashboard

SITE: Final = {"sec-fetch-site": "same-origin"}
FORM: Final = "application/x-www-form-urlencoded"


class Answer:
    """A response."""

    def __init__(self, status: int, headers: list[tuple[str, str]], body: bytes) -> None:
        self.status = status
        self.headers = {name.lower(): value for name, value in headers}
        self.body = body
        self.text = body.decode()

    @property
    def count(self) -> str:
        """The heading of the list."""
        match = re.search(r'id="list-title">(.*?)</h2>', self.text)
        assert match is not None, self.text
        return match[1]

    @property
    def next(self) -> str | None:
        """The query of the next page."""
        match = re.search(r'href="./\?([^"]*)" rel="next"', self.text)
        return None if match is None else match[1].replace("&amp;", "&")


class Visitor:
    """A browser that visits a dashboard mounted at ``/sessions``."""

    def __init__(
        self,
        manager: SessionManager,
        kind: str = "wsgi",
        *,
        scheme: str = "http",
        root: str = "/sessions",
        **keywords: Any,
    ) -> None:
        keywords.setdefault("allow", lambda request: "ada")
        self.kind, self.scheme, self.root = kind, scheme, root
        self.cookie = ""
        self.app: Any = (ASGIDashboard if kind == "asgi" else WSGIDashboard)(manager, **keywords)

    def fetch(
        self, path: str = "/", query: str = "", method: str = "GET", scope: Any = None
    ) -> Answer:
        return self.request(method, path, query, {}, b"", scope or {})

    def post(
        self,
        form: Mapping[str, str],
        headers: Mapping[str, str] = SITE,
        scope: Any = None,
    ) -> Answer:
        headers = {"content-type": FORM, **headers}
        return self.request("POST", "/", "", headers, urlencode(form).encode(), scope or {})

    def token(self) -> str:
        """Return the token of a form, and keep the cookie."""
        match = re.search(r'name="token" value="(\w+)"', self.fetch("/", "user=-").text)
        assert match is not None
        return match[1]

    def end(self, action: str, **fields: str) -> Answer:
        """Send a confirmed form."""
        form = {"token": self.token(), "action": action, "confirm": "yes", **fields}
        return self.post(form)

    def request(
        self,
        method: str,
        path: str,
        query: str,
        headers: Mapping[str, str],
        body: bytes,
        more: Mapping[str, Any],
    ) -> Answer:
        headers = {"host": "example.org", **headers}
        if self.cookie:
            headers = {"cookie": self.cookie, **headers}
        serve = self.asgi if self.kind == "asgi" else self.wsgi
        answer = serve(method, path, query, headers, body, more)
        if "set-cookie" in answer.headers:
            self.cookie = answer.headers["set-cookie"].partition(";")[0]
        return answer

    def wsgi(
        self,
        method: str,
        path: str,
        query: str,
        headers: Mapping[str, str],
        body: bytes,
        more: Mapping[str, Any],
    ) -> Answer:
        environ: dict[str, Any] = {
            "REQUEST_METHOD": method,
            "SCRIPT_NAME": self.root,
            "PATH_INFO": path,
            "QUERY_STRING": query,
            "wsgi.url_scheme": self.scheme,
            "wsgi.input": io.BytesIO(body),
            "CONTENT_LENGTH": str(len(body)),
            **{f"HTTP_{name.upper().replace('-', '_')}": value for name, value in headers.items()},
            "CONTENT_TYPE": headers.get("content-type", ""),
            **more,
        }
        begun: list[Any] = []
        chunks = b"".join(self.app(environ, lambda *args: begun.append(args)))
        return Answer(int(begun[0][0].split()[0]), begun[0][1], chunks)

    def asgi(
        self,
        method: str,
        path: str,
        query: str,
        headers: Mapping[str, str],
        body: bytes,
        more: Mapping[str, Any],
    ) -> Answer:
        scope: dict[str, Any] = {
            "type": "http",
            "method": method,
            "root_path": self.root,
            "path": self.root + path,
            "query_string": query.encode(),
            "scheme": self.scheme,
            "headers": [(name.encode(), value.encode()) for name, value in headers.items()],
            **more,
        }
        half = len(body) // 2
        messages: list[dict[str, Any]] = [
            {"body": body[:half], "more_body": True},
            {"body": body[half:]},
        ]
        sent: list[Any] = []

        async def receive() -> Any:
            return {"type": "http.request"} | messages.pop(0)

        async def send(message: Any) -> None:
            sent.append(message)

        asyncio.run(self.app(scope, receive, send))
        start, end = sent
        lines = [(name.decode(), value.decode()) for name, value in start["headers"]]
        return Answer(start["status"], lines, end["body"])
