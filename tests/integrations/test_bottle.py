"""Bottle: ``request.session``, over httpx's WSGI transport."""

# mypy: disable-error-code="untyped-decorator"

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import bottle
import httpx
import pytest

from lembro import ConfigError, LoginRequired, MemoryStore, SessionManager
from lembro.integrations.bottle import Lembro, get_session
from tests.support.stores import NETWORKED, AsyncAdapter, BlockingAdapter

# Bottle has neither annotations nor stubs.
request: Any = bottle.request


@pytest.fixture
def manager() -> SessionManager:
    return SessionManager(MemoryStore())


@pytest.fixture
def app(manager: SessionManager) -> Any:
    app: Any = bottle.Bottle()
    app.install(Lembro(manager))

    @app.get("/write")
    def write() -> None:
        request.session["a"] = 1

    @app.get("/read")
    def read() -> dict[str, Any]:
        return dict(request.session)

    @app.get("/login")
    def login() -> str:
        get_session().login("heidi")
        return "hello"

    return app


@pytest.fixture
def client(app: Any) -> Iterator[httpx.Client]:
    with client_of(app) as client:
        yield client


def client_of(app: Any) -> httpx.Client:
    return httpx.Client(
        transport=httpx.WSGITransport(app, raise_app_exceptions=False), base_url="http://test"
    )


def test_a_session_is_kept_for_the_next_request(client: httpx.Client) -> None:
    answer = client.get("/write")
    assert answer.headers["vary"] == "Cookie"
    assert answer.headers["cache-control"] == "private, no-store"
    assert client.get("/read").json() == {"a": 1}


def test_a_4xx_response_keeps_changes_and_a_5xx_does_not(
    app: Any, client: httpx.Client, manager: SessionManager
) -> None:
    @app.get("/<status:int>")
    def answers(status: int) -> None:
        request.session["a"] = 1
        bottle.abort(status, "so it is")

    @app.get("/raises")
    def raises() -> None:
        request.session["a"] = 1
        raise RuntimeError

    assert [client.get(path).status_code for path in ("/503", "/raises")] == [503, 500]
    assert manager.length() == 0
    assert client.get("/403").status_code == 403
    assert manager.length() == 1


def test_a_result_that_bottle_cannot_render_saves_nothing(
    app: Any, client: httpx.Client, manager: SessionManager
) -> None:
    @app.get("/bad")
    def bad() -> dict[str, Any]:
        request.session["a"] = 1
        return {"an object": object()}

    assert client.get("/bad").status_code == 500
    assert manager.length() == 0


def test_error_pages_and_hooks_have_the_session(app: Any, client: httpx.Client) -> None:
    seen: list[str | None] = []

    @app.error(404)
    def lost(error: Any) -> str:
        return f"{request.session.user_id} is lost"

    @app.hook("before_request")
    def look() -> None:
        seen.append(request.session.user_id)

    client.get("/login")
    assert client.get("/nowhere").text == "heidi is lost"
    assert seen == [None, "heidi"]


def test_a_required_login_is_a_401(app: Any, client: httpx.Client) -> None:
    @app.get("/account")
    def account() -> str:
        request.session.require_recent(60)
        return "yours"

    answer = client.get("/account")
    assert (answer.status_code, answer.text) == (401, "Log in first.\n")
    assert answer.headers["www-authenticate"] == "Cookie"
    client.get("/login")
    assert client.get("/account").text == "yours"


def test_a_plugin_may_respond_to_a_required_login(app: Any) -> None:
    def ask(callback: Any) -> Any:
        def asked(*args: Any, **keywords: Any) -> Any:
            try:
                return callback(*args, **keywords)
            except LoginRequired:
                return bottle.redirect("/login", 303)

        return asked

    app.install(ask)

    @app.get("/account")
    def account() -> str:
        request.session.require_recent(60)
        return "yours"

    client = client_of(app)
    assert client.get("/account").headers["location"] == "http://test/login"
    client.get("/login")
    assert client.get("/account").text == "yours"


def test_a_generator_edits_the_session(app: Any, client: httpx.Client) -> None:
    @app.get("/stream")
    def stream() -> Iterator[str]:
        session = request.session
        yield f"{session['a']}"
        with session.edit():
            session["streamed"] = True

    client.get("/write")
    assert client.get("/stream").text == "1"
    assert client.get("/read").json() == {"a": 1, "streamed": True}


def test_a_store_failure_is_a_503_at_the_first_access() -> None:
    store = BlockingAdapter(MemoryStore(), NETWORKED)
    app: Any = bottle.Bottle()
    app.install(Lembro(store=store))
    app.get("/write", callback=lambda: request.session.update(a=1))
    app.get("/read", callback=lambda: dict(request.session))
    app.get("/plain", callback=lambda: "plain")
    client = client_of(app)
    client.get("/write")
    store.broken = "it is down"
    answer = client.get("/read")
    assert (answer.status_code, answer.headers["cache-control"]) == (503, "no-store")
    assert "set-cookie" not in answer.headers
    assert client.get("/plain").text == "plain"


def test_a_mounted_application_shares_the_session(app: Any) -> None:
    shop: Any = bottle.Bottle()

    @shop.get("/add")
    def add() -> dict[str, Any]:
        request.session["cart"] = ["bread"]
        return dict(request.session)

    app.mount("/shop/", shop)
    client = client_of(app)
    client.get("/write")
    assert client.get("/shop/add").json() == {"a": 1, "cart": ["bread"]}


def test_a_store_and_options_instead_of_a_manager() -> None:
    assert Lembro(store=MemoryStore("64K"), idle_timeout=60).manager.options.idle_timeout == 60


def test_lembro_with_the_application_installs_the_plugin(manager: SessionManager) -> None:
    forms: list[dict[str, Any]] = [{"manager": manager}, {"store": MemoryStore("64K")}]
    for given in forms:
        app: Any = bottle.Bottle()
        lembro = Lembro(app, **given)
        assert lembro in app.plugins
        app.get("/write", callback=lambda: request.session.update(a=1))
        client_of(app).get("/write")
        assert lembro.manager.length() == 1
        with pytest.raises(ConfigError, match="already installed in this application"):
            app.install(lembro)
    assert Lembro(manager=manager).manager is Lembro(None, manager).manager is manager


def test_swapped_arguments_are_refused(manager: SessionManager) -> None:
    app: Any = bottle.Bottle()
    wrong: list[Any] = [(manager, app), ("shop", manager), (bottle.app, manager)]
    store: Any = MemoryStore("64K")
    message = r"the first argument must be the Bottle application, got .* Example: Lembro\(app\)$"
    for first, second in wrong:
        with pytest.raises(ConfigError, match=message):
            Lembro(first, second)
    with pytest.raises(ConfigError, match="must be a SessionManager"):
        Lembro(store)


def test_an_invalid_configuration_is_refused(app: Any) -> None:
    asynchronous: Any = AsyncAdapter(MemoryStore(), NETWORKED)
    with pytest.raises(ConfigError, match="is asynchronous, and Bottle has no event loop"):
        Lembro(store=asynchronous)
    with pytest.raises(ConfigError, match="already installed in this application"):
        app.install(Lembro())


def test_an_excluded_path_has_no_session() -> None:
    app: Any = bottle.Bottle()
    app.config["catchall"] = False
    app.install(Lembro(exclude=["/static/"]))
    app.get("/static/logo", callback=lambda: "logo")
    app.get("/static/write", callback=lambda: request.session.update(a=1))
    app.get("/static/typed", callback=lambda: get_session().user_id)
    app.get("/write", callback=lambda: request.session.update(a=1))
    client = httpx.Client(transport=httpx.WSGITransport(app), base_url="http://test")
    assert client.get("/static/logo").text == "logo"
    with pytest.raises(AttributeError):
        client.get("/static/write")
    with pytest.raises(ConfigError, match="exclude="):
        client.get("/static/typed")
    assert client.get("/write").cookies["sid"]
    with pytest.raises(ConfigError, match="path prefixes that begin with"):
        Lembro(exclude=["static/"])


def test_get_session_says_what_is_missing() -> None:
    app: Any = bottle.Bottle()
    app.config["catchall"] = False
    app.get("/", callback=lambda: get_session().user_id)
    client = httpx.Client(transport=httpx.WSGITransport(app), base_url="http://test")
    with pytest.raises(ConfigError, match=r"app\.install\(Lembro\(\)\)"):
        client.get("/")
