"""76. ``require_recent`` accepts a login without credentials, such as one by a remember-me cookie.

The age of such a login is unknown, so the user is asked for the password.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import flask
import flask_login
import pytest
from aiohttp import web
from aiohttp_security import SessionIdentityPolicy
from django.contrib.auth import get_user_model, update_session_auth_hash
from django.test import Client, override_settings
from flask.testing import FlaskClient
from pyramid.authentication import SessionAuthenticationHelper

from lembro import LoginRequired, MemoryStore, Session, SessionManager
from lembro.integrations.aiohttp.aiohttp_security import LembroIdentityPolicy
from lembro.integrations.django import get_session
from lembro.integrations.flask import Lembro, follow_flask_login, session
from lembro.integrations.pyramid import LembroAuthenticationHelper
from tests.support.django_site import Site, database, running
from tests.support.framework_apps import PLACES
from tests.support.framework_methods import Method, Place, current, nothing
from tests.support.messages import Request, parse_set_cookie
from tests.support.visits import Script, Visit, World, login, rotate

pytestmark = pytest.mark.anyio

aiohttp_session_key = pytest.mark.filterwarnings("ignore::aiohttp.web.NotAppKeyWarning")
remembers = pytest.mark.filterwarnings("ignore:datetime.datetime.utcnow")  # as Flask-Login sets it


def is_recent(session: Session) -> bool:
    try:
        session.require_recent(300)
    except LoginRequired:
        return False
    return True


# -- lembro's own login ----------------------------------------------------------------------------


async def test_a_login_without_credentials_is_not_recent(world: World) -> None:
    def look(visit: Visit) -> bool:
        return is_recent(visit.session)

    def log_in_and_look(visit: Visit) -> tuple[bool, object]:
        visit.session.login("ada", fresh=False)
        return look(visit), visit.session.authenticated_at

    tab = world.tab()
    assert (await tab.visit(log_in_and_look)).result == (False, None)
    steps: list[tuple[Script, bool]] = [
        (look, False),
        (rotate, False),
        (login("ada"), True),
        (login("ada", fresh=False, remember=True), False),
        (login("ada", remember=True), True),
    ]
    for step, expected in steps:
        await tab.visit(step)
        assert (await tab.visit(look)).result is expected


# -- Flask-Login -----------------------------------------------------------------------------------


class User(flask_login.UserMixin):  # type: ignore[misc]  # it has no types
    def __init__(self, name: str) -> None:
        self.id = name


@pytest.fixture
def app() -> flask.Flask:
    app = flask.Flask(__name__)
    app.secret_key = "kN2-3fWqT8rYpZ0xVbL5uJcH7mGdE1aSoI4"
    app.testing = True
    Lembro(app, SessionManager(MemoryStore()))
    follow_flask_login(app)
    logins = flask_login.LoginManager(app)
    logins.user_loader(User)
    logins.request_loader(lambda request: User("ada") if "Token" in request.headers else None)

    @app.post("/login")
    def log_in() -> str:
        fresh = "stale" not in flask.request.args
        flask_login.login_user(User("ada"), remember=True, fresh=fresh)
        return "hello"

    @app.post("/confirm")
    def confirm() -> str:
        flask_login.confirm_login()
        return "hello"

    @app.get("/")
    def page() -> dict[str, Any]:
        flask.session.get("cart")
        name = flask_login.current_user.get_id()
        return {"name": name, "user": session.user_id, "recent": is_recent(session)}

    @app.before_request
    def write_elsewhere() -> None:
        if "Race" in flask.request.headers:
            flask.session.get("cart")
            other = app.test_client()
            other.set_cookie("sid", flask.request.cookies["sid"])
            other.post("/cart")

    @app.post("/cart")
    def cart() -> str:
        session["cart"] = [1]
        return "ok"

    return app


def seen(browser: FlaskClient, **headers: str) -> Any:
    return browser.get("/", headers=headers).json


ADA = {"name": "ada", "user": "ada", "recent": True}
STALE = {"name": "ada", "user": "ada", "recent": False}
NOBODY = {"name": None, "user": None, "recent": False}


@remembers
def test_flask_logins_remember_cookie(app: flask.Flask) -> None:
    browser = app.test_client()
    browser.post("/login")
    assert seen(browser) == ADA
    browser.delete_cookie("sid")
    assert seen(browser) == STALE
    assert seen(browser) == STALE
    browser.post("/confirm")
    assert seen(browser) == ADA


@remembers
def test_a_login_that_flask_login_marks_as_not_fresh(app: flask.Flask) -> None:
    browser = app.test_client()
    browser.post("/login?stale")
    assert seen(browser) == STALE
    browser.post("/login")
    assert seen(browser) == ADA


@remembers
def test_flask_logins_basic_protection_makes_a_login_stale(app: flask.Flask) -> None:
    browser = app.test_client()
    browser.post("/cart")
    assert seen(browser) == NOBODY
    browser.post("/login")
    assert seen(browser) == ADA
    cookie = browser.get_cookie("sid")
    assert seen(browser, User_Agent="another") == STALE
    assert seen(browser, User_Agent="another") == STALE
    assert browser.get_cookie("sid") == cookie
    assert seen(browser) == STALE


@remembers
def test_flask_logins_strong_protection_ends_the_session(app: flask.Flask) -> None:
    app.config["SESSION_PROTECTION"] = "strong"
    browser = app.test_client()
    browser.post("/login")
    assert seen(browser) == ADA
    assert seen(browser, User_Agent="another") == NOBODY
    assert app.extensions["lembro"].manager.user_sessions("ada") == []


def test_strong_protection_ignores_a_login_by_lembro(app: flask.Flask) -> None:
    app.config["SESSION_PROTECTION"] = "strong"
    browser = app.test_client()
    session_id = app.extensions["lembro"].manager.create({"cart": [1]}, user_id="ada")
    browser.set_cookie("sid", session_id)
    assert seen(browser) == {"name": None, "user": "ada", "recent": True}


def test_flask_logins_request_loader_logs_in_for_one_request(app: flask.Flask) -> None:
    browser = app.test_client()
    assert seen(browser, Token="1") == {"name": "ada", "user": None, "recent": False}


@remembers
def test_a_write_at_the_same_time_keeps_the_login_stale(app: flask.Flask) -> None:
    manager: SessionManager = app.extensions["lembro"].manager
    browser = app.test_client()
    browser.post("/login")
    assert seen(browser, User_Agent="another", Race="1") == STALE
    (info,) = manager.user_sessions("ada")
    assert info.data["cart"] == [1]
    assert seen(browser) == STALE


# -- Django ----------------------------------------------------------------------------------------


@pytest.fixture
def site() -> Iterator[Site]:
    database()
    with running() as site:
        yield site


def recent_in(site: Site, client: Any, **extra: Any) -> Any:
    def act(request: Any) -> tuple[bool, str | None, bool]:
        inner = get_session(request)
        return request.user.is_authenticated, inner.user_id, is_recent(inner)

    return site.visit(client, act, **extra).result


def ada() -> Any:
    model = get_user_model()
    model.objects.filter(username="ada").delete()
    return model.objects.create_user("ada", password="secret")


def test_djangos_remote_user(site: Site) -> None:
    user, client = ada(), Client()
    remote = [
        "lembro.integrations.django.SessionMiddleware",
        "django.contrib.auth.middleware.AuthenticationMiddleware",
        "django.contrib.auth.middleware.RemoteUserMiddleware",
    ]
    backends = ["django.contrib.auth.backends.RemoteUserBackend"]
    with override_settings(MIDDLEWARE=remote, AUTHENTICATION_BACKENDS=backends):
        for _ in range(2):
            assert recent_in(site, client, REMOTE_USER="ada") == (True, str(user.pk), False)
    client.force_login(user, "django.contrib.auth.backends.ModelBackend")
    assert recent_in(site, client) == (True, str(user.pk), True)


@pytest.mark.parametrize("backend", ["no.such.Backend", "builtins.len", 7])
def test_an_unknown_backend_in_djangos_session_changes_nothing(site: Site, backend: Any) -> None:
    def act(request: Any) -> bool:
        request.session["_auth_user_id"] = "7"
        request.session["_auth_user_backend"] = backend
        return is_recent(get_session(request))

    assert site.visit(Client(), act).result is True


def test_a_new_hash_in_djangos_session_is_no_login(site: Site) -> None:
    user, client = ada(), Client()
    client.force_login(user)
    site.clock.advance(400)
    key = client.session.session_key

    def change_password(request: Any) -> None:
        request.user.set_password("another")
        request.user.save()
        update_session_auth_hash(request, request.user)

    site.visit(client, change_password)
    assert client.session.session_key != key
    assert recent_in(site, client) == (True, str(user.pk), False)
    with override_settings(SECRET_KEY="another" * 8, SECRET_KEY_FALLBACKS=["only-for-tests" * 4]):
        assert recent_in(site, client) == (True, str(user.pk), False)


# -- others ----------------------------------------------------------------------------------------


async def call_in(place: Place, manager: SessionManager, method: Callable[[Any], Any]) -> str:
    """Call a framework method in a request, and return the ID of the only session afterwards."""
    old = manager.create({"old": 1})
    current[:] = [Method(method, nothing)]
    answer = await place.fetch(Request(cookies=[f"sid={old}".encode()]))
    assert answer.status == 200, answer
    values = [parse_set_cookie(cookie)[1] for cookie in answer.set_cookies]
    return values[-1].split(".")[0] if values else old


PASSES_ON: dict[str, Callable[[Any, bool], Any]] = {
    "pyramid": lambda request, fresh: LembroAuthenticationHelper().remember(
        request, "ada", fresh=fresh
    ),
    "aiohttp-session": lambda request, fresh: LembroIdentityPolicy().remember(
        request, web.Response(), "ada", fresh=fresh
    ),
}


@aiohttp_session_key
@pytest.mark.parametrize("framework", PASSES_ON)
@pytest.mark.parametrize("fresh", [True, False])
async def test_a_login_by_a_framework_method_passes_fresh_on(framework: str, fresh: bool) -> None:
    manager = SessionManager(MemoryStore("1M"))
    place = PLACES[framework](manager)
    new = await call_in(place, manager, lambda context: PASSES_ON[framework](context, fresh))
    loaded = manager.load(new)
    assert loaded.user_id == "ada"
    assert is_recent(loaded) is fresh


OWN: dict[str, Callable[[Any], Any]] = {
    "litestar": lambda context: context[0].set_session({"user_id": "ada"}),
    "pyramid": lambda request: SessionAuthenticationHelper().remember(request, "ada"),
    "aiohttp-session": lambda request: SessionIdentityPolicy().remember(
        request, web.Response(), "ada"
    ),
    "django": lambda request: request.session.update({"user": "ada"}),
}


@aiohttp_session_key
@pytest.mark.parametrize("framework", OWN)
async def test_a_login_that_lembro_does_not_know_is_not_recent(framework: str) -> None:
    manager = SessionManager(MemoryStore("1M"))
    place = PLACES[framework](manager)
    loaded = manager.load(await call_in(place, manager, OWN[framework]))
    assert "ada" in loaded.values()
    assert not is_recent(loaded)
