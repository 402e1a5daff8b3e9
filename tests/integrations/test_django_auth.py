"""django.contrib.auth, messages, csrf, the admin and the test clients, over lembro's sessions."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

import pytest
from asgiref.sync import sync_to_async
from django.contrib import messages
from django.contrib.auth import (
    authenticate,
    get_user_model,
    login,
    logout,
    update_session_auth_hash,
)
from django.contrib.auth.signals import user_logged_in, user_logged_out
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.middleware.csrf import get_token
from django.test import AsyncClient, Client
from django.test.utils import override_settings, setup_test_environment, teardown_test_environment

from lembro.integrations.django import SessionStore, get_session
from tests.support.django_site import Site, database, running

PASSWORD = "correct horse"


@pytest.fixture(scope="module", autouse=True)
def _database() -> Iterator[None]:
    database()
    setup_test_environment()
    yield
    teardown_test_environment()


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"  # Django needs it


@pytest.fixture
def site() -> Iterator[Site]:
    with running() as site:
        yield site


@pytest.fixture
def client() -> Any:
    return Client()


def user(name: str) -> Any:
    """Create a user with this name, who may use the admin."""
    model = get_user_model()
    model.objects.filter(username=name).delete()
    return model.objects.create_superuser(name, password=PASSWORD)


def data(client: Any) -> dict[str, Any]:
    return dict(client.session.items())


# -- logging in ------------------------------------------------------------------------------------


def test_the_login_form_of_the_admin_logs_in(site: Site) -> None:
    ada = user("ada")
    client: Any = Client(enforce_csrf_checks=True)
    page = client.get("/admin/login/")
    assert site.records() == []  # the page reads the session and stores nothing
    token = re.search(r'name="csrfmiddlewaretoken" value="([^"]+)"', page.content.decode())
    assert token is not None
    form = {"username": "ada", "password": PASSWORD, "next": "/admin/"}
    assert client.post("/admin/login/", form).status_code == 403
    form["csrfmiddlewaretoken"] = token[1]
    answer = client.post("/admin/login/", form)
    assert (answer.status_code, answer["Location"]) == (302, "/admin/")
    assert {"private", "no-store"} <= set(answer["Cache-Control"].split(", "))
    assert b"Site administration" in client.get("/admin/").content
    assert site.only().user == str(ada.pk)


def test_a_login_keeps_the_data_and_makes_the_old_id_stale(site: Site, client: Any) -> None:
    ada = user("ada")
    site.visit(client, lambda request: request.session.update({"cart": [1]}))
    before = client.cookies["sessionid"].value
    site.visit(client, lambda request: login(request, ada))
    after = client.cookies["sessionid"].value
    assert after != before
    assert data(client)["cart"] == [1]
    assert site.only().user == str(ada.pk)
    client.cookies["sessionid"] = before
    assert site.visit(client, lambda request: dict(request.session.items())).result == {}


def test_a_login_issues_one_new_id(site: Site, client: Any) -> None:
    """Django's login() cycles the key and then sets the user. Both become one step."""
    ada = user("ada")
    happened: list[str] = []
    site.visit(client, lambda request: request.session.update({"cart": [1]}))
    site.manager.on("regenerated", lambda event: happened.append(event.name))
    site.visit(client, lambda request: login(request, ada))
    assert happened == ["regenerated"]


def test_a_login_of_the_same_user_again_has_a_new_id(site: Site, client: Any) -> None:
    ada = user("ada")
    site.visit(client, lambda request: login(request, ada))
    first = client.cookies["sessionid"].value
    site.clock.advance(1000)
    site.visit(client, lambda request: login(request, ada))
    assert client.cookies["sessionid"].value != first
    assert site.only().age == 0


def test_a_login_as_another_user_begins_without_data(site: Site, client: Any) -> None:
    ada, bob = user("ada"), user("bob")
    site.visit(client, lambda request: login(request, ada))
    site.visit(client, lambda request: request.session.update({"cart": [1]}))
    site.visit(client, lambda request: login(request, bob))
    assert "cart" not in data(client)
    assert site.only().user == str(bob.pk)


def test_receivers_of_the_signal_find_the_new_key(site: Site, client: Any) -> None:
    ada = user("ada")
    keys: list[str] = []

    def receive(request: Any, **_: Any) -> None:
        keys.append(request.session.session_key)

    user_logged_in.connect(receive)
    try:
        site.visit(client, lambda request: login(request, ada))
    finally:
        user_logged_in.disconnect(receive)
    assert keys == [client.cookies["sessionid"].value.partition(".")[0]]
    assert SessionStore().exists(keys[0])


def test_a_login_in_a_failed_request_is_dropped(site: Site) -> None:
    ada = user("ada")
    client = Client(raise_request_exception=False)
    site.visit(client, lambda request: request.session.update({"cart": [1]}))
    before = client.cookies["sessionid"].value

    def fails(request: Any) -> None:
        login(request, ada)
        raise RuntimeError

    assert site.visit(client, fails).status_code == 500
    assert client.cookies["sessionid"].value == before
    assert data(client) == {"cart": [1]}


def test_logout_ends_the_session(site: Site, client: Any) -> None:
    ada = user("ada")
    site.visit(client, lambda request: login(request, ada))
    stolen = client.cookies["sessionid"].value
    answer = site.visit(client, logout)
    assert answer.cookies["sessionid"].value == ""
    assert answer.cookies["sessionid"]["max-age"] == 0
    assert site.records() == []
    client.cookies["sessionid"] = stolen
    assert not site.visit(client, lambda request: request.user.is_authenticated).result


def test_a_user_that_is_removed_from_the_session_is_logged_out(site: Site, client: Any) -> None:
    """lembro is notified, so user_sessions() lists no user who is logged out."""
    ada = user("ada")
    site.visit(client, lambda request: login(request, ada))
    stolen = client.cookies["sessionid"].value

    def forget(request: Any) -> None:
        del request.session["_auth_user_id"]
        request.session["theme"] = "dark"

    site.visit(client, forget)
    assert site.manager.user_sessions(str(ada.pk)) == []
    assert data(client)["theme"] == "dark"
    assert client.cookies["sessionid"].value != stolen


def test_the_sessions_of_a_user_are_listed(site: Site) -> None:
    ada = user("ada")
    laptop, phone = Client(), Client()
    for client in (laptop, phone):
        site.visit(client, lambda request: login(request, ada))
    assert len(site.manager.user_sessions(str(ada.pk))) == 2
    site.visit(laptop, lambda request: get_session(request).logout_others())
    assert site.visit(laptop, lambda request: request.user.is_authenticated).result
    assert not site.visit(phone, lambda request: request.user.is_authenticated).result
    assert site.manager.revoke_user(str(ada.pk)) == 1
    assert not site.visit(laptop, lambda request: request.user.is_authenticated).result


def test_a_change_of_the_password_ends_the_other_sessions(site: Site) -> None:
    ada = user("ada")
    laptop, phone = Client(), Client()
    for client in (laptop, phone):
        site.visit(client, lambda request: login(request, ada))
    before = laptop.cookies["sessionid"].value

    def change(request: Any) -> None:
        request.user.set_password("another one")
        request.user.save()
        update_session_auth_hash(request, request.user)

    site.visit(laptop, change)
    assert laptop.cookies["sessionid"].value != before
    assert site.visit(laptop, lambda request: request.user.is_authenticated).result
    assert not site.visit(phone, lambda request: request.user.is_authenticated).result
    assert len(site.manager.user_sessions(str(ada.pk))) == 1


# -- Django's test clients -------------------------------------------------------------------------


def test_the_test_client_logs_in_and_out(site: Site, client: Any) -> None:
    ada = user("ada")
    assert not client.login(username="ada", password="wrong")
    assert client.login(username="ada", password=PASSWORD)
    assert site.visit(client, lambda request: request.user).result == ada
    assert site.only().user == str(ada.pk)
    client.logout()
    assert site.records() == []
    client.force_login(ada)
    assert site.visit(client, lambda request: request.user).result == ada


def test_the_test_client_reads_and_writes_the_session(site: Site, client: Any) -> None:
    session = client.session
    session["cart"] = [1]
    session.save()
    assert site.visit(client, lambda request: request.session["cart"]).result == [1]
    site.visit(client, lambda request: request.session["cart"].append(2))
    assert client.session["cart"] == [1, 2]


@pytest.mark.parametrize("secret", [None, "0123456789abcdefghijklmnopqrstuvwxyz"])
def test_the_test_client_works_with_and_without_a_secret(secret: str | None) -> None:
    ada = user("ada")
    client: Any = Client()
    with running(LEMBRO={"SECRET": secret}) as site:
        client.force_login(ada)
        assert site.visit(client, lambda request: request.user).result == ada
        value = client.cookies["sessionid"].value
        assert client.session.session_key == value.partition(".")[0]
        client.cookies["sessionid"] = client.session.session_key
        assert site.visit(client, lambda request: request.user).result == ada


@pytest.mark.anyio
async def test_the_async_test_client_works(site: Site) -> None:
    ada = await sync_to_async(user)("ada")
    client = AsyncClient()
    await client.aforce_login(ada)

    async def act(request: Any) -> Any:
        await request.session.aset("seen", True)
        return await request.auser()

    assert (await site.avisit(client, act)).result == ada
    assert (await client.asession())["seen"] is True
    await client.alogout()
    assert site.records() == []


# -- messages and csrf -----------------------------------------------------------------------------


@pytest.mark.parametrize("storage", ["session.SessionStorage", "fallback.FallbackStorage"])
def test_messages_are_shown_once(site: Site, client: Any, storage: str) -> None:
    """A message is shown on the page after the redirect."""

    def add_message(request: Any) -> Any:
        messages.success(request, "saved")
        return HttpResponseRedirect("/do")

    def shown(request: Any) -> list[str]:
        return [str(message) for message in messages.get_messages(request)]

    with override_settings(MESSAGE_STORAGE=f"django.contrib.messages.storage.{storage}"):
        site.visit(client, add_message)
        assert site.visit(client, shown).result == ["saved"]
        assert site.visit(client, shown).result == []


def test_csrf_tokens_in_the_session_are_accepted(site: Site) -> None:
    client: Any = Client(enforce_csrf_checks=True)
    with override_settings(CSRF_USE_SESSIONS=True):
        token = site.visit(client, get_token).result
        assert "csrftoken" not in client.cookies
        assert "_csrftoken" in data(client)
        assert client.post("/admin/login/", {}).status_code == 403
        form = {"csrfmiddlewaretoken": token}
        assert client.post("/admin/login/", form).status_code == 200


def test_the_admin_shows_its_history_and_messages(site: Site, client: Any) -> None:
    ada = user("ada")
    client.force_login(ada)
    answer = client.post("/admin/auth/group/add/", {"name": "readers"}, follow=True)
    assert "was added successfully" in answer.content.decode()
    assert "was added successfully" not in client.get("/admin/auth/group/").content.decode()


def test_authenticate_stores_nothing(site: Site, client: Any) -> None:
    user("ada")

    def check(request: Any) -> Any:
        assert authenticate(request, username="ada", password=PASSWORD) is not None
        return HttpResponse(b"")

    answer = site.visit(client, check)
    assert not answer.cookies
    assert not answer.has_header("Vary")
    assert site.records() == []


def test_a_logout_of_a_request_without_a_session_of_lembro_does_nothing() -> None:
    for request in (object(), HttpRequest()):
        user_logged_out.send(sender=None, request=request, user=None)
