"""Litestar's own features: ``request.session``, dependencies, models, exclusion, ``SessionAuth``.

Flash messages and the test client are covered too.
"""

from __future__ import annotations

import gc
import logging
import weakref
from collections.abc import AsyncIterator
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

import msgspec
import pydantic
import pytest
from litestar import Litestar, Request, Response, WebSocket, asgi, get, post, websocket
from litestar.config.csrf import CSRFConfig
from litestar.connection import ASGIConnection
from litestar.di import NamedDependency, Provide
from litestar.enums import ScopeType
from litestar.exceptions import NotAuthorizedException, WebSocketDisconnect
from litestar.logging.config import BaseLoggingConfig
from litestar.middleware import DefineMiddleware
from litestar.middleware.logging import LoggingMiddlewareConfig
from litestar.middleware.session.base import SessionMiddleware
from litestar.params import FromPath, FromQuery
from litestar.plugins.flash import FlashConfig, FlashPlugin, flash
from litestar.plugins.jinja import JinjaTemplateEngine
from litestar.response import Stream, Template
from litestar.security.session_auth import SessionAuth
from litestar.template.config import TemplateConfig
from litestar.testing import AsyncTestClient, RequestFactory, TestClient, create_test_client
from litestar.types import Empty, Receive, Scope, Send

from lembro import (
    ConfigError,
    CookieOptions,
    LoginRequired,
    MemoryStore,
    SessionCommitted,
    SessionManager,
    SessionOptions,
    StoreError,
)
from lembro.events import Event
from lembro.integrations.litestar import (
    LembroPlugin,
    LembroSessionBackend,
    LembroSessionConfig,
    WebSessionDep,
    get_session,
)
from lembro.testing import FakeClock
from tests.support.gateways import fetch_asgi
from tests.support.messages import Request as Sent
from tests.support.stores import AsyncAdapter

AnyRequest = Request[Any, Any, Any]
AnySocket = WebSocket[Any, Any, Any]


@pytest.fixture
def manager() -> SessionManager:
    return SessionManager(MemoryStore())


@pytest.fixture
def plugin(manager: SessionManager) -> LembroPlugin:
    return LembroPlugin(manager)


def browser(plugin: LembroPlugin, *handlers: Any, **keywords: Any) -> TestClient[Litestar]:
    return create_test_client(
        list(handlers),
        plugins=[plugin],
        session_config=plugin.config,
        openapi_config=None,
        logging_config=None,
        **keywords,
    )


@post("/cart/{item:str}")
async def add(item: FromPath[str], request: AnyRequest) -> list[str]:
    cart: list[str] = request.session.setdefault("cart", [])
    cart.append(item)
    return cart


@get("/me")
async def me(session: WebSessionDep) -> dict[str, Any]:
    return {"user": session.user_id, "data": dict(session)}


@post("/login/{user:str}")
async def login(user: FromPath[str], session: WebSessionDep) -> None:
    session.login(user)


@post("/logout")
async def logout(request: AnyRequest) -> None:
    request.clear_session()


# -- request.session, and the session as a parameter -----------------------------------------------


def test_a_cart_is_kept_at_a_login_and_dropped_at_a_logout(
    plugin: LembroPlugin, manager: SessionManager
) -> None:
    with browser(plugin, add, me, login, logout) as tab:
        assert "set-cookie" not in tab.get("/me").headers
        assert tab.post("/cart/bread").json() == ["bread"]
        assert tab.post("/cart/butter").json() == ["bread", "butter"]
        before = tab.cookies["sid"]
        tab.post("/login/heidi")
        assert tab.cookies["sid"] != before
        assert tab.get("/me").json() == {"user": "heidi", "data": {"cart": ["bread", "butter"]}}
        response = tab.post("/logout")
        assert "Max-Age=0" in response.headers["set-cookie"]
        assert response.headers["vary"] == "Cookie"
        assert tab.get("/me").json() == {"user": None, "data": {}}
    assert manager.length() == 0


def test_a_handler_may_return_the_session(plugin: LembroPlugin) -> None:
    @get("/whole")
    async def whole(session: WebSessionDep) -> Any:
        return session

    @get("/part")
    async def part(request: AnyRequest) -> dict[str, Any]:
        return {"session": request.session, "at": Fraction(1, 2)}

    with browser(plugin, add, whole, part, type_encoders={Fraction: str}) as tab:
        tab.post("/cart/bread")
        assert tab.get("/whole").json() == {"cart": ["bread"]}
        assert tab.get("/part").json() == {"session": {"cart": ["bread"]}, "at": "1/2"}


def test_a_page_that_does_not_use_the_session_is_unchanged(plugin: LembroPlugin) -> None:
    @get("/")
    async def page() -> str:
        return "hello"

    with browser(plugin, page, login) as tab:
        tab.post("/login/heidi")
        assert {"vary", "set-cookie"}.isdisjoint(tab.get("/").headers)


def test_sync_handlers_use_the_session(plugin: LembroPlugin) -> None:
    @post("/count", sync_to_thread=False)
    def count(session: WebSessionDep) -> int:
        session["n"] = session.get("n", 0) + 1
        return int(session["n"])

    @post("/threaded", sync_to_thread=True)
    def threaded(session: WebSessionDep) -> int:
        return session.atomic(lambda data: int(data["n"]))

    with browser(plugin, count, threaded) as tab:
        assert [tab.post("/count").json() for _ in range(3)] == [1, 2, 3]
        assert tab.post("/threaded").json() == 3


def test_the_parameter_may_have_another_name_or_be_left_out(manager: SessionManager) -> None:
    @get("/visitor")
    async def visitor(who: WebSessionDep) -> str | None:
        return who.user_id

    @get("/query")
    async def query(session: FromQuery[str]) -> str:
        return session

    renamed = LembroPlugin(manager, session_dependency_key="who")
    with browser(renamed, visitor, query) as tab:
        assert tab.get("/visitor").status_code == 200
        assert tab.get("/query?session=database").text == "database"
    with browser(LembroPlugin(manager, session_dependency_key=None), query) as tab:
        assert tab.get("/query?session=database").text == "database"


def test_a_dependency_of_the_application_takes_precedence(plugin: LembroPlugin) -> None:
    async def database() -> str:
        return "the database's"

    @get("/")
    async def page(session: NamedDependency[str]) -> str:
        return session

    with browser(plugin, page, dependencies={"session": Provide(database)}) as tab:
        assert tab.get("/").text == "the database's"


def test_without_the_plugin_the_error_says_what_to_write() -> None:
    request = RequestFactory().get("/")
    with pytest.raises(
        ConfigError, match=r"no lembro session\. Install lembro .*: Litestar\(plugins="
    ):
        get_session(request)


# -- set_session and clear_session -----------------------------------------------------------------


@dataclass
class Settings:
    language: str
    columns: list[str]


class SettingsStruct(msgspec.Struct):
    language: str
    columns: list[str]


class SettingsModel(pydantic.BaseModel):
    language: str
    columns: list[str]


@pytest.mark.parametrize("kind", [dict, Settings, SettingsStruct, SettingsModel])
def test_set_session_replaces_the_data(plugin: LembroPlugin, kind: Any) -> None:
    @post("/settings")
    async def settings(request: AnyRequest) -> None:
        request.set_session(kind(language="de", columns=["name"]))

    with browser(plugin, add, login, me, settings) as tab:
        tab.post("/cart/bread")
        tab.post("/login/heidi")
        tab.post("/settings")
        data = {"language": "de", "columns": ["name"]}
        assert tab.get("/me").json() == {"user": "heidi", "data": data}


def test_set_session_keeps_types(plugin: LembroPlugin) -> None:
    @post("/set")
    async def set_(request: AnyRequest) -> None:
        request.set_session({"pair": (1, 2)})
        request.session["also"] = b"this"  # it returns the dict now

    @get("/get")
    async def get_(request: AnyRequest) -> str:
        return repr(dict(request.session))

    with browser(plugin, set_, get_) as tab:
        tab.post("/set")
        assert tab.get("/get").text == "{'pair': (1, 2), 'also': b'this'}"


def test_set_session_with_a_value_that_is_no_data_is_a_500(
    plugin: LembroPlugin, manager: SessionManager, caplog: pytest.LogCaptureFixture
) -> None:
    @post("/set")
    async def set_(request: AnyRequest) -> None:
        request.set_session({"fine": 1, "wrong": [object()]})

    with browser(plugin, set_) as tab:
        response = tab.post("/set")
        assert response.status_code == 500
        assert "set-cookie" not in response.headers
    assert "wrong[0]: a session cannot store an object" in caplog.text
    assert manager.length() == 0


def test_clear_session_holds_if_the_handler_fails(plugin: LembroPlugin) -> None:
    @post("/fail")
    async def fail(request: AnyRequest) -> None:
        request.session["written"] = 1
        request.clear_session()
        raise RuntimeError

    with browser(plugin, add, me, fail, raise_server_exceptions=False) as tab:
        tab.post("/cart/bread")
        response = tab.post("/fail")
        assert response.status_code == 500
        assert "Max-Age=0" in response.headers["set-cookie"]
        assert tab.get("/me").json()["data"] == {}


def test_a_late_set_session_is_reported(
    plugin: LembroPlugin, caplog: pytest.LogCaptureFixture
) -> None:
    dropped: list[str | None] = []
    plugin.manager.on("dropped", lambda event: dropped.append(event.reason))

    @get("/stream")
    async def stream(request: AnyRequest) -> Stream:
        request.session["before"] = 1

        async def chunks() -> AsyncIterator[str]:
            yield "a"
            with pytest.raises(SessionCommitted):
                request.session["after"] = 1
            request.set_session({"after": 1})
            yield "b"

        return Stream(chunks)

    with browser(plugin, stream, me) as tab:
        assert tab.get("/stream").text == "ab"
        assert tab.get("/me").json()["data"] == {"before": 1}
    assert dropped == ["changed too late"]
    assert "set_session() or clear_session() was called after the response" in caplog.text


def test_a_late_set_session_without_an_access_is_logged_without_an_event(
    plugin: LembroPlugin, caplog: pytest.LogCaptureFixture
) -> None:
    """No session was loaded that the event could name."""
    dropped: list[Event] = []
    plugin.manager.on("dropped", dropped.append)

    @get("/stream")
    async def stream(request: AnyRequest) -> Stream:
        async def chunks() -> AsyncIterator[str]:
            yield "a"
            request.set_session({"after": 1})
            yield "b"

        return Stream(chunks)

    with browser(plugin, stream, me) as tab:
        response = tab.get("/stream")
        assert (response.text, "vary" in response.headers) == ("ab", False)
        assert tab.get("/me").json()["data"] == {}
    assert dropped == []
    assert "set_session() or clear_session() was called after the response" in caplog.text


# -- exceptions ------------------------------------------------------------------------------------


class PlainLogging(BaseLoggingConfig):
    """The loggers of this process as they are."""

    log_exceptions = "never"
    exception_logging_handler = None

    def __init__(self) -> None:
        self.disable_stack_trace = set()

    def configure(self) -> Any:
        return logging.getLogger


def test_the_cookies_of_other_middlewares_are_kept(plugin: LembroPlugin) -> None:
    @get("/")
    async def write(request: Request[Any, Any, Any]) -> None:
        request.session["a"] = 1

    hidden = LoggingMiddlewareConfig(response_cookies_to_obfuscate={"sid"})
    app = Litestar(
        [write],
        plugins=[plugin],
        csrf_config=CSRFConfig(secret="x" * 32),
        logging_config=PlainLogging(),
        middleware=[hidden.middleware],
    )
    with TestClient(app) as tab:
        sent = tab.get("/").headers.get_list("set-cookie")
    assert sorted(cookie.partition("=")[0] for cookie in sent) == ["csrftoken", "sid"]
    assert "***" not in str(sent)


def test_an_http_exception_is_a_response(plugin: LembroPlugin) -> None:
    @get("/secret")
    async def secret(session: WebSessionDep) -> None:
        session["refused"] = session.get("refused", 0) + 1
        raise NotAuthorizedException

    with browser(plugin, secret, me) as tab:
        assert tab.get("/secret").status_code == 401
        assert tab.get("/secret").status_code == 401
        assert tab.get("/me").json()["data"] == {"refused": 2}


@pytest.mark.parametrize("by", ["plugin", "middleware"])
def test_a_handler_can_return_the_session(by: str) -> None:
    config = LembroSessionConfig(key="sid")

    @get("/")
    async def page(request: AnyRequest) -> dict[str, Any]:
        request.session["a"] = [1]
        return request.session

    parts: dict[str, Any] = (
        {"plugins": [LembroPlugin(config=config)]}
        if by == "plugin"
        else {"middleware": [config.middleware]}
    )
    with TestClient(Litestar([page], **parts)) as tab:
        assert tab.get("/").json() == {"a": [1]}


@pytest.mark.parametrize("by", ["plugin", "middleware"])
def test_a_store_failure_is_a_503(by: str) -> None:
    adapter = AsyncAdapter(MemoryStore())
    config = LembroSessionConfig(SessionManager(adapter))

    @get("/plain")
    async def plain() -> str:
        return "hello"

    @get("/own")
    async def own(request: AnyRequest) -> Response[str]:
        try:
            return Response(str(len(request.session)))
        except StoreError:
            return Response("come back later", status_code=500)

    @get("/look")
    async def look(request: AnyRequest) -> int:
        return len(request.session)

    @get("/clear")
    async def clear(request: AnyRequest) -> None:
        request.clear_session()

    given: Any = (
        {"plugins": [LembroPlugin(config=config)]}
        if by == "plugin"
        else {"middleware": [config.middleware]}
    )
    with create_test_client(
        [plain, own, look, clear], openapi_config=None, logging_config=None, **given
    ) as tab:
        tab.cookies.set("sid", "x" * 43)
        adapter.broken = "connection refused"
        assert tab.get("/plain").text == "hello"
        for path in ("/look", "/clear"):
            response = tab.get(path)
            assert (response.status_code, response.headers["vary"]) == (503, "Cookie")
        assert tab.get("/own").text == "come back later"  # the application's response, not lembro's
        adapter.broken = ""


def test_a_required_login_is_a_401(plugin: LembroPlugin, manager: SessionManager) -> None:
    @get("/account")
    async def account(session: WebSessionDep) -> None:
        session["dropped"] = True
        session.require_recent(60)

    with browser(plugin, account) as tab:
        response = tab.get("/account")
    assert (response.status_code, response.text) == (401, "Log in first.\n")
    assert response.headers["www-authenticate"] == "Cookie"
    assert response.headers["cache-control"] == "no-store"
    assert response.headers["vary"] == "Cookie"
    assert "set-cookie" not in response.headers
    assert manager.length() == 0


def test_an_application_may_respond_to_a_required_login(plugin: LembroPlugin) -> None:
    @get("/account")
    async def account(session: WebSessionDep) -> None:
        session.require_recent(60)

    def to_the_form(request: AnyRequest, error: LoginRequired) -> Response[None]:
        return Response(None, status_code=303, headers={"location": "/login"})

    with browser(plugin, account, exception_handlers={LoginRequired: to_the_form}) as tab:
        response = tab.get("/account", follow_redirects=False)
    assert (response.status_code, response.headers["location"]) == (303, "/login")


def test_a_websocket_that_requires_a_login_is_closed(plugin: LembroPlugin) -> None:
    @websocket("/ws")
    async def talk(socket: AnySocket, session: WebSessionDep) -> None:
        session.require_recent(60)

    with browser(plugin, talk) as tab:
        with pytest.raises(WebSocketDisconnect) as caught, tab.websocket_connect("/ws"):
            pass
        assert (caught.value.code, caught.value.detail) == (1008, "Unauthorized")


# -- WebSockets ------------------------------------------------------------------------------------


def test_a_websocket_reads_and_edits(plugin: LembroPlugin) -> None:
    @websocket("/ws")
    async def talk(socket: AnySocket, session: WebSessionDep) -> None:
        assert socket.session is session is get_session(socket)
        session["opened"] = True
        await socket.accept()
        with pytest.raises(SessionCommitted):
            session["late"] = 1
        async with session.edit():
            session["n"] = session.get("n", 0) + 1
        await socket.send_json(dict(session))
        await socket.close()

    with browser(plugin, add, me, talk) as tab:
        tab.post("/cart/bread")
        with tab.websocket_connect("/ws") as socket:
            data = socket.receive_json()
        assert data == {"cart": ["bread"], "opened": True, "n": 1}
        assert tab.get("/me").json()["data"] == data


def test_a_websocket_whose_handler_raises_before_the_accept_saves_nothing(
    plugin: LembroPlugin,
) -> None:
    @websocket("/ws")
    async def talk(socket: AnySocket) -> None:
        socket.session["written"] = 1
        raise RuntimeError

    with browser(plugin, add, me, talk) as tab:
        tab.post("/cart/bread")
        with pytest.raises(WebSocketDisconnect) as caught, tab.websocket_connect("/ws"):
            pass
        assert caught.value.code == 4500
        assert tab.get("/me").json()["data"] == {"cart": ["bread"]}


def test_a_refused_websocket_keeps_changes(plugin: LembroPlugin) -> None:
    @websocket("/ws")
    async def talk(socket: AnySocket) -> None:
        socket.session["refused"] = 1
        await socket.close(4401)

    with browser(plugin, add, me, talk) as tab:
        tab.post("/cart/bread")
        with pytest.raises(WebSocketDisconnect), tab.websocket_connect("/ws"):
            pass
        assert tab.get("/me").json()["data"] == {"cart": ["bread"], "refused": 1}


def test_a_websocket_can_end_the_session(plugin: LembroPlugin, manager: SessionManager) -> None:
    @websocket("/ws")
    async def talk(socket: AnySocket) -> None:
        socket.clear_session()
        await socket.accept()
        await socket.close()

    with browser(plugin, add, talk) as tab:
        tab.post("/cart/bread")
        with tab.websocket_connect("/ws"):
            pass
    assert manager.length() == 0


# -- exclusion -------------------------------------------------------------------------------------


@get("/with")
async def with_session(request: AnyRequest) -> bool:
    return "session" in request.scope


@get("/without", skip_session=True)
async def without_session(request: AnyRequest) -> bool:
    return "session" in request.scope


@pytest.mark.parametrize(
    ("options", "has"),
    [
        ({}, [True, False]),
        ({"exclude_opt_key": "no_session"}, [True, True]),
        ({"exclude": ["/a", "/wi"]}, [False, False]),
        ({"exclude": "/without"}, [True, False]),
        ({"exclude": "/thou"}, [True, False]),  # a prefix
        ({"exclude": "/.ith"}, [True, False]),  # no regular expression
        ({"config": LembroSessionConfig(exclude="/with$")}, [False, False]),
        ({"config": LembroSessionConfig(exclude=["/a", "/.i"])}, [False, False]),
        ({"scopes": {ScopeType.WEBSOCKET}}, [False, False]),
    ],
)
def test_an_excluded_path_has_no_session(options: Any, has: list[bool]) -> None:
    with browser(LembroPlugin(**options), with_session, without_session) as tab:
        assert [tab.get(path).json() for path in ("/with", "/without")] == has


def test_a_plugin_and_a_middleware_of_one_manager_share_the_session(
    plugin: LembroPlugin, manager: SessionManager
) -> None:
    @post("/both", middleware=[plugin.config.middleware])
    async def both(request: AnyRequest) -> None:
        request.session["n"] = 1
        request.set_session({"n": 2})

    with browser(plugin, both, me) as tab:
        response = tab.post("/both")
        assert len(response.headers.get_list("set-cookie")) == 1
        assert tab.get("/me").json()["data"] == {"n": 2}
    assert manager.length() == 1


def test_two_managers_have_separate_sessions(plugin: LembroPlugin) -> None:
    inner = LembroSessionConfig(key="inner")

    @post("/inner", middleware=[inner.middleware])
    async def both(request: AnyRequest) -> None:
        request.set_session({"inner": 1})

    @get("/inner", middleware=[inner.middleware])
    async def stream(request: AnyRequest) -> Stream:
        assert request.session

        async def chunks() -> AsyncIterator[str]:
            yield f"{dict(request.session)}"

        return Stream(chunks)

    with browser(plugin, add, me, both, stream) as tab:
        tab.post("/cart/bread")
        tab.post("/inner")
        assert tab.get("/inner").text == "{'inner': 1}"
        assert tab.get("/me").json()["data"] == {"cart": ["bread"]}


# -- SessionAuth and flash messages ----------------------------------------------------------------


async def user_of(session: Any, connection: ASGIConnection[Any, Any, Any, Any]) -> str | None:
    return get_session(connection).user_id


def test_session_auth_logs_in_and_out(plugin: LembroPlugin) -> None:
    auth = SessionAuth[str, LembroSessionBackend](
        session_backend_config=plugin.config, retrieve_user_handler=user_of, exclude=["/login"]
    )

    @get("/account")
    async def account(request: Request[str, Any, Any]) -> str:
        return request.user

    with browser(plugin, account, login, logout, on_app_init=[auth.on_app_init]) as tab:
        assert tab.get("/account").status_code == 401
        tab.post("/login/heidi")  # a user without data
        assert tab.get("/account").text == "heidi"
        tab.post("/logout")
        assert tab.get("/account").status_code == 401


def test_session_auth_without_the_plugin_works(manager: SessionManager) -> None:
    config = LembroSessionConfig(manager)

    async def user(session: dict[str, Any], connection: object) -> Any:
        return session.get("user_id")

    auth = SessionAuth[str, LembroSessionBackend](
        session_backend_config=config, retrieve_user_handler=user, exclude=["/enter"]
    )

    @post("/enter")
    async def enter(request: AnyRequest) -> None:
        request.set_session({"user_id": "heidi"})

    @get("/account")
    async def account(request: Request[str, Any, Any]) -> str:
        return request.user

    app = Litestar([enter, account], on_app_init=[auth.on_app_init], logging_config=None)
    assert app.openapi_schema.components.security_schemes
    [scheme] = app.openapi_schema.components.security_schemes.values()
    assert vars(scheme)["name"] == config.key == "sid"
    with TestClient(app) as tab:
        assert tab.get("/account").status_code == 401
        tab.post("/enter")
        assert tab.get("/account").text == "heidi"


def test_flash_messages_are_shown_once(plugin: LembroPlugin) -> None:
    templates = TemplateConfig(engine=JinjaTemplateEngine, directory=".")
    page = "{% for m in get_flashes() %}{{ m.category }}: {{ m.message }}. {% endfor %}"

    @post("/save")
    async def save(request: AnyRequest) -> None:
        flash(request, "saved", "info")
        flash(request, "and sent", "info")

    @get("/page")
    async def show() -> Template:
        return Template(template_str=page)

    with create_test_client(
        [save, show],
        plugins=[plugin, FlashPlugin(FlashConfig(templates))],
        template_config=templates,
        logging_config=None,
    ) as tab:
        tab.post("/save")
        assert tab.get("/page").text == "info: saved. info: and sent. "
        assert tab.get("/page").text == ""


# -- the test client -------------------------------------------------------------------------------


def test_the_test_client_reads_and_writes_the_session(plugin: LembroPlugin) -> None:
    with browser(plugin, add, me) as tab:
        assert tab.get_session_data() == {}
        tab.set_session_data({"cart": ["jam"]})
        assert tab.post("/cart/bread").json() == ["jam", "bread"]
        assert tab.get_session_data() == {"cart": ["jam", "bread"]}
        before = tab.cookies["sid"]
        tab.set_session_data({"n": 1})
        assert tab.cookies["sid"] == before
        assert tab.get("/me").json()["data"] == {"n": 1}


@pytest.mark.anyio
async def test_the_async_test_client_reads_and_writes_the_session(plugin: LembroPlugin) -> None:
    app = Litestar([add, me], plugins=[plugin], logging_config=None)
    async with AsyncTestClient(app, session_config=plugin.config) as tab:
        await tab.set_session_data({"cart": ["jam"]})
        assert (await tab.get("/me")).json()["data"] == {"cart": ["jam"]}
        assert await tab.get_session_data() == {"cart": ["jam"]}


def test_a_networked_store_works() -> None:
    plugin = LembroPlugin(store=AsyncAdapter(MemoryStore()))
    with browser(plugin, add, me) as tab:
        tab.set_session_data({"cart": ["jam"]})
        assert tab.post("/cart/bread").json() == ["jam", "bread"]
        assert tab.get_session_data() == {"cart": ["jam", "bread"]}


def test_the_backend_works_under_litestars_own_middleware(manager: SessionManager) -> None:
    backend = LembroSessionBackend(LembroSessionConfig(manager))
    middleware = DefineMiddleware(SessionMiddleware, backend=backend)

    @get("/data")
    async def data(request: AnyRequest) -> dict[str, Any]:
        return request.session

    with create_test_client(
        [add, data, logout], middleware=[middleware], logging_config=None
    ) as tab:
        response = tab.get("/data")
        assert "set-cookie" not in response.headers
        assert response.headers["vary"] == "Cookie"
        response = tab.post("/cart/bread")
        # the response sets the cookie
        assert response.headers["cache-control"] == "private, no-store"
        assert tab.post("/cart/butter").json() == ["bread", "butter"]
        assert tab.get("/data").json() == {"cart": ["bread", "butter"]}
        assert manager.length() == 1
        tab.post("/logout")
        assert tab.get("/data").json() == {}
    assert manager.length() == 0


def test_the_backend_follows_the_passive_paths() -> None:
    store = MemoryStore(clock=(clock := FakeClock()))
    manager = SessionManager(store, idle_timeout=1000, passive=["/poll"])
    backend = LembroSessionBackend(LembroSessionConfig(manager))
    middleware = DefineMiddleware(SessionMiddleware, backend=backend)

    @get("/poll")
    async def poll(request: AnyRequest) -> int:
        return len(request.session)

    with create_test_client([add, poll], middleware=[middleware], logging_config=None) as tab:
        tab.post("/cart/bread")
        clock.advance(500)
        assert tab.get("/poll").json() == 1
        ((_, found),) = store.all()
        assert found.idle_left == 500


# -- setup -----------------------------------------------------------------------------------------


def test_the_plugin_alone_is_enough() -> None:
    with browser(LembroPlugin(), add) as tab:
        assert tab.post("/cart/bread").json() == ["bread"]
        assert tab.post("/cart/butter").json() == ["bread", "butter"]


def test_options_and_keywords_are_combined() -> None:
    store = MemoryStore()
    plugin = LembroPlugin(store=store, options=SessionOptions.aal2(), rotation_grace=5)
    assert plugin.manager.options == SessionOptions.aal2(rotation_grace=5)
    assert plugin.manager.store is store


def test_the_keywords_of_litestars_own_config_are_accepted() -> None:
    plugin = LembroPlugin(
        key="sid", max_age=3600, path="/shop", domain="example.org", secure=True, samesite="strict"
    )
    cookie = CookieOptions(
        name="sid",
        prefix=None,
        max_age=3600,
        path="/shop",
        domain="example.org",
        secure=True,
        samesite="strict",
    )
    assert plugin.manager.options.cookie == cookie
    assert plugin.manager.options.idle_timeout == 3600
    config = plugin.config
    assert (config.key, config.max_age, config.path) == ("sid", 3600, "/shop")
    assert (config.domain, config.secure, config.samesite) == ("example.org", True, "strict")
    assert config.httponly is True
    assert config.exclude_opt_key == "skip_session"
    assert config.scopes == {ScopeType.HTTP, ScopeType.WEBSOCKET}


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: LembroPlugin(key="a b"), "cookie name .*got 'a b'"),
        (
            lambda: LembroPlugin(key="sid", cookie=CookieOptions()),
            "together with cookie=, got name. Write cookie=",
        ),
        (
            lambda: LembroPlugin(renew_on_access=True),  # type: ignore[call-arg]
            "no option 'renew_on_access'",
        ),
        (lambda: LembroPlugin("64M"), "must be a SessionManager, got '64M'"),  # type: ignore[arg-type]
        (
            lambda: LembroPlugin(SessionManager(MemoryStore()), key="sid"),
            "^key cannot be given together with a Ses",
        ),
        (
            lambda: LembroPlugin(MemoryStore(), max_age=60),  # type: ignore[arg-type]
            "must be a SessionManager, got <MemoryStore",
        ),
        (
            lambda: LembroPlugin(SessionManager(MemoryStore()), config=LembroSessionConfig()),
            "^manager cannot be given together with config; give these to Lembro",
        ),
        (lambda: LembroPlugin(exclude="static"), "begin with '/'"),
        (
            lambda: LembroPlugin(
                config=LembroSessionConfig(),
                store=MemoryStore(),
                options=SessionOptions(),
                exclude=["/static/"],
            ),
            "^store, options, exclude cannot be given together with config",
        ),
        (
            lambda: LembroPlugin(config=LembroSessionConfig(), key="sid"),
            "^key cannot be given together with config",
        ),
    ],
)
def test_an_invalid_configuration_is_refused_at_once(make: Any, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        make()


def test_the_store_is_opened_and_closed_with_the_application() -> None:
    did: list[str] = []

    class Store(AsyncAdapter):
        async def open(self) -> None:
            did.append("open")

        async def close(self) -> None:
            did.append("close")

    with browser(LembroPlugin(store=Store(MemoryStore())), me):
        assert did == ["open"]
    assert did == ["open", "close"]


def test_a_middleware_that_clears_the_session_and_raises_ends_it(
    plugin: LembroPlugin, manager: SessionManager
) -> None:
    class Guard:
        def __init__(self, app: Any) -> None:
            self.app = app

        async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
            scope["session"] = Empty
            raise NotAuthorizedException

    with browser(plugin, me, middleware=[Guard]) as tab:
        tab.set_session_data({"n": 1})
        assert tab.get("/me").status_code == 401
    assert manager.length() == 0


@pytest.mark.anyio
async def test_requests_leave_nothing_to_the_garbage_collector(plugin: LembroPlugin) -> None:
    seen: list[weakref.ref[Any]] = []

    @get("/look")
    async def look(session: WebSessionDep) -> int:
        seen.append(weakref.ref(session))
        return len(session)

    app: Any = Litestar([look], plugins=[plugin], openapi_config=None, logging_config=None)
    gc.collect()
    gc.disable()
    try:
        for _ in range(3):
            answer = await fetch_asgi(app, Sent(path="/look"))
            assert answer.status == 200
        assert [reference() for reference in seen] == [None] * 3
    finally:
        gc.enable()


# -- a mounted application -------------------------------------------------------------------------


def test_a_mounted_application_with_its_own_sessions_ends_nothing() -> None:
    mounted = object()

    @asgi("/admin", is_mount=True, copy_scope=False)
    async def admin(scope: Scope, receive: Receive, send: Send) -> None:
        scope["app"] = mounted  # type: ignore[arg-type]  # as Starlette does
        scope["session"] = {"page": 3}
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b"ok", "more_body": False})

    @post("/login")
    async def login(session: WebSessionDep) -> None:
        session.login("ada")

    @get("/who")
    async def who(session: WebSessionDep) -> str:
        return f"{session.user_id} {dict(session)}"

    manager = SessionManager(MemoryStore("1M"))
    with create_test_client([admin, login, who], plugins=[LembroPlugin(manager)]) as client:
        client.post("/login")
        assert client.get("/admin").text == "ok"
        assert client.get("/who").text == "ada {}"
