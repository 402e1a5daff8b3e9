"""aiohttp: lembro's middleware and its storage, compared with those of aiohttp-session."""

from __future__ import annotations

import asyncio
import warnings
from collections.abc import Callable, Sequence
from itertools import cycle, islice
from time import process_time
from types import SimpleNamespace
from typing import Any, Final

import aiohttp_session
from aiohttp import web
from aiohttp.abc import AbstractStreamWriter
from aiohttp.http import HttpVersion11, RawRequestMessage
from aiohttp.streams import EMPTY_PAYLOAD
from multidict import CIMultiDict, CIMultiDictProxy
from yarl import URL

from bench import serving
from bench.peers import ACTIONS, BODY, LOGIN, session_data
from bench.serving import OTHERS, Batch, Contender, check_status, strangers, with_others
from lembro import MemoryStore
from lembro.integrations.aiohttp import get_session, setup
from lembro.integrations.aiohttp.aiohttp_session import LembroStorage

SetUp = Callable[[web.Application], Any]
REFERENCE: Final = "aiohttp-session (SimpleCookieStorage)"


def contenders() -> list[Contender]:
    """Return the contenders, the bare application first."""
    warnings.simplefilter("ignore", web.NotAppKeyWarning)  # the keys of aiohttp-session
    found = [Contender("bare", "", _batch(_application(lambda app: None, _bare), strangers()))]
    setups: dict[str, tuple[SetUp, Any]] = {
        "lembro": (lambda app: setup(app, store=MemoryStore("4M")), _lembros),
        "lembro (LembroStorage)": (_storage(LembroStorage(store=MemoryStore("4M"))), _theirs),
        REFERENCE: (_storage(aiohttp_session.SimpleCookieStorage()), _theirs),
    }
    for library, (set_up, session_of) in setups.items():
        app = _application(set_up, session_of)
        cookies = asyncio.run(_log_in_and_check(library, app))
        found += [Contender(library, action, _batch(app, cookies, action)) for action in ACTIONS]
    return found


def _storage(storage: aiohttp_session.AbstractStorage) -> SetUp:
    return lambda app: aiohttp_session.setup(app, storage)


async def _lembros(request: web.Request) -> Any:
    return get_session(request)


async def _theirs(request: web.Request) -> Any:
    return await aiohttp_session.get_session(request)


async def _bare(request: web.Request) -> Any:
    return {}


def _application(set_up: SetUp, session_of: Any) -> web.Application:
    async def login(request: web.Request) -> web.Response:
        (await session_of(request)).update(session_data())
        return _page()

    async def unused(request: web.Request) -> web.Response:
        return _page()

    async def read(request: web.Request) -> web.Response:
        assert (await session_of(request))["user_id"]
        return _page()

    async def modified(request: web.Request) -> web.Response:
        session = await session_of(request)
        session["visits"] += 1
        return _page()

    app = web.Application()
    set_up(app)
    for handler in (login, unused, read, modified):
        app.router.add_get(f"/{handler.__name__}", handler)
    app.freeze()
    return app


def _page() -> web.Response:
    return web.Response(body=BODY, content_type="text/html")


class _Nowhere(AbstractStreamWriter):
    async def write(self, chunk: Any) -> None: ...
    async def write_eof(self, chunk: bytes = b"") -> None: ...
    async def drain(self) -> None: ...
    def enable_compression(self, encoding: str = "", strategy: int | None = None) -> None: ...
    def enable_chunking(self) -> None: ...
    async def write_headers(self, status_line: str, headers: Any) -> None: ...


_PROTOCOL: Any = SimpleNamespace(
    ssl_context=None, peername=("127.0.0.1", 40000), sockname=("127.0.0.1", 8000), transport=None
)
_TASK: Any = None


def _message(path: str, cookie: str) -> RawRequestMessage:
    headers = CIMultiDict(
        {
            "Host": "127.0.0.1:8000",
            "User-Agent": "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101",
            "Accept": "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8",
            "Accept-Language": "en-GB,en;q=0.5",
            "Cookie": cookie,
        }
    )
    return RawRequestMessage(
        "GET",
        path,
        HttpVersion11,
        CIMultiDictProxy(headers),
        (),
        False,
        None,
        False,
        False,
        URL(path),
    )


async def _serve(
    app: web.Application, message: RawRequestMessage, loop: asyncio.AbstractEventLoop
) -> web.StreamResponse:
    request = web.Request(message, EMPTY_PAYLOAD, _PROTOCOL, _Nowhere(), _TASK, loop)
    response = await app._handle(request)
    await response.prepare(request)
    await response.write_eof()
    return response


def _batch(app: web.Application, cookies: Sequence[str], action: str = "unused") -> Batch:
    messages = cycle([_message(f"/{action}", cookie) for cookie in cookies])

    async def serve(count: int) -> float:
        loop = asyncio.get_running_loop()
        start = process_time()
        for message in islice(messages, count):
            await _serve(app, message, loop)
        return process_time() - start

    return lambda count: asyncio.run(serve(count))


async def _log_in_and_check(library: str, app: web.Application) -> list[str]:
    """Return the cookies of the visitors' logins."""
    loop = asyncio.get_running_loop()
    cookies = []
    for _ in range(serving.VISITORS):
        response = await _serve(app, _message(f"/{LOGIN}", OTHERS), loop)
        cookies.append(with_others(response.headers.getall("Set-Cookie")))
    for action in ACTIONS:
        for cookie in cookies:
            response = await _serve(app, _message(f"/{action}", cookie), loop)
            check_status(library, action, response.status)
    return cookies
