"""77. A CSRF token survives a login, so an attacker who planted the session knows it.

A login drops the CSRF tokens that the session holds.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import flask
import pytest
from django.contrib.auth import get_user_model
from django.contrib.auth import login as django_login
from django.middleware.csrf import get_token
from django.test import Client, override_settings
from flask_wtf import CSRFProtect
from flask_wtf.csrf import generate_csrf

from lembro import MemoryStore, SessionManager
from lembro.integrations.django import get_session
from lembro.integrations.flask import Lembro, session
from tests.support.django_site import Site, database, running
from tests.support.framework_apps import PLACES
from tests.support.framework_methods import Method, current, nothing
from tests.support.messages import Request, parse_set_cookie
from tests.support.visits import Visit, World, look, write

pytestmark = pytest.mark.anyio

TOKENS = dict.fromkeys(
    ["_csrft_", "csrf_token", "_csrftoken", "csrf", "_xsrf", "X-CSRF-Token"], "planted"
)


@pytest.mark.parametrize("user", ["ada", "bob"])
async def test_a_login_drops_the_tokens(world: World, user: str) -> None:
    tab = world.tab()
    await tab.write(cart=[1], **TOKENS)
    await tab.login("ada")
    assert await tab.read() == {"cart": [1]}
    await tab.write(**TOKENS)
    await tab.login(user)
    assert not TOKENS.keys() & (await tab.read()).keys()


async def test_a_token_of_the_new_session_is_kept(world: World) -> None:
    def log_in(visit: Visit) -> None:
        visit.session.login("ada")
        visit.session["csrf_token"] = "new"

    tab = world.tab()
    await tab.write(**TOKENS)
    await tab.visit(log_in)
    assert await tab.read() == {"csrf_token": "new"}


@pytest.mark.parametrize("first", [{}, {"csrf": "first"}])
async def test_a_token_stored_during_the_login_is_dropped(
    world: World, first: dict[str, str]
) -> None:
    tab = world.tab()
    await tab.write(cart=[1], **first)

    async def log_in(visit: Visit) -> None:
        look(visit)
        await tab.twin().visit(write(csrf="planted", more=2))
        visit.session.login("ada")

    await tab.visit(log_in)
    assert await tab.read() == {"cart": [1], "more": 2}


# -- Flask-WTF -------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["csrf_token", "form_proof"])
def test_flask_wtf_tokens_are_dropped(name: str) -> None:
    app = flask.Flask(__name__)
    app.secret_key = "kN2-3fWqT8rYpZ0xVbL5uJcH7mGdE1aSoI4"
    app.testing = True
    app.config["WTF_CSRF_FIELD_NAME"] = name
    Lembro(app, SessionManager(MemoryStore()))
    CSRFProtect(app)

    @app.get("/token")
    def token() -> str:
        return generate_csrf()  # type: ignore[no-any-return]  # it has no types

    @app.post("/login")
    def log_in() -> str:
        generate_csrf()  # as a form does
        session.login("heidi")
        return generate_csrf()  # type: ignore[no-any-return]

    browser = app.test_client()
    planted = {"X-CSRFToken": browser.get("/token").text}
    new = {"X-CSRFToken": browser.post("/login", headers=planted).text}
    assert browser.post("/login", headers=planted).status_code == 400
    assert browser.post("/login", headers=new).status_code == 200


# -- Pyramid ---------------------------------------------------------------------------------------


async def test_pyramid_tokens_are_dropped() -> None:
    manager = SessionManager(MemoryStore("1M"))
    place = PLACES["pyramid"](manager)
    cookie = f"sid={manager.create({'old': 1})}".encode()
    tokens: list[str] = []

    def note(request: Any) -> None:
        tokens.append(request.session.get_csrf_token())

    for names in ([], ["remember"], []):
        current[:] = [*(place.methods[name] for name in names), Method(note, nothing)]
        for header in (await place.fetch(Request(cookies=[cookie]))).set_cookies:
            cookie = f"sid={parse_set_cookie(header)[1]}".encode()
    assert tokens[0] != tokens[1] == tokens[2]


# -- Django ----------------------------------------------------------------------------------------


@pytest.fixture
def site() -> Iterator[Site]:
    database()
    with running() as site:
        yield site


def by_django(request: Any) -> None:
    model = get_user_model()
    model.objects.filter(username="ada").delete()
    user = model.objects.create_user("ada", password="secret")
    django_login(request, user, "django.contrib.auth.backends.ModelBackend")


def by_lembro(request: Any) -> None:
    get_session(request).login("ada")


@pytest.mark.parametrize("in_session", [False, True], ids=["in a cookie", "in the session"])
@pytest.mark.parametrize("log_in", [by_django, by_lembro])
def test_django_tokens_are_dropped(site: Site, log_in: Any, in_session: bool) -> None:
    def secret(request: Any) -> Any:
        get_token(request)
        return request.META["CSRF_COOKIE"]

    def log_in_and_show(request: Any) -> Any:
        get_token(request)
        log_in(request)
        return secret(request)

    with override_settings(CSRF_USE_SESSIONS=in_session):
        client = Client()
        planted = site.visit(client, secret).result
        assert site.visit(client, secret).result == planted
        new = site.visit(client, log_in_and_show).result
        assert new != planted
        assert site.visit(client, secret).result == new


def test_a_login_in_django_without_a_token(site: Site) -> None:
    client = Client()
    response = site.visit(client, by_lembro)
    assert "csrftoken" not in response.cookies
