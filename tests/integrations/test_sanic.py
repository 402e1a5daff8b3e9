"""Sanic: features of its own. httpx calls it as an ASGI server would.

``tests/servers/`` has tests with its own server.
"""

# mypy: disable-error-code="untyped-decorator"

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import httpx
import pytest
from sanic import Blueprint, Request, SanicException
from sanic.exceptions import ServiceUnavailable
from sanic.response import HTTPResponse, ResponseStream, json, text

from lembro import (
    ConfigError,
    CookieOptions,
    LoginRequired,
    MemoryStore,
    Session,
    SessionCommitted,
    SessionManager,
)
from lembro.asgi import SessionMiddleware
from lembro.errors import StoreUnavailable, UsageError
from lembro.integrations.sanic import Lembro, _Exchange, _socket_failed, get_session
from lembro.manager import runner_of
from tests.support.apps_sanic import new_app
from tests.support.gateways import fetch_asgi
from tests.support.messages import Request as AsASGI
from tests.support.stores import NETWORKED, AsyncAdapter

Visitor = Callable[[httpx.AsyncClient], Awaitable[None]]


@pytest.fixture
def manager() -> SessionManager:
    return SessionManager(MemoryStore())


@pytest.fixture
def app(manager: SessionManager) -> Any:
    return app_with(manager)


def app_with(
    manager: SessionManager, request_class: type[Request] = Request, **keywords: Any
) -> Any:
    app = new_app()
    app.request_class = request_class
    Lembro(app, manager, **keywords)

    @app.get("/write")
    async def write(request: Request) -> HTTPResponse:
        request.ctx.session["a"] = 1
        return text("written")

    @app.get("/read")
    async def read(request: Request) -> HTTPResponse:
        return json(dict(request.ctx.session))

    @app.get("/login")
    async def login(request: Request) -> HTTPResponse:
        get_session(request).login("heidi")
        return text("hello")

    return app


def visit(app: Any, visitor: Visitor, around: Any = None) -> None:
    async def run() -> None:
        app.asgi = True
        await app._startup()
        await app._server_event("init", "before")
        transport = httpx.ASGITransport(around or app)
        async with httpx.AsyncClient(transport=transport, base_url="http://test") as client:
            await visitor(client)
        await app._server_event("shutdown", "after")

    asyncio.run(run())


def test_a_session_is_kept_for_the_next_request(app: Any) -> None:
    async def visitor(client: httpx.AsyncClient) -> None:
        answer = await client.get("/write")
        assert answer.headers["vary"] == "Cookie"
        assert answer.headers["cache-control"] == "private, no-store"
        assert (await client.get("/read")).json() == {"a": 1}

    visit(app, visitor)


def test_a_4xx_exception_keeps_changes_and_a_5xx_does_not(
    app: Any, manager: SessionManager
) -> None:
    @app.get("/<status:int>")
    async def answers(request: Request, status: int) -> None:
        request.ctx.session["a"] = 1
        raise SanicException("so it is", status_code=status)

    async def visitor(client: httpx.AsyncClient) -> None:
        assert (await client.get("/502")).status_code == 502
        assert manager.length() == 0
        assert (await client.get("/403")).status_code == 403
        assert manager.length() == 1

    visit(app, visitor)


def test_a_required_login_is_a_401(app: Any) -> None:
    @app.get("/account")
    async def account(request: Request) -> HTTPResponse:
        get_session(request).require_recent(60)
        return text("yours")

    async def visitor(client: httpx.AsyncClient) -> None:
        answer = await client.get("/account")
        assert (answer.status_code, answer.text) == (401, "Log in first.\n")
        assert answer.headers["www-authenticate"] == "Cookie"
        await client.get("/login")
        assert (await client.get("/account")).text == "yours"

    visit(app, visitor)


def test_an_exception_handler_may_respond_to_a_required_login(app: Any) -> None:
    @app.exception(LoginRequired)
    async def ask(request: Request, error: LoginRequired) -> HTTPResponse:
        return text(str(error), 401)

    account = Blueprint("account")

    @account.get("/account")
    async def show(request: Request) -> HTTPResponse:
        get_session(request).require_recent(60)
        return text("yours")

    app.blueprint(account)

    async def visitor(client: httpx.AsyncClient) -> None:
        assert (await client.get("/account")).text.startswith(
            "a login within the last 60 s is required"
        )
        await client.get("/login")
        assert (await client.get("/account")).text == "yours"

    visit(app, visitor)


def test_a_page_that_is_not_found_has_the_session(app: Any) -> None:
    @app.on_request
    async def count(request: Request) -> None:
        request.ctx.session["seen"] = request.ctx.session.get("seen", 0) + 1

    async def visitor(client: httpx.AsyncClient) -> None:
        assert (await client.get("/nowhere")).status_code == 404
        assert (await client.get("/read")).json() == {"seen": 2}

    visit(app, visitor)


def test_a_middleware_that_was_added_before_lembro_has_the_session(
    manager: SessionManager,
) -> None:
    app = new_app()

    @app.on_request
    async def count(request: Request) -> HTTPResponse:
        request.ctx.session["seen"] = request.ctx.session.get("seen", 0) + 1
        return json(dict(request.ctx.session))

    Lembro(app, manager)

    async def visitor(client: httpx.AsyncClient) -> None:
        await client.get("/")
        assert (await client.get("/")).json() == {"seen": 2}

    visit(app, visitor)


def test_a_first_access_after_the_response_has_begun_raises(app: Any) -> None:
    raised: list[SessionCommitted] = []

    @app.get("/stream")
    async def stream(request: Request) -> None:
        response: Any = await request.respond()
        try:
            get_session(request).get("a")
        except SessionCommitted as error:
            raised.append(error)
        await response.eof()

    async def visitor(client: httpx.AsyncClient) -> None:
        assert "vary" not in (await client.get("/stream")).headers

    visit(app, visitor)
    assert "without `Vary: Cookie`" in str(raised[0])


def test_a_stream_that_times_out_before_its_first_byte_is_a_503() -> None:
    app = app_with(SessionManager(AsyncAdapter(MemoryStore(), NETWORKED)))

    @app.get("/slow")
    async def slow(request: Request) -> None:
        await request.respond()
        await app.handle_exception(request, ServiceUnavailable())  # as its server does with a timer

    async def visitor(client: httpx.AsyncClient) -> None:
        assert (await client.get("/slow")).status_code == 503

    visit(app, visitor)


def test_a_response_timeout_drops_the_handlers_changes(app: Any, manager: SessionManager) -> None:
    """Sanic then calls the request middlewares again, and drops the changes of the handler."""
    seen: list[Any] = []

    @app.on_request
    async def remember(request: Request) -> None:
        seen.append(get_session(request))

    @app.get("/slow")
    async def slow(request: Request) -> None:
        get_session(request)["a"] = 1
        await app.handle_exception(request, ServiceUnavailable())  # as its server does with a timer

    async def visitor(client: httpx.AsyncClient) -> None:
        answer = await client.get("/slow")
        assert (answer.status_code, "set-cookie" in answer.headers) == (503, False)

    visit(app, visitor)
    assert len(seen) == 2
    assert seen[0] is seen[1]
    assert manager.length() == 0


def test_a_response_middleware_that_replaces_the_response_keeps_the_cookie(app: Any) -> None:
    @app.on_response
    async def replace(request: Request, response: HTTPResponse) -> HTTPResponse:
        request.ctx.session["late"] = 1  # before the first byte
        return text("instead")

    async def visitor(client: httpx.AsyncClient) -> None:
        answer = await client.get("/write")
        assert answer.text == "instead"
        assert "sid" in client.cookies

    visit(app, visitor)


def test_a_response_shared_by_several_visitors_has_no_cookie_of_another(app: Any) -> None:
    shared = text("welcome")

    @app.get("/welcome")
    async def welcome(request: Request) -> HTTPResponse:
        request.ctx.session["seen"] = True
        return shared

    async def visitor(client: httpx.AsyncClient) -> None:
        cookies = set()
        for _ in range(3):
            answer = await client.get("/welcome")
            assert len(answer.headers.get_list("set-cookie")) == 1
            cookies.add(answer.cookies["sid"])
            client.cookies.clear()
        assert len(cookies) == 3
        assert "set-cookie" not in shared.headers

    visit(app, visitor)


def test_other_cookies_are_kept(app: Any) -> None:
    @app.get("/theme")
    async def theme(request: Request) -> None:
        request.ctx.session["a"] = 1
        response = text("dark")
        response.add_cookie("theme", "dark", secure=False)
        begun: Any = await request.respond(response)
        begun.add_cookie("size", "large", secure=False)
        await begun.eof()

    async def visitor(client: httpx.AsyncClient) -> None:
        await client.get("/theme")
        assert {*client.cookies} == {"theme", "size", "sid"}

    visit(app, visitor)


def test_a_session_that_is_too_large_replaces_the_response(
    caplog: pytest.LogCaptureFixture,
) -> None:
    app = app_with(SessionManager(MemoryStore("1M", max_session_size="4K")))

    @app.get("/large")
    async def large(request: Request) -> HTTPResponse:
        request.ctx.session["a"] = "x" * 5000
        return text("all is well")

    @app.get("/stream")
    async def stream(request: Request) -> None:
        request.ctx.session["a"] = "x" * 5000
        response: Any = await request.respond()
        await response.send("all is ")
        await response.send("well")
        await response.eof()

    async def visitor(client: httpx.AsyncClient) -> None:
        for path in ("/large", "/stream"):
            answer = await client.get(path)
            assert (answer.status_code, answer.text) == (500, "The session could not be stored.\n")
            assert answer.headers["content-type"] == "text/plain; charset=utf-8"
            assert not client.cookies

    visit(app, visitor)
    assert {record.name for record in caplog.records if record.levelname == "ERROR"} == {"lembro"}


def test_the_headers_of_a_replaced_stream_are_sanics(app: Any) -> None:
    @app.get("/stream")
    async def stream(request: Request) -> None:
        get_session(request)["a"] = 1
        response: Any = await request.respond()
        assert response.stream.request is request
        await response.send("done", True)

    async def visitor(client: httpx.AsyncClient) -> None:
        assert (await client.get("/stream")).text == "done"

    visit(app, visitor)


def test_a_streaming_function_edits_the_session(app: Any) -> None:
    @app.get("/stream")
    async def stream(request: Request) -> ResponseStream:
        session = get_session(request)
        assert session["a"] == 1

        async def write(response: Any) -> None:
            async with session.edit():
                session["streamed"] = True
            await response.write("done")

        return ResponseStream(write)

    async def visitor(client: httpx.AsyncClient) -> None:
        await client.get("/write")
        assert (await client.get("/stream")).text == "done"
        assert (await client.get("/read")).json() == {"a": 1, "streamed": True}

    visit(app, visitor)


def test_a_store_failure_is_a_503_at_the_first_access() -> None:
    store = AsyncAdapter(MemoryStore(), NETWORKED)
    app = app_with(SessionManager(store))

    @app.get("/plain")
    async def plain(request: Request) -> HTTPResponse:
        return text("plain")

    async def visitor(client: httpx.AsyncClient) -> None:
        await client.get("/write")
        store.broken = "it is down"
        answer = await client.get("/read")
        assert (answer.status_code, answer.headers["cache-control"]) == (503, "no-store")
        assert (await client.get("/plain")).text == "plain"

    visit(app, visitor)


def test_an_excluded_path_has_no_session() -> None:
    store = AsyncAdapter(MemoryStore(), NETWORKED)
    app = app_with(SessionManager(store), exclude=["/wri"])

    async def visitor(client: httpx.AsyncClient) -> None:
        client.cookies.set("sid", "A" * 43)
        assert (await client.get("/write")).status_code == 500  # without a session
        assert (await client.get("/read")).status_code == 200

    visit(app, visitor)


def test_an_asgi_middleware_of_the_same_manager_shares_the_session(
    app: Any, manager: SessionManager
) -> None:
    async def visitor(client: httpx.AsyncClient) -> None:
        answer = await client.get("/write")
        assert len(answer.headers.get_list("set-cookie")) == 1
        assert (await client.get("/read")).json() == {"a": 1}

    visit(app, visitor, SessionMiddleware(app, manager))


@pytest.mark.parametrize("shared", [False, True], ids=["alone", "inside a middleware"])
def test_a_websocket_under_an_asgi_server_works(
    app: Any, manager: SessionManager, shared: bool, caplog: pytest.LogCaptureFixture
) -> None:
    session_id = manager.create({"cart": []})

    @app.on_request
    async def count(request: Request) -> None:
        get_session(request)["visits"] = 1

    @app.websocket("/ws")
    async def socket(request: Request, ws: Any) -> None:
        get_session(request)["cart"].append("too late")

    async def run() -> None:
        app.asgi = True
        await app._startup()
        served = SessionMiddleware(app, manager) if shared else app
        request = AsASGI(cookies=[f"sid={session_id}".encode()], path="/ws", websocket=True)
        answer = await asyncio.create_task(fetch_asgi(served, request))
        assert (answer.status, answer.error) == (101, None)

    asyncio.run(run())
    assert manager.get(session_id) == {"cart": [], "visits": 1}
    assert caplog.text.count("changed after the response had begun") == 1


def test_https_under_an_asgi_server_is_recognised(app: Any) -> None:
    async def visitor(client: httpx.AsyncClient) -> None:
        answer = await client.get("https://test/write")
        assert answer.headers["set-cookie"].startswith("__Host-sid=")

    visit(app, visitor)


def test_https_of_a_trusted_proxy_is_recognised(app: Any) -> None:
    app.config.PROXIES_COUNT = 1
    forwarded = {"X-Forwarded-For": "192.0.2.1", "X-Forwarded-Proto": "https"}

    async def visitor(client: httpx.AsyncClient) -> None:
        answer = await client.get("/write", headers=forwarded)
        assert answer.headers["set-cookie"].startswith("__Host-sid=")

    visit(app, visitor)


def test_the_scheme_of_the_applications_request_class_is_used(manager: SessionManager) -> None:
    class Mine(Request):
        @property
        def scheme(self) -> str:
            return "https"

    app = app_with(manager, Mine)

    async def visitor(client: httpx.AsyncClient) -> None:
        assert (await client.get("/write")).headers["set-cookie"].startswith("__Host-sid=")

    visit(app, visitor)


def test_a_first_access_after_the_end_of_the_request_raises(manager: SessionManager) -> None:
    class Gone:
        pass

    request: Any = Gone()
    session = Session(_Exchange(runner_of(manager), request))
    del request
    with pytest.raises(UsageError, match="before its request ends"):
        session.get("a")


# -- setting up ------------------------------------------------------------------------------------


def test_the_applications_request_class_is_extended(manager: SessionManager) -> None:
    class Mine(Request):
        def mine(self) -> str:
            return "mine"

    app = app_with(manager, Mine)

    @app.get("/")
    async def index(request: Mine) -> HTTPResponse:
        get_session(request)["a"] = 1
        return text(request.mine())

    async def visitor(client: httpx.AsyncClient) -> None:
        assert (await client.get("/")).text == "mine"
        assert "sid" in client.cookies

    visit(app, visitor)


def test_a_store_and_options_instead_of_a_manager() -> None:
    lembro = Lembro(new_app(), store=MemoryStore("64K"), cookie=CookieOptions(name="sid"))
    assert lembro.manager.options.cookie.name == "sid"


def test_a_second_setup_is_refused(app: Any, manager: SessionManager) -> None:
    with pytest.raises(ConfigError, match="already installed in this application"):
        Lembro(app, manager)


def test_get_session_says_what_is_missing() -> None:
    app = new_app()
    raised: list[str] = []

    @app.get("/")
    async def index(request: Request) -> HTTPResponse:
        try:
            get_session(request)
        except ConfigError as error:
            raised.append(str(error))
        return text("")

    async def visitor(client: httpx.AsyncClient) -> None:
        await client.get("/")

    visit(app, visitor)
    assert "Lembro(app)" in raised[0]


def test_the_store_is_opened_and_closed_with_the_server() -> None:
    calls: list[str] = []

    class Opened(AsyncAdapter):
        async def open(self) -> None:
            calls.append("open")

        async def close(self) -> None:
            calls.append("close")

    async def visitor(client: httpx.AsyncClient) -> None:
        assert calls == ["open"]

    visit(app_with(SessionManager(Opened(MemoryStore(), NETWORKED))), visitor)
    assert calls == ["open", "close"]


def test_a_websocket_whose_session_cannot_be_used_is_closed() -> None:
    closed: list[tuple[int, str]] = []

    class Socket:
        async def close(self, code: int, reason: str) -> None:
            closed.append((code, reason))

    async def run() -> None:
        request: Any = None
        await _socket_failed(request, Socket(), StoreUnavailable("down"))
        await _socket_failed(request, Socket(), ValueError("of the handler"))

    asyncio.run(run())
    [(code, _)] = closed
    assert code == 1013
