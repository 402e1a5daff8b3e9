"""Falcon, with its own test client: features of its own, over WSGI and ASGI."""

from __future__ import annotations

import asyncio
import io
import logging
from collections.abc import AsyncIterator, Iterator
from typing import Any

import falcon
import falcon.asgi
import falcon.testing
import pytest

from lembro import (
    ConfigError,
    LoginRequired,
    MemoryStore,
    SessionCommitted,
    SessionManager,
    wsgi,
)
from lembro.asgi import SessionMiddleware as AroundASGI
from lembro.integrations.falcon import Lembro, get_session
from tests.support.stores import NETWORKED, AsyncAdapter, BlockingAdapter

KINDS = pytest.mark.parametrize("asgi", [False, True], ids=["wsgi", "asgi"])


class Page:
    """One resource for all responders; ``act`` holds the function of the responder."""

    def __init__(self, act: Any) -> None:
        self.act = act

    def on_get(self, req: falcon.Request, resp: falcon.Response) -> None:
        self.act(req, resp)


class AsyncPage(Page):
    async def on_get(  # type: ignore[override]
        self, req: falcon.asgi.Request, resp: falcon.asgi.Response
    ) -> None:
        self.act(req, resp)


def client_of(asgi: bool, manager: SessionManager, **pages: Any) -> falcon.testing.TestClient:
    app: Any = falcon.asgi.App() if asgi else falcon.App()
    Lembro(app, manager)
    for name, act in {"write": write, "read": read, "login": login, **pages}.items():
        app.add_route(f"/{name}", (AsyncPage if asgi else Page)(act))
    return falcon.testing.TestClient(app)


def get(client: falcon.testing.TestClient, path: str, cookie: str | None = None) -> Any:
    return client.simulate_get(path, cookies={"sid": cookie} if cookie else None)


def write(req: Any, resp: Any) -> None:
    req.context.session["a"] = 1


def read(req: Any, resp: Any) -> None:
    resp.media = dict(req.context.session)


def login(req: Any, resp: Any) -> None:
    get_session(req).login("heidi")


@pytest.fixture
def manager() -> SessionManager:
    return SessionManager(MemoryStore())


@KINDS
def test_a_session_is_kept_for_the_next_request(asgi: bool, manager: SessionManager) -> None:
    client = client_of(asgi, manager)
    answer = get(client, "/write")
    assert answer.headers["vary"] == "Cookie"
    assert answer.headers["cache-control"] == "private, no-store"
    cookie = answer.cookies["sid"]
    assert cookie.http_only
    answer = get(client, "/read", cookie.value)
    assert answer.json == {"a": 1}
    assert "sid" not in answer.cookies


@KINDS
def test_a_response_that_falcon_cannot_render_saves_nothing(
    asgi: bool, manager: SessionManager
) -> None:
    def unserializable(req: Any, resp: Any) -> None:
        req.context.session["a"] = 1
        resp.media = {"an object": object()}

    answer = get(client_of(asgi, manager, bad=unserializable), "/bad")
    assert answer.status_code == 500
    assert not answer.cookies
    assert manager.length() == 0


@KINDS
def test_an_http_error_keeps_changes_unless_it_is_a_5xx(
    asgi: bool, manager: SessionManager
) -> None:
    def refuses(req: Any, resp: Any) -> None:
        req.context.session["a"] = 1
        raise falcon.HTTPForbidden

    def fails(req: Any, resp: Any) -> None:
        req.context.session["a"] = 1
        raise falcon.HTTPBadGateway

    client = client_of(asgi, manager, refuses=refuses, fails=fails)
    assert get(client, "/fails").status_code == 502
    assert manager.length() == 0
    assert get(client, "/refuses").status_code == 403
    assert manager.length() == 1


@KINDS
def test_a_required_login_is_a_401(asgi: bool, manager: SessionManager) -> None:
    def account(req: Any, resp: Any) -> None:
        get_session(req).require_recent(60)

    client = client_of(asgi, manager, account=account)
    answer = get(client, "/account")
    assert (answer.status_code, answer.text) == (401, "Log in first.\n")
    assert answer.headers["www-authenticate"] == "Cookie"
    cookie = get(client, "/login").cookies["sid"].value
    assert get(client, "/account", cookie).status_code == 200


def test_a_websocket_that_requires_a_login_is_closed(manager: SessionManager) -> None:
    class Account:
        async def on_websocket(self, req: Any, ws: Any) -> None:
            await ws.accept()
            get_session(req).require_recent(60)

    app: Any = falcon.asgi.App()
    Lembro(app, manager)
    app.add_route("/ws", Account())

    async def connect() -> None:
        async with (
            falcon.testing.ASGIConductor(app) as conductor,
            conductor.simulate_ws("/ws") as ws,
        ):
            await ws.receive_text()

    with pytest.raises(falcon.WebSocketDisconnected) as closed:
        asyncio.run(connect())
    assert closed.value.code == 1008


@KINDS
def test_an_error_handler_may_respond_to_a_required_login(
    asgi: bool, manager: SessionManager
) -> None:
    def account(req: Any, resp: Any) -> None:
        get_session(req).require_recent(60)

    def ask(req: Any, resp: Any, error: Any, params: Any) -> None:
        raise falcon.HTTPSeeOther("/login")

    async def aask(req: Any, resp: Any, error: Any, params: Any) -> None:
        ask(req, resp, error, params)

    client = client_of(asgi, manager, account=account)
    app: Any = client.app
    app.add_error_handler(LoginRequired, aask if asgi else ask)
    assert get(client, "/account").headers["location"] == "/login"
    cookie = get(client, "/login").cookies["sid"].value
    assert get(client, "/account", cookie).status_code == 200


@KINDS
@pytest.mark.parametrize("asks", [True, False], ids=["accessed", "not accessed"])
def test_a_store_failure_is_a_503(asgi: bool, asks: bool) -> None:
    store: Any = (AsyncAdapter if asgi else BlockingAdapter)(MemoryStore(), NETWORKED)
    client = client_of(asgi, SessionManager(store), plain=lambda req, resp: None)
    cookie = get(client, "/write").cookies["sid"].value
    store.broken = "it is down"
    answer = get(client, "/read" if asks else "/plain", cookie)
    assert answer.status_code == (503 if asks else 200)
    if asks:
        assert answer.headers["cache-control"] == "no-store"
        assert answer.text.startswith("The session store is not available")
        assert not answer.cookies


@KINDS
def test_a_session_that_is_too_large_replaces_the_response(asgi: bool) -> None:
    def large(req: Any, resp: Any) -> None:
        req.context.session["a"] = "x" * 5000
        resp.media = {"all": "is well"}

    manager = SessionManager(MemoryStore("1M", max_session_size="4K"))
    answer = get(client_of(asgi, manager, large=large), "/large")
    assert (answer.status_code, answer.text) == (500, "The session could not be stored.\n")
    assert answer.headers["content-type"].startswith("text/plain")


@KINDS
def test_only_middlewares_added_later_have_the_session(asgi: bool, manager: SessionManager) -> None:
    seen: list[object] = []

    class Looks:
        def process_request(self, req: Any, resp: Any) -> None:
            seen.append(getattr(req.context, "session", None))

        async def process_request_async(self, req: Any, resp: Any) -> None:
            self.process_request(req, resp)

    app: Any = falcon.asgi.App() if asgi else falcon.App()
    app.add_middleware(Looks())
    Lembro(app, manager)
    app.add_middleware(Looks())
    get(falcon.testing.TestClient(app), "/")
    assert seen[0] is None
    assert seen[1] is not None


@KINDS
def test_independent_middleware_is_respected(asgi: bool, manager: SessionManager) -> None:
    app: Any = (falcon.asgi.App if asgi else falcon.App)(independent_middleware=False)
    Lembro(app, manager)
    app.add_route("/write", (AsyncPage if asgi else Page)(write))
    assert get(falcon.testing.TestClient(app), "/write").cookies["sid"]


@KINDS
def test_a_middleware_of_the_same_manager_shares_the_session(
    asgi: bool, manager: SessionManager
) -> None:
    client = client_of(asgi, manager)
    inner: Any = client.app

    async def around_asgi(scope: Any, receive: Any, send: Any) -> None:
        if "headers" in scope:  # a list, as servers have it
            scope["headers"] = [*scope["headers"]]
        await AroundASGI(inner, manager)(scope, receive, send)

    around: Any = around_asgi if asgi else wsgi.SessionMiddleware(inner, manager)
    outer = falcon.testing.TestClient(around)
    answer = get(outer, "/write")
    assert [*answer.cookies] == ["sid"]
    assert answer.headers["vary"] == "Cookie"
    assert get(outer, "/read", answer.cookies["sid"].value).json == {"a": 1}


def test_a_websocket_whose_responder_raises_before_the_accept_is_refused(
    manager: SessionManager,
) -> None:
    class Fails:
        async def on_websocket(self, req: Any, ws: Any) -> None:
            req.context.session["a"] = 2
            raise falcon.HTTPInternalServerError

    app: Any = falcon.asgi.App()
    Lembro(app, manager)
    app.add_route("/ws", Fails())
    session_id = manager.create({"a": 1})

    async def connect() -> None:
        headers = {"cookie": f"sid={session_id}"}
        async with falcon.testing.ASGIConductor(app) as conductor:
            with pytest.raises(falcon.WebSocketDisconnected):
                async with conductor.simulate_ws("/ws", headers=headers):
                    pass

    asyncio.run(connect())
    assert manager.get(session_id) == {"a": 1}


def test_a_websocket_shares_the_session_of_a_middleware_around(manager: SessionManager) -> None:
    class Writes:
        async def on_websocket(self, req: Any, ws: Any) -> None:
            get_session(req)["a"] = 2
            await ws.accept()
            await ws.send_text("done")
            # otherwise the WebSocket closes before the simulated client reads
            await ws.receive_text()

    inner: Any = falcon.asgi.App()
    Lembro(inner, manager)
    inner.add_route("/ws", Writes())
    session_id = manager.create({"a": 1})
    messages: list[Any] = []

    async def around(scope: Any, receive: Any, send: Any) -> None:
        async def seen(message: Any) -> None:
            messages.append(message)
            await send(message)

        if "headers" in scope:  # a list, as servers have it
            scope["headers"] = [tuple(pair) for pair in scope["headers"]]
        await AroundASGI(inner, manager)(scope, receive, seen)

    async def connect() -> None:
        headers = {"cookie": f"sid={session_id}"}
        app: Any = around
        async with (
            falcon.testing.ASGIConductor(app) as conductor,
            conductor.simulate_ws("/ws", headers=headers) as ws,
        ):
            assert await ws.receive_text() == "done"
            await ws.send_text("seen")

    asyncio.run(connect())
    assert manager.get(session_id) == {"a": 2}
    assert [message["type"] for message in messages].count("websocket.accept") == 1


@pytest.mark.parametrize(
    ("accepted", "code"), [(False, 3403), (True, 1013)], ids=["not accepted", "accepted"]
)
def test_a_websocket_over_a_failing_store_is_refused_or_closed_with_1013(
    accepted: bool, code: int
) -> None:
    class Looks:
        async def on_websocket(self, req: Any, ws: Any) -> None:
            if accepted:
                await ws.accept()
            get_session(req).get("a")

    store = AsyncAdapter(MemoryStore(), NETWORKED)
    app: Any = falcon.asgi.App()
    Lembro(app, SessionManager(store))
    app.add_route("/ws", Looks())
    store.broken = "connection refused"

    async def connect() -> None:
        headers = {"cookie": f"sid={'A' * 43}"}
        async with (
            falcon.testing.ASGIConductor(app) as conductor,
            conductor.simulate_ws("/ws", headers=headers) as ws,
        ):
            await ws.receive_text()

    with pytest.raises(falcon.WebSocketDisconnected) as closed:
        asyncio.run(connect())
    assert closed.value.code == code


# -- streams ---------------------------------------------------------------------------------------


def test_a_stream_edits_the_session_and_is_closed() -> None:
    manager = SessionManager(MemoryStore())
    closed: list[bool] = []

    class Chunks:
        def __init__(self, session: Any) -> None:
            self.session = session

        def __iter__(self) -> Iterator[bytes]:
            with self.session.edit():
                self.session["streamed"] = True
            yield b"done"

        def close(self) -> None:
            closed.append(True)

    def stream(req: Any, resp: Any) -> None:
        assert req.context.session
        resp.stream = Chunks(req.context.session)

    client = client_of(False, manager, stream=stream)
    cookie = get(client, "/write").cookies["sid"].value
    assert get(client, "/stream", cookie).text == "done"
    assert closed == [True]
    assert get(client, "/read", cookie).json == {"a": 1, "streamed": True}


@KINDS
def test_a_stream_of_a_plain_iterator_reports_a_late_change(
    asgi: bool, manager: SessionManager, caplog: pytest.LogCaptureFixture
) -> None:
    """The iterator has no close method, but a change at its end is reported."""

    class Chunks:
        def __init__(self, session: Any) -> None:
            self.session = session
            self.chunks = [b"done"]

        def __iter__(self) -> Any:
            return self

        def __next__(self) -> bytes:
            if not self.chunks:
                self.session["cart"].append("too late")
                raise StopIteration
            return self.chunks.pop()

        def __aiter__(self) -> Any:
            return self

        async def __anext__(self) -> bytes:
            try:
                return next(self)
            except StopIteration:
                raise StopAsyncIteration from None

    def cart(req: Any, resp: Any) -> None:
        req.context.session["cart"] = []

    def stream(req: Any, resp: Any) -> None:
        assert req.context.session
        resp.stream = Chunks(req.context.session)

    client = client_of(asgi, manager, cart=cart, stream=stream)
    cookie = get(client, "/cart").cookies["sid"].value
    with caplog.at_level(logging.ERROR, "lembro"):
        assert get(client, "/stream", cookie).text == "done"
    assert "changed after the response had begun" in caplog.text
    assert get(client, "/read", cookie).json == {"cart": []}


def test_a_file_is_passed_to_the_server(manager: SessionManager) -> None:
    file = io.BytesIO(b"a file")

    def download(req: Any, resp: Any) -> None:
        req.context.session["downloads"] = 1
        resp.stream = file
        assert resp.stream is file

    answer = get(client_of(False, manager, download=download), "/download")
    assert answer.content == b"a file"
    assert file.closed


def test_server_sent_events_edit_the_session(caplog: pytest.LogCaptureFixture) -> None:
    manager = SessionManager(MemoryStore())

    async def emitter(session: Any) -> AsyncIterator[falcon.asgi.SSEvent]:
        async with session.edit():
            session["seen"] = 1
        yield falcon.asgi.SSEvent(text=str(session["seen"]))
        session["cart"].append("too late")

    def events(req: Any, resp: Any) -> None:
        assert req.context.session
        resp.sse = emitter(req.context.session)

    def cart(req: Any, resp: Any) -> None:
        req.context.session["cart"] = []

    client = client_of(True, manager, events=events, cart=cart)
    cookie = get(client, "/cart").cookies["sid"].value
    with caplog.at_level(logging.ERROR, "lembro"):
        assert "data: 1" in get(client, "/events", cookie).text
    assert "changed after the response had begun" in caplog.text
    assert get(client, "/read", cookie).json == {"cart": [], "seen": 1}


# -- setting up ------------------------------------------------------------------------------------


def test_a_store_and_options_instead_of_a_manager() -> None:
    lembro = Lembro(falcon.App(), store=MemoryStore("64K"), idle_timeout=60)
    assert lembro.manager.options.idle_timeout == 60


def test_an_async_store_in_a_wsgi_application_is_refused() -> None:
    manager = SessionManager(AsyncAdapter(MemoryStore(), NETWORKED))
    with pytest.raises(ConfigError, match=r"unlike a falcon\.asgi\.App"):
        Lembro(falcon.App(), manager)


def test_an_invalid_path_prefix_is_refused(manager: SessionManager) -> None:
    with pytest.raises(ConfigError, match="path prefixes that begin with"):
        Lembro(falcon.asgi.App(), manager, exclude=["static/"])


def test_an_excluded_path_is_not_loaded() -> None:
    store: Any = AsyncAdapter(MemoryStore(), NETWORKED)
    app: Any = falcon.asgi.App()
    Lembro(app, SessionManager(store), exclude=["/static/"])
    app.add_route("/static/logo", AsyncPage(lambda req, resp: None))
    store.get = None  # would fail
    client = falcon.testing.TestClient(app)
    assert get(client, "/static/logo", "A" * 43).status_code == 200
    assert get(client, "/other", "A" * 43).status_code == 500


@KINDS
def test_an_excluded_path_has_no_session(asgi: bool, manager: SessionManager) -> None:
    raised: list[str] = []

    def logo(req: Any, resp: Any) -> None:
        assert not hasattr(req.context, "session")
        with pytest.raises(ConfigError) as error:
            get_session(req)
        raised.append(str(error.value))

    app: Any = falcon.asgi.App() if asgi else falcon.App()
    Lembro(app, manager, exclude=["/static/"])
    app.add_route("/static/logo", (AsyncPage if asgi else Page)(logo))
    app.add_route("/write", (AsyncPage if asgi else Page)(write))
    client = falcon.testing.TestClient(app)
    assert get(client, "/static/logo").status_code == 200
    assert "exclude=" in raised[0]
    assert get(client, "/write").cookies["sid"]


def test_a_websocket_on_an_excluded_path_has_no_session(manager: SessionManager) -> None:
    class Greets:
        async def on_websocket(self, req: Any, ws: Any) -> None:
            await ws.accept()
            await ws.send_text(str(hasattr(req.context, "session")))
            await ws.receive_text()

    app: Any = falcon.asgi.App()
    Lembro(app, manager, exclude=["/ws"])
    app.add_route("/ws", Greets())

    async def connect() -> None:
        async with (
            falcon.testing.ASGIConductor(app) as conductor,
            conductor.simulate_ws("/ws") as ws,
        ):
            assert await ws.receive_text() == "False"
            await ws.send_text("seen")

    asyncio.run(connect())


def test_get_session_says_what_is_missing() -> None:
    app = falcon.App()
    app.add_route("/login", Page(login))
    raised: list[Exception] = []

    def keep(req: Any, resp: Any, error: Exception, params: Any) -> None:
        raised.append(error)

    app.add_error_handler(ConfigError, keep)
    get(falcon.testing.TestClient(app), "/login")
    [error] = raised
    assert "Lembro(app)" in str(error)


def test_the_store_is_opened_and_closed_with_the_application() -> None:
    calls: list[str] = []

    class Opened(AsyncAdapter):
        async def open(self) -> None:
            calls.append("open")

        async def close(self) -> None:
            calls.append("close")

    async def lifetime() -> None:
        async with client_of(True, SessionManager(Opened(MemoryStore(), NETWORKED))):
            assert calls == ["open"]

    asyncio.run(lifetime())
    assert calls == ["open", "close"]


def test_an_assignment_after_the_response_raises(manager: SessionManager) -> None:
    raised: list[type[Exception]] = []

    class Late:
        def process_response(self, req: Any, resp: Any, resource: Any, req_succeeded: bool) -> None:
            try:
                req.context.session["late"] = 1
            except SessionCommitted as error:
                raised.append(type(error))

    app: Any = falcon.App(middleware=[Late()])  # around lembro's middleware, which was added later
    Lembro(app, manager)
    app.add_route("/write", Page(write))
    get(falcon.testing.TestClient(app), "/write")
    assert raised == [SessionCommitted]
