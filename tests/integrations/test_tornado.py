"""Tornado: features of its own, with its own server."""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import Awaitable, Callable
from typing import Any

import httpx
import pytest
import websockets
from tornado.httpserver import HTTPServer
from tornado.testing import bind_unused_port
from tornado.web import Application, Finish, HTTPError, RequestHandler, authenticated
from tornado.websocket import WebSocketHandler

from lembro import (
    ConfigError,
    CookieOptions,
    LoginRequired,
    MemoryStore,
    SessionCommitted,
    SessionManager,
)
from lembro.integrations.tornado import Lembro, SessionMixin
from tests.support.stores import NETWORKED, AsyncAdapter, BlockingAdapter

Visitor = Callable[[httpx.AsyncClient], Awaitable[None]]

KINDS = pytest.mark.parametrize("networked", [False, True], ids=["in-process", "networked"])


def visit(app: Application, visitor: Visitor) -> None:
    """Serve the application while the visitor runs."""

    async def run() -> None:
        listening, port = bind_unused_port()
        server = HTTPServer(app)
        server.add_socket(listening)
        async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}", timeout=10) as client:
            await visitor(client)
        server.stop()
        await server.close_all_connections()

    asyncio.run(run())


def manager_over(networked: bool, **options: Any) -> tuple[SessionManager, Any]:
    memory = MemoryStore("1M", max_session_size="4K")
    store: Any = AsyncAdapter(memory, NETWORKED) if networked else memory
    return SessionManager(store, **options), store


class Page(SessionMixin, RequestHandler):
    pass


class Write(Page):
    def get(self) -> None:
        self.session["a"] = 1


class Read(Page):
    def get(self) -> None:
        self.write(dict(self.session))


class Login(Page):
    def get(self) -> None:
        self.session.login("heidi")


def app_over(manager: SessionManager, *handlers: Any, **settings: Any) -> Application:
    plain = [("/write", Write), ("/read", Read), ("/login", Login)]
    app = Application([*handlers, *plain], **settings)
    Lembro(app, manager)
    return app


@KINDS
def test_a_session_is_kept_for_the_next_request(networked: bool) -> None:
    async def visitor(client: httpx.AsyncClient) -> None:
        answer = await client.get("/write")
        assert answer.headers["vary"] == "Cookie"
        assert answer.headers["cache-control"] == "private, no-store"
        assert (await client.get("/read")).json() == {"a": 1}

    visit(app_over(manager_over(networked)[0]), visitor)


@KINDS
def test_a_4xx_error_keeps_changes_and_a_5xx_does_not(networked: bool) -> None:
    class Raises(Page):
        def get(self, status: str) -> None:
            self.session["a"] = 1
            raise HTTPError(int(status))

    manager, _ = manager_over(networked)

    async def visitor(client: httpx.AsyncClient) -> None:
        assert (await client.get("/raises/502")).status_code == 502
        assert await manager.alength() == 0
        assert (await client.get("/raises/403")).status_code == 403
        assert await manager.alength() == 1

    visit(app_over(manager, ("/raises/(.*)", Raises)), visitor)


@KINDS
def test_every_way_to_end_a_response_commits(networked: bool) -> None:
    class Ends(Page):
        async def get(self, how: str) -> None:
            self.session[how] = True
            match how:
                case "finish":
                    self.finish({"by": how})
                case "awaits":
                    await self.finish({"by": how})
                case "raises":
                    self.write({"by": how})
                    raise Finish
                case "redirects":
                    self.redirect("/read")
                case "flushes":
                    self.write("1")
                    first = self.flush()
                    self.write("2")
                    await self.flush()
                    await first
                    self.write("3")

    async def visitor(client: httpx.AsyncClient) -> None:
        ends = ["finish", "awaits", "raises", "redirects", "flushes"]
        bodies = []
        for how in ends:
            client.cookies.clear()
            answer = await client.get(f"/{how}")
            bodies.append(answer.text)
            assert len(answer.headers.get_list("set-cookie")) == 1
            assert (await client.get("/read")).json() == {how: True}
        assert bodies == [*(json.dumps({"by": how}) for how in ends[:3]), "", "123"]

    visit(
        app_over(manager_over(networked)[0], ("/(finish|awaits|raises|redirects|flushes)", Ends)),
        visitor,
    )


@KINDS
def test_a_value_that_cannot_be_stored_replaces_the_response(
    networked: bool, caplog: pytest.LogCaptureFixture
) -> None:
    class Large(Page):
        async def get(self, how: str) -> None:
            self.session["a"] = "x" * 5000
            self.write("all is ")
            if how == "stream":
                await self.flush()
            self.write("well")

    async def visitor(client: httpx.AsyncClient) -> None:
        for path in ("/large/page", "/large/stream"):
            answer = await client.get(path)
            assert (answer.status_code, answer.text) == (500, "The session could not be stored.\n")
            assert answer.headers["content-type"] == "text/plain; charset=utf-8"
            assert answer.headers["cache-control"] == "no-store"
            assert not client.cookies

    visit(app_over(manager_over(networked)[0], ("/large/(.*)", Large)), visitor)
    assert {r.name for r in caplog.records if r.levelno >= logging.ERROR} <= {
        "lembro",
        "tornado.access",
    }


def test_a_store_failure_is_a_503_at_the_first_access() -> None:
    class Plain(Page):
        def get(self) -> None:
            self.write("plain")

    manager, store = manager_over(networked=True)

    async def visitor(client: httpx.AsyncClient) -> None:
        await client.get("/write")
        for path, status in (("/read", 503), ("/write", 503), ("/plain", 200)):
            store.broken = "it is down"
            answer = await client.get(path)
            assert answer.status_code == status
            assert "set-cookie" not in answer.headers
        store.broken = ""
        assert (await client.get("/read")).json() == {"a": 1}

    visit(app_over(manager, ("/plain", Plain)), visitor)


def test_a_store_failure_at_the_commit_is_a_503() -> None:
    manager, store = manager_over(networked=True)

    class Breaks(Page):
        def get(self) -> None:
            self.session["a"] = 2
            store.broken = "it is down"

    async def visitor(client: httpx.AsyncClient) -> None:
        await client.get("/write")
        assert (await client.get("/breaks")).status_code == 503
        store.broken = ""
        assert (await client.get("/read")).json() == {"a": 1}

    visit(app_over(manager, ("/breaks", Breaks)), visitor)


def test_an_internal_error_at_the_commit_is_a_500() -> None:
    manager, store = manager_over(networked=True)

    class Breaks(Page):
        def get(self) -> None:
            self.session["a"] = 2
            store.set = None  # a TypeError

    async def visitor(client: httpx.AsyncClient) -> None:
        await client.get("/write")
        assert (await client.get("/breaks")).status_code == 500

    visit(app_over(manager, ("/breaks", Breaks)), visitor)


def test_authenticated_requires_a_login() -> None:
    class Mine(Page):
        @authenticated
        def get(self) -> None:
            self.write(self.current_user)

    async def visitor(client: httpx.AsyncClient) -> None:
        answer = await client.get("/mine")
        assert (answer.status_code, answer.headers["location"]) == (302, "/sign-in?next=%2Fmine")
        await client.get("/login")
        assert (await client.get("/mine")).text == "heidi"

    visit(app_over(manager_over(False)[0], ("/mine", Mine), login_url="/sign-in"), visitor)


@KINDS
def test_a_required_recent_login_is_a_401(
    networked: bool, caplog: pytest.LogCaptureFixture
) -> None:
    class Account(Page):
        def get(self) -> None:
            self.write("a part")
            self.session.require_recent(60)

    async def visitor(client: httpx.AsyncClient) -> None:
        answer = await client.get("/account")
        assert (answer.status_code, answer.text) == (401, "Log in first.\n")
        assert answer.headers["www-authenticate"] == "Cookie"
        await client.get("/login")
        assert (await client.get("/account")).status_code == 200

    visit(app_over(manager_over(networked)[0], ("/account", Account)), visitor)
    assert "Uncaught exception" not in caplog.text


def test_write_error_may_respond_to_a_required_login() -> None:
    class Account(Page):
        def get(self) -> None:
            self.session.require_recent(60)

        def write_error(self, status_code: int, **kwargs: Any) -> None:
            if isinstance(kwargs["exc_info"][1], LoginRequired):
                self.redirect("/login")
            else:
                super().write_error(status_code, **kwargs)

    async def visitor(client: httpx.AsyncClient) -> None:
        assert (await client.get("/account")).headers["location"] == "/login"
        await client.get("/login")
        assert (await client.get("/account")).status_code == 200

    visit(app_over(manager_over(False)[0], ("/account", Account)), visitor)


def test_a_late_change_is_reported(caplog: pytest.LogCaptureFixture) -> None:
    class Late(Page):
        async def get(self) -> None:
            cart = self.session.setdefault("cart", [])
            self.write("1")
            await self.flush()
            cart.append("late")

    async def visitor(client: httpx.AsyncClient) -> None:
        await client.get("/late")
        assert (await client.get("/read")).json() == {"cart": []}

    visit(app_over(manager_over(False)[0], ("/late", Late)), visitor)
    assert "changed after the response had begun" in caplog.text


# -- WebSockets ------------------------------------------------------------------------------------


class Socket(SessionMixin, WebSocketHandler):
    def prepare(self) -> None:
        self.session["opened"] = True

    async def on_message(self, message: str | bytes) -> None:
        async with self.session.edit():
            self.session["said"] = message
        await self.write_message(str(self.session.user_id))


@pytest.mark.parametrize("end", [False, True], ids=["after flush", "after finish"])
def test_a_first_access_after_the_response_has_begun_raises(end: bool) -> None:
    raised: list[SessionCommitted] = []

    class Late(Page):
        def get(self) -> None:
            (self.finish if end else self.flush)()
            try:
                self.session.get("a")
            except SessionCommitted as error:
                raised.append(error)

    async def visitor(client: httpx.AsyncClient) -> None:
        assert "vary" not in (await client.get("/late")).headers

    visit(app_over(manager_over(networked=False)[0], ("/late", Late)), visitor)
    assert "without `Vary: Cookie`" in str(raised[0])


@KINDS
def test_a_websocket_begins_a_session_and_edits_it(networked: bool) -> None:
    manager, _ = manager_over(networked)

    async def visitor(client: httpx.AsyncClient) -> None:
        url = str(client.base_url).replace("http", "ws")
        async with websockets.connect(f"{url}/ws") as socket:
            assert socket.response is not None
            cookie = socket.response.headers["set-cookie"]
            assert cookie.startswith("sid=")
            await socket.send("hello")
            assert await asyncio.wait_for(socket.recv(), 60) == "None"
        client.cookies.set("sid", cookie.partition(";")[0].partition("=")[2])
        assert (await client.get("/read")).json() == {"opened": True, "said": "hello"}

    visit(app_over(manager, ("/ws", Socket)), visitor)


def test_a_websocket_whose_session_cannot_be_stored_is_refused() -> None:
    manager, store = manager_over(networked=True)

    async def visitor(client: httpx.AsyncClient) -> None:
        store.broken = "it is down"
        url = str(client.base_url).replace("http", "ws")
        with pytest.raises(websockets.InvalidStatus) as refused:
            async with websockets.connect(f"{url}/ws"):
                pass
        assert refused.value.response.status_code == 503

    visit(app_over(manager, ("/ws", Socket)), visitor)


# -- setup -----------------------------------------------------------------------------------------


def test_a_handler_without_the_mixin_is_unchanged() -> None:
    class Plain(RequestHandler):
        def get(self) -> None:
            self.write("plain")

    async def visitor(client: httpx.AsyncClient) -> None:
        assert (await client.get("/plain")).text == "plain"

    visit(app_over(manager_over(False)[0], ("/plain", Plain)), visitor)


def test_a_missing_method_of_a_handler_is_a_405() -> None:
    class Posts(Page):
        def post(self) -> None: ...

    async def visitor(client: httpx.AsyncClient) -> None:
        assert (await client.get("/posts")).status_code == 405

    visit(app_over(manager_over(False)[0], ("/posts", Posts)), visitor)


@pytest.mark.parametrize("kind", ["plain", "async"])
def test_a_method_from_another_base_class_uses_the_session(kind: str) -> None:
    class Plain(RequestHandler):
        def get(self) -> None:
            self.write("theirs")

    class Async(RequestHandler):
        async def get(self) -> None:
            self.write("theirs")

    class Mixed(SessionMixin, Plain if kind == "plain" else Async):  # type: ignore[misc]
        def prepare(self) -> None:
            self.session["a"] = 1

    async def visitor(client: httpx.AsyncClient) -> None:
        assert (await client.get("/mixed")).text == "theirs"
        assert (await client.get("/read")).json() == {"a": 1}

    visit(app_over(manager_over(False)[0], ("/mixed", Mixed)), visitor)


def test_an_excluded_path_has_no_session(caplog: pytest.LogCaptureFixture) -> None:
    class Logo(Page):
        def get(self) -> None:
            self.write("logo")

    manager, store = manager_over(networked=True)
    app = Application([("/static/logo", Logo), ("/static/.*", Write), ("/read", Read)])
    Lembro(app, manager, exclude=["/static/"])
    store.get = None  # would fail

    async def visitor(client: httpx.AsyncClient) -> None:
        client.cookies.set("sid", "A" * 43)
        assert (await client.get("/read")).status_code == 500  # and no connection stays open
        assert (await client.get("/static/logo")).text == "logo"
        assert "no lembro session" not in caplog.text
        assert (await client.get("/static/write")).status_code == 500
        assert "no lembro session" in caplog.text

    visit(app, visitor)


def test_a_store_and_options_instead_of_a_manager() -> None:
    lembro = Lembro(Application(), store=MemoryStore("64K"), cookie=CookieOptions(name="sid"))
    assert lembro.manager.options.cookie.name == "sid"


def test_a_missing_setup_is_an_error(caplog: pytest.LogCaptureFixture) -> None:
    async def visitor(client: httpx.AsyncClient) -> None:
        assert (await client.get("/read")).status_code == 500

    visit(Application([("/read", Read)]), visitor)
    assert "Lembro(app)" in caplog.text


def test_a_websocket_without_an_access_needs_no_setup() -> None:
    class Echo(SessionMixin, WebSocketHandler):
        async def on_message(self, message: str | bytes) -> None:
            await self.write_message(message)

    async def visitor(client: httpx.AsyncClient) -> None:
        url = str(client.base_url).replace("http", "ws")
        async with websockets.connect(f"{url}/ws") as socket:
            await socket.send("hello")
            assert await asyncio.wait_for(socket.recv(), 60) == "hello"
        assert socket.close_code == 1000

    visit(Application([("/ws", Echo)]), visitor)


def test_a_blocking_store_runs_in_a_thread() -> None:
    manager = SessionManager(BlockingAdapter(MemoryStore(), NETWORKED))

    async def visitor(client: httpx.AsyncClient) -> None:
        await client.get("/write")
        assert (await client.get("/read")).json() == {"a": 1}

    visit(app_over(manager), visitor)


def test_an_invalid_path_prefix_is_refused() -> None:
    with pytest.raises(ConfigError, match="path prefixes that begin with"):
        Lembro(Application(), exclude=["static/"])
