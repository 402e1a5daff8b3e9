"""Tornado: lembro's sessions, compared with its own signed cookie, with the data as JSON.

torndsession takes part if it is installed (its last release is of 2017).
"""

from __future__ import annotations

import asyncio
import json
import warnings
from collections.abc import Sequence
from contextlib import suppress
from functools import cached_property
from importlib import import_module
from itertools import cycle, islice
from time import process_time
from types import SimpleNamespace
from typing import Any, Final

from tornado.httputil import (
    HTTPConnection,
    HTTPHeaders,
    HTTPServerRequest,
    RequestStartLine,
    ResponseStartLine,
)
from tornado.web import Application, RequestHandler

from bench import serving
from bench.peers import ACTIONS, BODY, LOGIN, SECRET, session_data
from bench.serving import OTHERS, Batch, Contender, check_status, strangers, with_others
from lembro import MemoryStore
from lembro.integrations.tornado import Lembro, SessionMixin

REFERENCE: Final = "Tornado (signed cookie)"


def contenders() -> list[Contender]:
    """Return the contenders, the bare application first."""
    warnings.filterwarnings("ignore", "datetime.datetime.utcnow", DeprecationWarning)
    found = [Contender("bare", "", _batch(_application(_Page), "unused", strangers()))]
    lembro = _application(_LembrosPage)
    Lembro(lembro, store=MemoryStore("4M"))
    apps = {
        "lembro": lembro,
        REFERENCE: _application(_SignedPage, cookie_secret=SECRET),
    }
    with suppress(ImportError):
        apps["torndsession (memory)"] = _application(_torndsessions_page())
    for library, app in apps.items():
        cookies = asyncio.run(_log_in_and_check(library, app))
        found += [Contender(library, action, _batch(app, action, cookies)) for action in ACTIONS]
    return found


# -- the pages -------------------------------------------------------------------------------------


class _Page(RequestHandler):
    def get(self, action: str) -> None:
        if action == LOGIN:
            self.login()
        elif action == "read":
            assert self.mine()["user_id"]
        elif action == "modified":
            self.visit()
        self.write(BODY)

    def mine(self) -> Any:
        raise NotImplementedError

    def login(self) -> None:
        self.mine().update(session_data())

    def visit(self) -> None:
        self.mine()["visits"] += 1


class _LembrosPage(SessionMixin, _Page):
    def mine(self) -> Any:
        return self.session


class _SignedPage(_Page):
    @cached_property
    def data(self) -> dict[str, Any]:
        data: dict[str, Any] = json.loads(self.get_signed_cookie("session") or b"{}")
        return data

    def mine(self) -> Any:
        return self.data

    def login(self) -> None:
        super().login()
        self.set_signed_cookie("session", json.dumps(self.data), httponly=True)

    def visit(self) -> None:
        super().visit()
        self.set_signed_cookie("session", json.dumps(self.data), httponly=True)


def _torndsessions_page() -> type[_Page]:
    base: Any = import_module("torndsession.sessionhandler").SessionBaseHandler

    class Page(base, _Page):  # type: ignore[misc]
        def mine(self) -> Any:
            return self.session

        def login(self) -> None:
            for name, value in session_data().items():
                self.session.set(name, value)

        def visit(self) -> None:
            self.session.set("visits", self.session.get("visits") + 1)

    return Page


def _application(page: type[_Page], **settings: Any) -> Application:
    actions = "|".join((LOGIN, *ACTIONS))
    return Application([(f"/({actions})", page)], log_function=lambda handler: None, **settings)


# -- one request -----------------------------------------------------------------------------------


class _Connection(HTTPConnection):
    """Record the first line of a response, and discard the rest."""

    def __init__(self) -> None:
        self.context = SimpleNamespace(remote_ip="127.0.0.1", protocol="http")
        self.status = 0
        self.headers = HTTPHeaders()
        self.sent: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self.sent.set_result(None)

    def set_close_callback(self, callback: Any) -> None: ...

    def write_headers(
        self,
        start_line: RequestStartLine | ResponseStartLine,
        headers: HTTPHeaders,
        chunk: bytes | None = None,
    ) -> asyncio.Future[None]:
        self.status, self.headers = int(start_line[1]), headers
        return self.sent

    def write(self, chunk: bytes) -> asyncio.Future[None]:
        return self.sent

    def finish(self) -> None: ...


def _headers(cookie: str) -> HTTPHeaders:
    return HTTPHeaders(
        {
            "Host": "127.0.0.1:8000",
            "User-Agent": "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101",
            "Accept": "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8",
            "Accept-Language": "en-GB,en;q=0.5",
            "Cookie": cookie,
        }
    )


async def _serve(app: Application, path: str, headers: HTTPHeaders) -> _Connection:
    """Call an application as its server would, in the same task."""
    connection = _Connection()
    line = RequestStartLine("GET", path, "HTTP/1.1")
    request = HTTPServerRequest(start_line=line, headers=headers, connection=connection)
    found: Any = app.find_handler(request)
    handler = found.handler_class(app, request, **found.handler_kwargs)
    transforms = [transform(request) for transform in app.transforms]
    await handler._execute(transforms, *found.path_args, **found.path_kwargs)
    return connection


def _batch(app: Application, action: str, cookies: Sequence[str]) -> Batch:
    path = f"/{action}"
    visits = cycle([_headers(cookie) for cookie in cookies])

    async def serve(count: int) -> float:
        start = process_time()
        for headers in islice(visits, count):
            await _serve(app, path, headers)
        return process_time() - start

    return lambda count: asyncio.run(serve(count))


async def _log_in_and_check(library: str, app: Application) -> list[str]:
    """Return the cookies of the visitors' logins."""
    cookies = []
    for _ in range(serving.VISITORS):
        connection = await _serve(app, f"/{LOGIN}", _headers(OTHERS))
        cookies.append(with_others(connection.headers.get_list("Set-Cookie")))
    for action in ACTIONS:
        for cookie in cookies:
            connection = await _serve(app, f"/{action}", _headers(cookie))
            check_status(library, action, connection.status)
    return cookies
