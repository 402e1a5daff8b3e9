"""The applications of the guides do what their pages say."""

from __future__ import annotations

import asyncio
import re
from types import ModuleType
from typing import Any

import pytest
from litestar.testing import TestClient as LitestarClient
from starlette.testclient import TestClient

from lembro.testing import log_in
from tests.support import ROOT
from tests.unit.test_readme import run

DOCS = ROOT / "docs"


def page(name: str, tab: str | None = None) -> ModuleType:
    path = DOCS / f"{name}.md"
    return run(path, path.read_text(encoding="utf-8"), tab)


def client_of(app: Any, **options: Any) -> TestClient:
    return TestClient(app, follow_redirects=False, **options)


# -- flash messages and CSRF tokens ----------------------------------------------------------------


def test_a_flash_message_of_fastapi_is_shown_once_and_the_form_has_a_token() -> None:
    module = page("flash-messages")
    client = client_of(module.app)
    log_in(client, module.manager, "heidi")
    assert client.post("/password", data={"password": "x"}).status_code == 403
    form = client.get("/password").text
    assert "flash" not in form
    [token] = re.findall(r'name="csrf" value="([^"]+)"', form)
    assert client.post("/password", data={"password": "x", "csrf": "wrong"}).status_code == 403
    answer = client.post("/password", data={"password": "x", "csrf": token})
    assert answer.headers["location"] == "/password"
    assert "Your password was changed." in client.get("/password").text
    assert "Your password was changed." not in client.get("/password").text


def test_a_streamed_template_shows_its_messages_once() -> None:
    module = page("flash-messages")
    client = module.site.test_client()
    client.post("/list")
    assert client.get("/list").text == "The list is empty now. ..."
    assert client.get("/list").text == "..."

    async def in_quart() -> list[str]:
        client = module.quart_site.test_client()
        await client.post("/list")
        return [await (await client.get("/list")).get_data(as_text=True) for _ in range(2)]

    assert asyncio.run(in_quart()) == ["The list is empty now. ...", "..."]

    visitor = client_of(module.app)
    log_in(visitor, module.manager, None, flashes=["Saved."])
    assert visitor.get("/numbers").text == "Saved.\n0\n1\n2\n"
    assert visitor.get("/numbers").text == "0\n1\n2\n"


def test_the_flash_plugin_of_litestar_works_after_lembros() -> None:
    module = page("flash-messages")
    with LitestarClient(module.litestar_app) as client:
        assert client.post("/save").text == "Saved."
        assert client.get("/").text == ""
    plugins = [module.FlashPlugin(module.FlashConfig(module.template_config))]
    with pytest.raises(Exception, match="Flash messages require a session middleware"):
        module.Litestar([], plugins=[*plugins, module.LembroPlugin()])


# -- lists of sessions -----------------------------------------------------------------------------


def handles(text: str) -> list[str]:
    return re.findall(r'name="handle" value="([^"]+)"', text)


@pytest.mark.parametrize("tab", ["FastAPI", "Flask"])
def test_users_list_and_end_their_sessions(tab: str) -> None:
    module = page("my-sessions", tab)
    desk = client_of(module.app) if tab == "FastAPI" else module.app.test_client()
    log_in(desk, module.manager, "peter")
    module.manager.create(user_id="peter")
    others = module.manager.create(user_id="heidi")
    text = desk.get("/sessions").text
    assert "Unknown device" in text
    assert text.count("(this one)") == 1
    [handle] = handles(text)
    assert desk.post("/sessions/end", data={"handle": handle}).status_code == 303
    assert handles(desk.get("/sessions").text) == []

    module.manager.create(user_id="peter")
    desk.post("/sessions/end-others")
    assert len(module.manager.user_sessions("peter")) == 1
    assert module.manager.get(others) == {}


@pytest.mark.parametrize("tab", ["FastAPI", "Flask"])
def test_administrators_list_and_end_all_sessions(tab: str) -> None:
    module = page("my-sessions", tab)
    client = client_of(module.app) if tab == "FastAPI" else module.app.test_client()
    log_in(client, module.manager, "peter")
    assert client.get("/admin/sessions").status_code == 403
    assert client.post("/admin/users/end", data={"user": "heidi"}).status_code == 403
    log_in(client, module.manager, "heidi")
    module.manager.create({"cart": []})  # a visitor
    text = client.get("/admin/sessions").text
    assert "peter: " in text
    assert "heidi: " in text
    assert "None: " not in text
    [handle] = handles(client.get("/admin/sessions?user=peter").text)
    client.post("/admin/sessions/end", data={"handle": handle})
    assert module.manager.user_sessions("peter") == []
    module.manager.create(user_id="peter")
    client.post("/admin/users/end", data={"user": "peter"})
    assert module.manager.user_sessions("peter") == []


@pytest.mark.parametrize("tab", ["FastAPI", "Flask"])
def test_the_dashboard_is_mounted(tab: str) -> None:
    module = page("dashboard", tab)
    client = client_of(module.app) if tab == "FastAPI" else module.app.test_client()
    assert client.get("/sessions/").status_code == 404
    log_in(client, module.manager, "peter")
    assert client.get("/sessions/").status_code == 404
    log_in(client, module.manager, "heidi")
    assert "2 sessions" in client.get("/sessions/").text
    assert client.get("/sessions/live.js").status_code == 200


# -- roles, impersonation, step-up login -----------------------------------------------------------


def test_an_administrator_acts_as_a_user_and_comes_back() -> None:
    module = page("roles")
    client = client_of(module.app)
    assert client.get("/admin").headers["location"] == "/login"
    client.post("/login", data={"name": "peter", "password": "goat"})
    assert client.get("/admin").status_code == 403
    client.post("/login", data={"name": "heidi", "password": "mountain"})
    assert client.get("/admin").json() == "hello heidi"
    assert client.post("/admin/impersonate", data={"user": "heidi"}).status_code == 403
    assert client.post("/admin/impersonate", data={"user": "peter"}).status_code == 303

    [info] = module.manager.user_sessions("peter")
    assert info.data == {"impersonator": "heidi"}
    assert client.get("/admin").status_code == 403
    assert client.get("/account/delete").headers["location"] == "/confirm"
    assert client.post("/confirm", data={"password": "goat"}).status_code == 403

    client.post("/admin/stop-impersonating")
    assert client.get("/admin").json() == "hello heidi"
    assert client.get("/account/delete").headers["location"] == "/confirm"
    assert client.post("/confirm", data={"password": "mountain"}).status_code == 303

    client.post("/admin/impersonate", data={"user": "peter"})
    module.lock_admin("heidi")
    assert module.manager.all() == []


def test_an_administrator_without_the_role_does_not_come_back() -> None:
    module = page("roles")
    client = client_of(module.app)
    log_in(client, module.manager, "heidi")
    client.post("/admin/impersonate", data={"user": "peter"})
    module.ROLES["heidi"] = "member"
    client.post("/admin/stop-impersonating")
    assert module.manager.all() == []


def test_a_sensitive_page_asks_for_the_password_again() -> None:
    module = page("roles")
    client = client_of(module.app)
    session = module.manager.load()
    session.login("peter", fresh=False)
    session["cart"] = ["bread"]
    session.save()
    client.cookies.set("sid", session.issued_id, domain="testserver.local")
    assert client.get("/account/delete").headers["location"] == "/confirm"
    assert client.post("/confirm", data={"password": "wrong"}).status_code == 403
    answer = client.post("/confirm", data={"password": "goat"})
    assert answer.headers["location"] == "/account/delete"
    assert "Delete peter?" in client.get("/account/delete").text
    assert [info.data for info in module.manager.all()] == [{"cart": ["bread"]}]
    assert client.post("/account/delete").json() == "peter is deleted"
    assert module.manager.all() == []


# -- several applications and tenants --------------------------------------------------------------


def test_two_applications_on_one_host_keep_their_logins() -> None:
    module = page("tenants")
    shop, office = client_of(module.shop), client_of(module.office)
    shop.post("/login/heidi")
    office.cookies.update(shop.cookies)  # one browser
    office.post("/login/peter")
    shop.cookies.update(office.cookies)
    assert shop.get("/me").json() == "heidi"
    assert office.get("/me").json() == "peter"
    assert sorted(shop.cookies) == ["office", "shop"]


def test_users_of_two_tenants_are_two_users() -> None:
    module = page("tenants")
    acme = client_of(module.app, base_url="http://acme.example.com")
    globex = client_of(module.app, base_url="http://globex.example.com")
    for client in (acme, globex):
        client.post("/login/7")
        assert client.get("/me").json() == 7
    copied = acme.cookies["sid"]
    assert globex.get("/me", headers={"Cookie": f"sid={copied}"}).status_code == 403
    assert module.manager.revoke_user("acme:7") == 1
    assert globex.get("/me").json() == 7


# -- Flask-Session ---------------------------------------------------------------------------------


def test_the_application_that_comes_from_flask_session_logs_in_and_out() -> None:
    path = DOCS / "migrate" / "flask-session.md"
    module = run(path, path.read_text(encoding="utf-8"))
    client = module.app.test_client()
    client.post("/login/8")
    assert client.get("/me").json == {"flask_login": "8", "lembro": "8", "cart": None}
    client.post("/logout")
    assert client.get("/me").json["flask_login"] is None
