"""``log_in`` of lembro.testing: each test client is logged in, and stays so after a new ID."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Iterator
from typing import Any, cast

import flask
import flask_login
import httpx
import pytest
import quart
from aiohttp import web
from aiohttp.test_utils import TestClient as AiohttpClient
from aiohttp.test_utils import TestServer
from asgiref.sync import sync_to_async
from django.contrib.auth import get_user_model
from django.test import AsyncClient
from django.test import Client as DjangoClient
from django.test.utils import modify_settings
from fastapi import FastAPI
from litestar import Litestar, get
from litestar.testing import TestClient as LitestarClient
from starlette.testclient import TestClient
from webtest import TestApp
from werkzeug.test import Client as WerkzeugClient

from lembro import CookieOptions, MemoryStore, SessionManager, UsageError
from lembro.integrations import aiohttp as in_aiohttp
from lembro.integrations import flask as in_flask
from lembro.integrations import litestar as in_litestar
from lembro.integrations import quart as in_quart
from lembro.integrations.django import get_session
from lembro.integrations.fastapi import SessionMiddleware, WebSessionDep
from lembro.testing import alog_in, log_in
from lembro.wsgi import SessionMiddleware as WSGIMiddleware
from tests.support.django_site import Site, database, running

SECRET = "0123456789abcdefghijklmnopqrstuvwxyz"
HEIDI = {"user": "heidi", "cart": ["bread"]}


def make(**options: Any) -> SessionManager:
    options.setdefault("secret", SECRET)
    return SessionManager(MemoryStore("1M"), **options)


def visit(session: Any) -> dict[str, Any]:
    """Read the session, and give it a new ID."""
    seen = {"user": session.user_id, "cart": session.get("cart")}
    session.regenerate_id()
    return seen


def fastapi_app(manager: SessionManager) -> FastAPI:
    app = FastAPI()
    app.add_middleware(SessionMiddleware, manager)

    @app.get("/")
    @app.get("/admin/")
    def me(session: WebSessionDep) -> dict[str, Any]:
        return visit(session)

    return app


def flask_app(manager: SessionManager) -> flask.Flask:
    app = flask.Flask("shop")
    in_flask.Lembro(app, manager)
    app.add_url_rule("/", view_func=lambda: visit(in_flask.session))
    return app


def wsgi_app(manager: SessionManager) -> WSGIMiddleware:
    def application(environ: Any, start_response: Any) -> Iterable[bytes]:
        seen = visit(environ["lembro.session"])
        start_response("200 OK", [("Content-Type", "text/plain")])
        return [f"{seen['user']} {seen['cart']}".encode()]

    return WSGIMiddleware(application, manager)


def twice(get: Callable[[], Any]) -> list[Any]:
    """Return what two requests see. The second one has a new session ID."""
    return [get(), get()]


# -- each client -----------------------------------------------------------------------------------


@pytest.mark.parametrize("base", ["http://testserver", "https://testserver"])
def test_the_client_of_starlette_and_fastapi_is_logged_in(base: str) -> None:
    manager = make()
    client = TestClient(fastapi_app(manager), base_url=base)
    log_in(client, manager, "heidi", cart=["bread"])
    assert twice(lambda: client.get("/").json()) == [HEIDI, HEIDI]
    assert len(client.cookies) == 1


def test_the_clients_of_httpx_are_logged_in() -> None:
    manager = make(secret=None)
    transport = httpx.WSGITransport(wsgi_app(manager))
    with httpx.Client(transport=transport, base_url="http://shop.test/x") as client:
        log_in(client, manager, "heidi", cart=["bread"])
        assert twice(lambda: client.get("/").text) == ["heidi ['bread']"] * 2
        assert len(client.cookies) == 1

    async def scenario() -> None:
        app: Any = fastapi_app(manager)
        transport = httpx.ASGITransport(app)
        async with httpx.AsyncClient(transport=transport, base_url="https://shop.test") as client:
            await alog_in(client, manager, "heidi", cart=["bread"])
            assert [(await client.get("/")).json() for _ in range(2)] == [HEIDI, HEIDI]
            assert len(client.cookies) == 1

    asyncio.run(scenario())


@pytest.mark.parametrize(
    "config",
    [{}, {"SERVER_NAME": "shop.test:8000"}, {"PREFERRED_URL_SCHEME": "https"}],
    ids=["plain", "server name", "https"],
)
def test_the_client_of_flask_is_logged_in(config: dict[str, str]) -> None:
    manager = make()
    app = flask_app(manager)
    app.config.update(config)
    client = app.test_client()
    log_in(client, manager, "heidi", cart=["bread"])
    assert twice(lambda: client.get("/").json) == [HEIDI, HEIDI]
    with client.session_transaction() as opened:
        assert cast("in_flask.FlaskSession", opened).user_id == "heidi"


def test_the_client_of_flask_is_logged_in_for_requests_over_https() -> None:
    manager = make()
    client = flask_app(manager).test_client()
    log_in(client, manager, "heidi", https=True, cart=["bread"])
    assert client.get("/", base_url="https://localhost").json == HEIDI


def test_the_client_of_werkzeug_is_logged_in_for_a_domain() -> None:
    manager = make(cookie=CookieOptions(domain=".shop.test"))
    client = WerkzeugClient(wsgi_app(manager))
    log_in(client, manager, "heidi", cart=["bread"])
    texts = twice(lambda: client.get("/", base_url="http://www.shop.test").text)
    assert texts == ["heidi ['bread']"] * 2


@pytest.mark.parametrize("https", [False, True])
def test_the_client_of_quart_is_logged_in(https: bool) -> None:
    manager = make()
    app = quart.Quart("shop")
    in_quart.Lembro(app, manager)

    @app.get("/")
    async def me() -> dict[str, Any]:
        return visit(in_quart.session)

    async def scenario() -> None:
        client: Any = app.test_client()
        await alog_in(client, manager, "heidi", https=https, cart=["bread"])
        scheme = "https" if https else "http"
        answers = [await client.get("/", scheme=scheme) for _ in range(2)]
        assert [await answer.get_json() for answer in answers] == [HEIDI, HEIDI]
        assert len(client.cookie_jar) == 1

    asyncio.run(scenario())


def test_the_client_of_litestar_is_logged_in() -> None:
    manager = make()

    @get("/", sync_to_thread=False)
    def me(session: in_litestar.WebSessionDep) -> dict[str, Any]:
        return visit(session)

    app = Litestar([me], plugins=[in_litestar.LembroPlugin(manager)])
    with LitestarClient(app) as client:
        log_in(client, manager, "heidi", cart=["bread"])
        assert twice(lambda: client.get("/").json()) == [HEIDI, HEIDI]
        assert len(client.cookies) == 1


def test_the_client_of_aiohttp_is_logged_in() -> None:
    manager = make()

    async def me(request: web.Request) -> web.Response:
        return web.json_response(visit(in_aiohttp.get_session(request)))

    async def scenario() -> None:
        app = web.Application()
        in_aiohttp.setup(app, manager)
        app.router.add_get("/", me)
        async with AiohttpClient(TestServer(app)) as client:
            await alog_in(client, manager, "peter")
            await alog_in(client, manager, "heidi", cart=["bread"])
            for _ in range(2):
                async with client.get("/") as answer:
                    assert await answer.json() == HEIDI
            assert len(client.session.cookie_jar) == 1
            with pytest.raises(UsageError, match="would not send the cookie __Host-sid to http:"):
                await alog_in(client, manager, "heidi", https=True)

    asyncio.run(scenario())


@pytest.mark.parametrize("scheme", ["http", "https"])
def test_the_client_of_webtest_is_logged_in(scheme: str) -> None:
    manager = make()
    extra = {"wsgi.url_scheme": scheme, "HTTP_HOST": "shop.test"} if scheme == "https" else {}
    client = TestApp(wsgi_app(manager), extra_environ=extra)
    log_in(client, manager, "heidi", cart=["bread"])
    assert twice(lambda: client.get("/").text) == ["heidi ['bread']"] * 2
    assert len(client.cookiejar) == 1


def test_a_dict_gets_the_cookie() -> None:
    manager = make()
    cookies: dict[str, str] = {}
    log_in(cookies, manager, "heidi", cart=["bread"])
    client = TestClient(fastapi_app(manager), cookies=cookies)
    assert list(cookies) == ["sid"]
    assert client.get("/").json() == HEIDI

    cookies.clear()
    log_in(cookies, manager, "heidi", https=True)
    assert list(cookies) == ["__Host-sid"]


# -- what a login replaces and refuses -------------------------------------------------------------


def test_a_second_login_replaces_the_first_one_and_other_cookies_of_this_name() -> None:
    manager = make()
    client = TestClient(fastapi_app(manager))
    client.cookies.set("sid", "planted")
    client.cookies.set("language", "pt")
    log_in(client, manager, "peter")
    log_in(client, manager, "heidi", cart=["bread"])
    assert client.get("/").json() == HEIDI
    assert sorted(client.cookies) == ["language", "sid"]


def test_a_client_can_have_a_session_without_a_login() -> None:
    manager = make()
    client = TestClient(fastapi_app(manager))
    log_in(client, manager, None, cart=["bread"])
    assert client.get("/").json() == {"user": None, "cart": ["bread"]}
    with pytest.raises(UsageError, match="needs data or a user ID"):
        log_in(client, manager, None)


def test_the_keys_of_the_session_may_have_the_names_of_the_parameters() -> None:
    manager = make()
    client = TestClient(fastapi_app(manager))
    log_in(client, manager, "heidi", client=1, manager=2, user_id=3)
    [info] = manager.user_sessions("heidi")
    assert info.data == {"client": 1, "manager": 2, "user_id": 3}


def test_a_cookie_with_a_path_is_sent_below_this_path() -> None:
    manager = make(cookie=CookieOptions(path="/admin"))
    client = TestClient(fastapi_app(manager))
    log_in(client, manager, "heidi", cart=["bread"])
    assert twice(lambda: client.get("/admin/").json()) == [HEIDI, HEIDI]
    assert client.get("/").json()["user"] is None


@pytest.mark.parametrize(
    ("options", "base"),
    [
        (CookieOptions(secure=True), "http://testserver"),
        (CookieOptions(domain="shop.test"), "http://testserver"),
    ],
    ids=["secure", "domain"],
)
def test_a_cookie_that_the_client_would_not_send_is_an_error(
    options: CookieOptions, base: str
) -> None:
    manager = make(cookie=options)
    client = TestClient(fastapi_app(manager), base_url=base)
    with pytest.raises(UsageError, match=r"would not send the cookie .*base URL"):
        log_in(client, manager, "heidi")


def test_https_names_the_scheme_of_a_client_whose_base_url_is_http() -> None:
    manager = make()
    client = TestClient(fastapi_app(manager))
    log_in(client, manager, "heidi", https=True, cart=["bread"])
    assert client.get("https://testserver/").json() == HEIDI
    log_in(client, manager, "peter", https=False)
    assert client.get("http://testserver/").json()["user"] == "peter"


def test_a_client_without_a_base_url_is_an_error() -> None:
    manager = make()
    with httpx.Client() as client, pytest.raises(UsageError, match="needs a base URL"):
        log_in(client, manager, "heidi")


def test_an_object_that_is_no_client_is_an_error() -> None:
    manager = make()
    with pytest.raises(UsageError, match="needs a test client that keeps cookies, got 'client'"):
        log_in("client", manager, "heidi")
    assert manager.length() == 0


# -- logins of frameworks --------------------------------------------------------------------------


def test_flask_login_knows_the_user_and_the_login_is_fresh() -> None:
    manager = make()
    app = flask.Flask("shop")
    app.secret_key = SECRET
    in_flask.Lembro(app, manager)
    in_flask.follow_flask_login(app)

    class User(flask_login.UserMixin):  # type: ignore[misc]  # it has no types
        id = "7"

    flask_login.LoginManager(app).user_loader(lambda user_id: User() if user_id == "7" else None)

    def me() -> dict[str, Any]:
        in_flask.session.require_recent(60)
        return {"user": in_flask.session.user_id, "name": flask_login.current_user.id}

    app.add_url_rule("/", view_func=flask_login.fresh_login_required(me))
    client = app.test_client()
    assert client.get("/").status_code == 401
    log_in(client, manager, 7)
    assert twice(lambda: client.get("/").json) == [{"user": "7", "name": "7"}] * 2

    visitor = app.test_client()
    log_in(visitor, manager, None, cart=["bread"])
    assert visitor.get("/").status_code == 401


@pytest.fixture
def site() -> Iterator[Site]:
    database()
    with running(LEMBRO={"SECRET": SECRET}) as site:
        yield site


def user(name: str) -> Any:
    model = get_user_model()
    model.objects.filter(username=name).delete()
    return model.objects.create_user(name)


def seen(request: Any) -> dict[str, Any]:
    request.session.cycle_key()
    return {"user": request.user.username, "cart": request.session.get("cart")}


def test_the_client_of_django_is_logged_in(site: Site) -> None:
    heidi = user("heidi")
    client: Any = DjangoClient()
    log_in(client, site.manager, heidi.pk, cart=["bread"])
    assert [site.visit(client, seen).result for _ in range(2)] == [HEIDI, HEIDI]
    assert [info.data["cart"] for info in site.manager.user_sessions(heidi.pk)] == [["bread"]]


@pytest.mark.anyio
async def test_the_async_client_of_django_is_logged_in(site: Site) -> None:
    heidi = await sync_to_async(user)("heidi")
    client = AsyncClient()
    await alog_in(client, site.manager, heidi.pk, cart=["bread"])

    async def look(request: Any) -> Any:
        return {"user": (await request.auser()).username, "cart": request.session["cart"]}

    assert (await site.avisit(client, look)).result == HEIDI


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"  # Django needs it


def test_the_client_of_django_can_have_a_session_without_a_login(site: Site) -> None:
    client: Any = DjangoClient()
    log_in(client, site.manager, None, cart=["bread"])
    assert site.visit(client, seen).result == {"user": "", "cart": ["bread"]}


def test_the_client_of_django_is_logged_in_without_djangos_users(site: Site) -> None:
    client: Any = DjangoClient()

    def user_of(request: Any) -> str | None:
        return get_session(request).user_id

    with modify_settings(
        INSTALLED_APPS={"remove": ["django.contrib.auth", "django.contrib.admin"]}
    ):
        log_in(client, site.manager, "heidi", https=False, cart=["bread"])
    assert site.visit(client, user_of).result == "heidi"


def test_the_client_of_django_needs_the_manager_of_the_settings(site: Site) -> None:
    with pytest.raises(UsageError, match=r"log_in\(client, get_manager\(\), user.pk\)"):
        log_in(DjangoClient(), make(), 1)
