"""78. A first access in a streamed body, or in an error handler around the middleware.

The headers were sent without `Vary: Cookie`, so a cache may show one visitor's text to others. It
is an error that says what to do, in every integration and for each way to access a session.
"""

from __future__ import annotations

import inspect
from typing import Any

import pytest
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.requests import Request as StarletteRequest
from starlette.responses import PlainTextResponse
from starlette.routing import Route

from lembro import MemoryStore, SessionCommitted, SessionManager, asgi
from lembro.integrations.starlette import SessionMiddleware
from tests.failures.test_42_cached_session_page import ACCESSES
from tests.support.gateways import fetch_asgi
from tests.support.messages import Request
from tests.support.visits import Visit, World, look
from tests.support.worlds import SOCKET_KINDS, name_of

pytestmark = pytest.mark.anyio

PUBLIC = ("Cache-Control", "public, max-age=3600")


@pytest.mark.parametrize("logged_in", [True, False], ids=["logged in", "no cookie"])
async def test_every_first_access_raises(world: World, logged_in: bool) -> None:
    tab = world.tab()
    if logged_in:
        await tab.login("ada")
    seen: list[str] = []
    ways = [way for way in ACCESSES if way != "touch"]  # which tells nothing, and needs no cookie

    async def late(visit: Visit) -> None:
        for way in ways:
            access = ACCESSES[way]
            with pytest.raises(SessionCommitted, match=r"edit\(\)"):
                result = access(visit)
                if inspect.isawaitable(result):
                    await result
            seen.append(way)
        assert repr(visit.session) == "<Session, not loaded>"

    answer = await tab.visit(headers=[PUBLIC], later=late)
    assert answer.error is None
    assert seen == ways
    assert answer.all("vary") == []
    assert answer.all("cache-control") == [PUBLIC[1]]
    assert world.backend.records() == logged_in


async def test_the_error_says_what_to_do(world: World) -> None:
    async def late(visit: Visit) -> None:
        with pytest.raises(SessionCommitted, match=r"`session\.get\(key\)`"):
            look(visit)

    answer = await world.tab().visit(later=late)
    assert answer.error is None


async def test_an_access_in_the_stream_works_after_one_before_the_headers(world: World) -> None:
    tab = world.tab()
    await tab.login("ada")
    answer = await tab.visit(lambda visit: bool(visit.session), headers=[PUBLIC], later=look)
    assert answer.error is None
    assert answer.all("vary") == ["Cookie"]


# -- error handlers around the middleware ----------------------------------------------------------


@pytest.mark.parametrize("before", [True, False], ids=["accessed before", "not accessed before"])
async def test_an_error_handler_around_the_asgi_middleware(before: bool) -> None:
    manager = SessionManager(MemoryStore("64K"))

    async def fails(scope: asgi.Scope, receive: asgi.Receive, send: asgi.Send) -> None:
        if before:
            assert scope["session"].user_id == "ada"
        raise ZeroDivisionError

    inner = asgi.SessionMiddleware(fails, manager)

    async def page(scope: asgi.Scope, receive: asgi.Receive, send: asgi.Send) -> None:
        with pytest.raises(ZeroDivisionError):
            await inner(scope, receive, send)
        with pytest.raises(SessionCommitted, match="wrap the whole application"):
            scope["session"].get("name")
        await send({"type": "http.response.start", "status": 500, "headers": []})
        await send({"type": "http.response.body"})

    cookie = manager.create(user_id="ada").encode()
    answer = await fetch_asgi(page, Request(cookies=[b"sid=" + cookie]))
    assert (answer.status, answer.error) == (500, None)


async def test_starlettes_middleware_around_a_plain_application() -> None:
    async def fails(scope: asgi.Scope, receive: asgi.Receive, send: asgi.Send) -> None:
        await send({"type": "http.response.early_hint", "links": []})
        raise ZeroDivisionError

    answer = await fetch_asgi(SessionMiddleware(fails), Request())
    assert isinstance(answer.error, ZeroDivisionError)


async def _page(request: StarletteRequest, error: Exception) -> PlainTextResponse:
    user = request.session.user_id  # type: ignore[attr-defined]
    return PlainTextResponse(f"sorry, {user}", 500, dict([PUBLIC]))


def _sync_page(request: StarletteRequest, error: Exception) -> PlainTextResponse:
    user = request.session.user_id  # type: ignore[attr-defined]
    return PlainTextResponse(f"sorry, {user}", 500, dict([PUBLIC]))


class _Page:
    async def __call__(self, request: StarletteRequest, error: Exception) -> PlainTextResponse:
        return await _page(request, error)


async def _plain_page(request: StarletteRequest, error: Exception) -> PlainTextResponse:
    return PlainTextResponse("sorry", 500, dict([PUBLIC]))


@pytest.mark.parametrize("before", [True, False], ids=["accessed before", "not accessed before"])
@pytest.mark.parametrize("handler", [_page, _sync_page, _Page()], ids=["async", "sync", "object"])
async def test_starlettes_own_page_of_status_500_gets_vary(handler: Any, before: bool) -> None:
    manager = SessionManager(MemoryStore("64K"))

    async def fails(request: StarletteRequest) -> None:
        if before:
            assert request.session
        raise ZeroDivisionError

    app = Starlette(
        routes=[Route("/", fails)],
        middleware=[Middleware(SessionMiddleware, manager)],
        exception_handlers={500: handler},
    )
    cookie = manager.create(user_id="ada").encode()
    for _ in range(2):
        answer = await fetch_asgi(app, Request(cookies=[b"sid=" + cookie]))
        assert isinstance(answer.error, ZeroDivisionError)
        assert (answer.status, answer.body) == (500, b"sorry, ada")
        assert answer.all("vary") == ["Cookie"]


@pytest.mark.parametrize("installed", [True, False])
async def test_a_page_that_does_not_access_the_session_stays_cacheable(installed: bool) -> None:
    sessions: list[Any] = []

    async def fails(request: StarletteRequest) -> None:
        sessions.append(request.scope.get("session"))
        raise ZeroDivisionError

    app = Starlette(
        routes=[Route("/", fails)],
        middleware=[Middleware(SessionMiddleware, exclude=[] if installed else ["/"])],
        exception_handlers={500: _plain_page},
    )
    for _ in range(2):
        answer = await fetch_asgi(app, Request())
        assert (answer.status, answer.body, answer.all("vary")) == (500, b"sorry", [])
    if installed:
        with pytest.raises(SessionCommitted):
            bool(sessions[0])


@pytest.mark.parametrize("before", [True, False], ids=["accessed before", "not accessed before"])
async def test_an_error_of_an_outer_middleware_after_startup_gets_vary(before: bool) -> None:
    """The error handler is prepared at startup, so the failing request need not have a session."""
    manager = SessionManager(MemoryStore("64K"))

    async def reads(request: StarletteRequest) -> PlainTextResponse:
        return PlainTextResponse(str(before and dict(request.session)))

    def failing(app: asgi.ASGIApp) -> asgi.ASGIApp:
        async def fails(scope: asgi.Scope, receive: asgi.Receive, send: asgi.Send) -> None:
            async def swallow(message: asgi.Message) -> None: ...

            if scope["type"] == "lifespan":
                await app(scope, receive, send)
                return
            await app(scope, receive, swallow)
            raise ZeroDivisionError

        return fails

    app = Starlette(
        routes=[Route("/", reads)],
        middleware=[Middleware(failing), Middleware(SessionMiddleware, manager)],
        exception_handlers={500: _page},
    )
    messages = [{"type": "lifespan.startup"}, {"type": "lifespan.shutdown"}]

    async def receive() -> asgi.Message:
        return messages.pop(0)

    async def send(message: asgi.Message) -> None: ...

    await app({"type": "lifespan", "state": {}}, receive, send)
    cookie = manager.create(user_id="ada").encode()
    answer = await fetch_asgi(app, Request(cookies=[b"sid=" + cookie]))
    assert answer.body == b"sorry, ada"
    assert answer.all("vary") == ["Cookie"]


# -- no cache, no error ----------------------------------------------------------------------------


async def test_a_background_task_may_access_it_first() -> None:
    manager = SessionManager(MemoryStore("64K"))
    seen: list[Any] = []

    async def app(scope: asgi.Scope, receive: asgi.Receive, send: asgi.Send) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body"})
        seen.append(scope["session"].user_id)

    cookie = manager.create(user_id="ada").encode()
    await fetch_asgi(asgi.SessionMiddleware(app, manager), Request(cookies=[b"sid=" + cookie]))
    assert seen == ["ada"]


@pytest.mark.parametrize("kind", SOCKET_KINDS, indirect=True, ids=name_of)
async def test_a_websocket_may_access_it_first(world: World) -> None:
    tab = world.tab()
    await tab.login("ada")

    async def first(visit: Visit) -> Any:
        await visit.accept()
        return visit.session.user_id

    answer = await tab.visit(first, websocket=True)
    assert (answer.error, answer.result) == (None, "ada")
