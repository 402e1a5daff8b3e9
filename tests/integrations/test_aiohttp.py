"""aiohttp, with its own server and client.

The behaviour suite calls the application itself, so it does not cover these cases.
"""

from __future__ import annotations

import asyncio
import gc
import weakref
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from aiohttp import ClientPayloadError, ClientResponse, WSServerHandshakeError, web
from aiohttp.test_utils import TestClient, TestServer
from aiohttp.typedefs import Handler

from lembro import (
    ConfigError,
    CookieOptions,
    LoginRequired,
    MemoryStore,
    Session,
    SessionCommitted,
    SessionManager,
    SessionOptions,
)
from lembro.events import Event
from lembro.integrations.aiohttp import get_session, setup
from lembro.manager import runner_of
from tests.support.stores import AsyncBackend

pytestmark = pytest.mark.anyio

Client = TestClient[web.Request, web.Application]
HUGE = "x" * 5000


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture
def manager() -> SessionManager:
    return SessionManager(MemoryStore("1M", max_session_size="4K"))


@asynccontextmanager
async def serving(app: web.Application, **handlers: Handler) -> AsyncIterator[Client]:
    for name, handler in handlers.items():
        app.router.add_get(f"/{name}", handler)
    async with TestClient(TestServer(app)) as client:
        yield client


def application(manager: SessionManager, **options: Any) -> web.Application:
    app = web.Application()
    setup(app, manager, **options)
    return app


async def write(request: web.Request) -> web.Response:
    session = get_session(request)
    session["seen"] = session.get("seen", 0) + 1
    return web.json_response(session["seen"])


async def read(request: web.Request) -> web.Response:
    return web.json_response(dict(get_session(request)))


async def untouched(request: web.Request) -> web.Response:
    assert isinstance(get_session(request), Session)
    return web.Response()


async def too_much(request: web.Request) -> web.StreamResponse:
    get_session(request)["a"] = HUGE
    response = web.StreamResponse()
    response.enable_compression()
    response.enable_chunked_encoding()
    await response.prepare(request)
    await response.write(b"never")
    return response


async def text_of(client: Client, path: str) -> tuple[int, str]:
    async with client.get(path) as response:
        return response.status, await response.text()


def name_of_cookie(response: ClientResponse) -> str:
    return response.headers["Set-Cookie"].partition("=")[0]


# -- a response ------------------------------------------------------------------------------------


async def test_a_session_from_the_first_request_to_the_logout(manager: SessionManager) -> None:
    app = application(manager)
    async with serving(app, write=write, read=read, untouched=untouched) as client:
        async with client.get("/untouched") as response:
            assert "Vary" not in response.headers
        async with client.get("/write") as response:
            assert await response.json() == 1
            assert response.headers["Vary"] == "Cookie"
            assert response.headers["Cache-Control"] == "private, no-store"
        assert await text_of(client, "/write") == (200, "2")
        async with client.get("/read") as response:
            assert await response.json() == {"seen": 2}
            assert "Set-Cookie" not in response.headers
    assert manager.length() == 1


@pytest.mark.parametrize(
    ("raised", "kept"),
    [(web.HTTPFound("/read"), True), (web.HTTPNotFound(), True), (web.HTTPBadGateway(), False)],
    ids=["a redirect", "not found", "a failure"],
)
async def test_a_raised_response_sets_the_cookie(
    manager: SessionManager, raised: web.HTTPException, kept: bool
) -> None:
    async def raises(request: web.Request) -> web.Response:
        get_session(request)["a"] = 1
        raise raised

    async with serving(application(manager), raises=raises, read=read) as client:
        async with client.get("/raises", allow_redirects=False) as response:
            assert response.status == raised.status
            assert ("Set-Cookie" in response.headers) == kept
        assert await text_of(client, "/read") == (200, '{"a": 1}' if kept else "{}")


async def test_a_handler_without_a_response_is_a_500(manager: SessionManager) -> None:
    async def forgets(request: web.Request) -> Any:
        get_session(request)["a"] = 1

    async with serving(application(manager), forgets=forgets) as client:
        assert (await text_of(client, "/forgets"))[0] == 500
    assert manager.length() == 0


async def test_a_logout_holds_and_clears_the_cookie_when_the_handler_fails(
    manager: SessionManager,
) -> None:
    async def fails(request: web.Request) -> web.Response:
        get_session(request).logout()
        raise ZeroDivisionError

    async with serving(application(manager), write=write, fails=fails) as client:
        await client.get("/write")
        async with client.get("/fails") as response:
            assert response.status == 500
            assert "Max-Age=0" in response.headers["Set-Cookie"]
    assert manager.length() == 0


async def test_nothing_is_left_to_the_garbage_collector(manager: SessionManager) -> None:
    alive: list[weakref.ref[Session]] = []

    async def stream(request: web.Request) -> web.StreamResponse:
        session = get_session(request)
        alive.append(weakref.ref(session))
        session["a"] = 1
        response = web.StreamResponse()
        await response.prepare(request)
        return response

    async def plain(request: web.Request) -> web.Response:
        alive.append(weakref.ref(get_session(request)))
        return await write(request)

    async with serving(application(manager), stream=stream, plain=plain) as client:
        await client.get("/untouched")
        gc.collect()
        gc.disable()
        try:
            for path in ("/stream", "/plain"):
                async with client.get(path):
                    pass
            async with client.get("/untouched"):  # the server has released the last request
                pass
            assert [ref() for ref in alive] == [None] * 2
        finally:
            gc.enable()


# -- streams and sockets ---------------------------------------------------------------------------


async def test_a_file_response_stores_the_session(manager: SessionManager, tmp_path: Path) -> None:
    file = tmp_path / "file.txt"
    file.write_text("hello")

    async def download(request: web.Request) -> web.FileResponse:
        get_session(request)["downloads"] = 1
        return web.FileResponse(file)

    async with (
        serving(application(manager), download=download) as client,
        client.get("/download") as response,
    ):
        assert response.headers["Set-Cookie"].startswith("sid=")
        assert await response.text() == "hello"
    assert manager.length() == 1


async def test_a_stream_is_committed_when_it_begins(manager: SessionManager) -> None:
    async def stream(request: web.Request) -> web.StreamResponse:
        session = get_session(request)
        session["a"] = 1
        response = web.StreamResponse()
        await response.prepare(request)
        assert manager.length() == 1
        with pytest.raises(SessionCommitted):
            session["b"] = 1
        async with session.edit():
            session["b"] = 2
        await response.write(b"done")
        return response

    async with serving(application(manager), stream=stream, read=read) as client:
        assert await text_of(client, "/stream") == (200, "done")
        assert await text_of(client, "/read") == (200, '{"a": 1, "b": 2}')


async def test_a_committed_change_stays_if_a_stream_ends_early(manager: SessionManager) -> None:
    async def breaks_off(request: web.Request) -> web.StreamResponse:
        get_session(request)["a"] = 1
        response = web.StreamResponse()
        await response.prepare(request)
        raise ZeroDivisionError

    async with serving(application(manager), breaks_off=breaks_off, read=read) as client:
        with pytest.raises(ClientPayloadError):
            await text_of(client, "/breaks_off")
        assert await text_of(client, "/read") == (200, '{"a": 1}')


async def test_a_stream_whose_session_cannot_be_stored_is_a_500(
    manager: SessionManager, caplog: pytest.LogCaptureFixture
) -> None:
    """The complete error response is sent although the writer was prepared for a stream.

    The connection stays usable.
    """
    async with serving(application(manager), big=too_much, write=write) as client:
        async with client.get("/big") as response:
            assert response.status == 500
            assert await response.text() == "The session could not be stored.\n"
            assert "Content-Encoding" not in response.headers
            assert "Set-Cookie" not in response.headers
            assert response.headers["Cache-Control"] == "no-store"
        assert await text_of(client, "/write") == (200, "1")
    assert "Unhandled" not in caplog.text


@pytest.mark.parametrize("stream", [False, True], ids=["response", "stream"])
async def test_a_commit_that_fails_after_a_save_leaves_no_session(
    manager: SessionManager, stream: bool
) -> None:
    async def page(request: web.Request) -> web.StreamResponse:
        session = get_session(request)
        session["a"] = 1
        await session.asave()
        session["a"] = HUGE
        response = web.StreamResponse() if stream else web.Response()
        if stream:
            await response.prepare(request)
        return response

    app = application(manager)
    async with serving(app, page=page) as client, client.get("/page") as response:
        assert response.status == 500
        assert "Set-Cookie" not in response.headers
        assert response.headers.getall("Vary") == ["Cookie"]


async def test_a_handler_may_catch_a_failed_commit(manager: SessionManager) -> None:
    async def catches(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse()
        get_session(request)["a"] = HUGE
        try:
            await response.prepare(request)
        except Exception:
            with pytest.raises(RuntimeError):
                await response.write(b"nowhere")
        return response

    async with serving(application(manager), catches=catches) as client:
        assert (await text_of(client, "/catches"))[0] == 500


async def test_a_websocket_whose_session_cannot_be_stored_is_refused(
    manager: SessionManager,
) -> None:
    async def socket(request: web.Request) -> web.WebSocketResponse:
        get_session(request)["a"] = HUGE
        response = web.WebSocketResponse()
        await response.prepare(request)
        raise AssertionError("it goes on")

    async with serving(application(manager), socket=socket) as client:
        with pytest.raises(WSServerHandshakeError) as raised:
            await client.ws_connect("/socket")
        assert raised.value.status == 500


async def test_a_websocket_edits_the_session(manager: SessionManager) -> None:
    async def socket(request: web.Request) -> web.WebSocketResponse:
        session = get_session(request)
        session["opened"] = True
        response = web.WebSocketResponse()
        await response.prepare(request)
        async for message in response:
            async with session.edit():
                session["said"] = [*session.get("said", []), message.data]
            await response.send_str(str(len(session["said"])))
        return response

    async with serving(application(manager), socket=socket, read=read) as client:
        async with client.ws_connect("/socket") as one:
            await one.send_str("a")
            assert await one.receive_str() == "1"
            await one.send_str("b")
            assert await one.receive_str() == "2"
        assert await text_of(client, "/read") == (200, '{"opened": true, "said": ["a", "b"]}')


async def test_a_late_change_in_a_body_is_reported(manager: SessionManager) -> None:
    dropped: list[Event] = []
    manager.on("dropped", dropped.append)

    async def late(request: web.Request) -> web.Response:
        cart = get_session(request).setdefault("cart", [])

        async def lines() -> AsyncIterator[bytes]:
            cart.append("late")
            yield b"done"

        return web.Response(body=lines())

    async with serving(application(manager), late=late, read=read) as client:
        assert await text_of(client, "/late") == (200, "done")
        assert await text_of(client, "/read") == (200, '{"cart": []}')
    assert [event.reason for event in dropped] == ["changed too late"]


@pytest.mark.parametrize("body", ["payload", "stream"])
async def test_a_nested_change_in_the_body_is_reported_after_other_accesses(
    manager: SessionManager, body: str
) -> None:
    dropped: list[Event] = []
    manager.on("dropped", dropped.append)

    async def write(request: web.Request) -> web.Response:
        get_session(request)["cart"] = []
        return web.Response()

    async def late(request: web.Request) -> web.StreamResponse:
        assert "other" not in get_session(request)

        async def lines() -> AsyncIterator[bytes]:
            get_session(request)["cart"].append("late")
            yield b"done"

        if body == "payload":
            return web.Response(body=lines())
        response = web.StreamResponse()
        await response.prepare(request)
        async for line in lines():
            await response.write(line)
        return response

    async with serving(application(manager), write=write, late=late, read=read) as client:
        await client.get("/write")
        assert await text_of(client, "/late") == (200, "done")
        assert await text_of(client, "/read") == (200, '{"cart": []}')
    assert [event.reason for event in dropped] == ["changed too late"]  # reported once


@pytest.mark.parametrize("where", ["thread", "callback"])
async def test_a_late_first_access_outside_of_a_task_is_refused(
    manager: SessionManager, where: str
) -> None:
    async def late(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse()
        await response.prepare(request)
        loop = asyncio.get_running_loop()
        seen: asyncio.Future[bytes] = loop.create_future()

        def look() -> bytes:
            with pytest.raises(SessionCommitted):
                len(get_session(request))
            return b"refused"

        if where == "thread":
            seen.set_result(await asyncio.to_thread(look))
        else:
            loop.call_soon(lambda: seen.set_result(look()))
        await response.write(await seen)
        return response

    async with serving(application(manager), late=late) as client:
        assert await text_of(client, "/late") == (200, "refused")


# -- with other middlewares ------------------------------------------------------------------------


@web.middleware
async def replacing(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Replace every response by another page."""
    await handler(request)
    return web.Response(text="another", headers={"Vary": "Accept"})


@web.middleware
async def at_the_proxy(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Set the scheme as aiohttp-remotes does."""
    return await handler(request.clone(scheme="https"))


async def test_a_middleware_that_replaces_the_response_gets_the_cookie(
    manager: SessionManager,
) -> None:
    app = web.Application(middlewares=[replacing])
    setup(app, manager)
    async with serving(app, write=write) as client, client.get("/write") as response:
        assert await response.text() == "another"
        assert response.headers["Vary"] == "Accept, Cookie"
        assert len(response.headers.getall("Set-Cookie")) == 1
        assert response.headers["Cache-Control"] == "private, no-store"


async def test_a_middleware_that_reads_after_the_response_raises(manager: SessionManager) -> None:
    @web.middleware
    async def looking(request: web.Request, handler: Handler) -> web.StreamResponse:
        response = await handler(request)
        assert dict(get_session(request)) == {}
        with pytest.raises(SessionCommitted):
            get_session(request)["a"] = 1
        return response

    app = web.Application(middlewares=[looking])
    setup(app, manager)

    async def silent(request: web.Request) -> web.Response:
        return web.Response()

    async with serving(app, page=untouched, silent=silent) as client:
        for path in ("/page", "/silent"):
            async with client.get(path) as response:
                assert response.status == 200
                assert response.headers["Vary"] == "Cookie"


async def test_a_middleware_that_uses_the_session_saves_its_change(manager: SessionManager) -> None:
    @web.middleware
    async def counting(request: web.Request, handler: Handler) -> web.StreamResponse:
        get_session(request)["before"] = True
        response = await handler(request)
        get_session(request)["after"] = True
        return response

    app = application(manager)
    app.middlewares.append(counting)
    async with serving(app, write=write, read=read) as client:
        await client.get("/write")
        assert await text_of(client, "/read") == (200, '{"before": true, "seen": 1, "after": true}')


async def test_a_middleware_that_sets_the_scheme_changes_the_cookie(
    manager: SessionManager,
) -> None:
    app = web.Application(middlewares=[at_the_proxy])
    setup(app, manager)
    async with serving(app, write=write) as client, client.get("/write") as response:
        assert name_of_cookie(response) == "__Host-sid"
        assert len(response.headers.getall("Set-Cookie")) == 1


async def test_a_middleware_with_error_pages_gets_the_cookie() -> None:
    backend = AsyncBackend()

    @web.middleware
    async def dressing(request: web.Request, handler: Handler) -> web.StreamResponse:
        try:
            return await handler(request)
        except web.HTTPServiceUnavailable:
            return web.Response(text="come back later", status=503)

    app = web.Application(middlewares=[dressing])
    manager = setup(app, store=backend.store)
    session_id = await manager.acreate({"a": 1})
    backend.breaks()
    async with serving(app, write=write, page=untouched) as client:
        client.session.cookie_jar.update_cookies({"sid": session_id})
        assert await text_of(client, "/write") == (503, "come back later")
        assert await text_of(client, "/page") == (200, "")
    backend.close()


# -- applications within applications --------------------------------------------------------------


@pytest.mark.parametrize("stream", [False, True], ids=["response", "stream"])
async def test_two_setups_of_one_manager_share_the_session(
    manager: SessionManager, stream: bool
) -> None:
    async def page(request: web.Request) -> web.StreamResponse:
        get_session(request)["inner"] = True
        response = web.StreamResponse() if stream else web.Response()
        if stream:
            await response.prepare(request)
        return response

    app, inner = application(manager), application(manager)
    inner.router.add_get("/page", page)
    app.add_subapp("/inner", inner)
    async with serving(app, read=read) as client:
        async with client.get("/inner/page") as response:
            assert len(response.headers.getall("Set-Cookie")) == 1
        assert await text_of(client, "/read") == (200, '{"inner": true}')


@pytest.mark.parametrize("stream", [False, True], ids=["response", "stream"])
async def test_two_managers_have_separate_sessions(
    manager: SessionManager, stream: bool, caplog: pytest.LogCaptureFixture
) -> None:
    """Each has its own session, in its own cookie."""

    @web.middleware
    async def outer(request: web.Request, handler: Handler) -> web.StreamResponse:
        get_session(request)["outer"] = True
        response = await handler(request)
        assert get_session(request)._transport.runner is runner_of(manager)
        return response

    async def page(request: web.Request) -> web.StreamResponse:
        get_session(request)["inner"] = True
        response = web.StreamResponse() if stream else web.Response()
        if stream:
            await response.prepare(request)
        return response

    others = SessionManager(MemoryStore("1M"), cookie=CookieOptions(name="inner"))
    app, inner = application(manager), application(others)
    app.middlewares.append(outer)
    inner.router.add_get("/page", page)
    app.add_subapp("/inner", inner)
    async with serving(app, read=read) as client:
        async with client.get("/inner/page") as response:
            cookies = response.headers.getall("Set-Cookie")
        assert sorted(cookie.partition("=")[0] for cookie in cookies) == ["inner", "sid"]
        assert await text_of(client, "/read") == (200, '{"outer": true}')
    assert [info.data for info in others.all()] == [{"inner": True}]
    assert [info.data for info in manager.all()] == [{"outer": True}]
    assert "both set the cookie" not in caplog.text


# -- set up ----------------------------------------------------------------------------------------


async def test_excluded_paths_have_no_session() -> None:
    backend = AsyncBackend()
    app = web.Application()
    setup(app, store=backend.store, exclude=["/static/"])
    backend.breaks()

    async def static(request: web.Request) -> web.Response:
        with pytest.raises(ConfigError, match="exclude= does not name this path"):
            get_session(request)
        return web.Response()

    app.router.add_get("/static/page", static)
    async with serving(app, statics=read) as client:
        client.session.cookie_jar.update_cookies({"sid": "x" * 43})
        async with client.get("/static/page") as response:
            assert response.status == 200
            assert {"Vary", "Set-Cookie"}.isdisjoint(response.headers)
        # the session is loaded before the handler
        assert (await text_of(client, "/statics"))[0] == 503
    backend.close()


async def test_an_excluded_path_of_an_inner_application_has_the_outer_session(
    manager: SessionManager,
) -> None:
    app, inner = application(manager), web.Application()
    setup(inner, store=MemoryStore("1M"), cookie=CookieOptions(name="inner"), exclude=["/in/read"])
    inner.router.add_get("/read", read)
    app.add_subapp("/in/", inner)
    async with serving(app, write=write) as client:
        await client.get("/write")
        assert await text_of(client, "/in/read") == (200, '{"seen": 1}')


@pytest.mark.parametrize("stream", [False, True], ids=["response", "stream"])
async def test_a_handler_that_requires_a_login_is_answered_401(
    manager: SessionManager, stream: bool
) -> None:
    async def account(request: web.Request) -> web.StreamResponse:
        session = get_session(request)
        session["dropped"] = True
        if stream:
            session["kept"] = session.pop("dropped")
            response = web.StreamResponse()
            await response.prepare(request)
        session.require_recent(60)
        raise AssertionError("it goes on")

    async with serving(application(manager), account=account, read=read) as client:
        if stream:  # the status was sent already
            with pytest.raises(ClientPayloadError):
                await text_of(client, "/account")
        else:
            async with client.get("/account") as response:
                assert response.status == 401
                assert await response.text() == "Log in first.\n"
                assert response.headers["WWW-Authenticate"] == "Cookie"
                assert response.headers["Cache-Control"] == "no-store"
                assert response.headers.getall("Vary") == ["Cookie"]
                assert response.headers.getall("Content-Type") == ["text/plain; charset=utf-8"]
                assert "Set-Cookie" not in response.headers
        assert await text_of(client, "/read") == (200, '{"kept": true}' if stream else "{}")


async def test_an_application_answers_login_required_itself(manager: SessionManager) -> None:
    @web.middleware
    async def to_the_form(request: web.Request, handler: Handler) -> web.StreamResponse:
        try:
            return await handler(request)
        except LoginRequired:
            raise web.HTTPFound("/login") from None

    async def account(request: web.Request) -> web.Response:
        raise LoginRequired("nobody is logged in")  # without an access to the session

    app = application(manager)
    async with serving(app, account=account) as client:
        assert (await text_of(client, "/account"))[0] == 401
    app = application(manager)
    app.middlewares.append(to_the_form)
    async with (
        serving(app, account=account) as client,
        client.get("/account", allow_redirects=False) as response,
    ):
        assert response.status == 302


async def test_setup_alone_is_enough() -> None:
    app = web.Application()
    manager = setup(app)
    async with serving(app, write=write) as client:
        assert await text_of(client, "/write") == (200, "1")
    assert isinstance(manager.store, MemoryStore)


async def test_options_and_keywords_configure_the_store() -> None:
    manager = setup(web.Application(), options=SessionOptions.aal2(), rotation_grace=5)
    assert manager.options == SessionOptions.aal2(rotation_grace=5)


async def test_the_store_is_opened_and_closed() -> None:
    class Opened(MemoryStore):
        def __init__(self) -> None:
            super().__init__("1M")
            self.calls: list[str] = []

        def open(self) -> None:
            self.calls.append("open")

        def close(self) -> None:
            self.calls.append("close")
            super().close()

    store = Opened()
    app = web.Application()
    assert isinstance(setup(app, store=store, idle_timeout=60), SessionManager)
    async with serving(app):
        assert store.calls == ["open"]
    assert store.calls == ["open", "close"]


@pytest.mark.parametrize(
    ("given", "says"),
    [
        ({"manager": "manager"}, "must be a SessionManager"),
        ({"max_size": "4M"}, r"MemoryStore\(max_size="),
        ({"exclude": "static"}, "begin with '/'"),
        ({"idle_timeout": 0}, "idle_timeout must be more than 0 .*got 0"),
    ],
)
def test_an_invalid_configuration_is_refused(given: dict[str, Any], says: str) -> None:
    with pytest.raises(ConfigError, match=says):
        setup(web.Application(), **given)


async def test_without_setup_the_error_says_what_to_write() -> None:
    errors: list[str] = []

    async def page(request: web.Request) -> web.Response:
        with pytest.raises(ConfigError) as raised:
            get_session(request)
        errors.append(str(raised.value))
        return web.Response()

    async with serving(web.Application(), page=page) as client:
        assert (await text_of(client, "/page"))[0] == 200
    assert "setup(app), before the middlewares that use the session" in errors[0]
