"""The admin of Django in a real browser, over lembro's sessions and gunicorn with threads."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, BrowserContext, Page, expect

from tests.support import ROOT
from tests.support.servers import Server, serve

GUNICORN = [
    *(sys.executable, "-m", "gunicorn", "--bind", "127.0.0.1:{port}", "--threads", "4"),
    "tests.browser.django_admin:app",
]
PASSWORD = "correct horse"


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    folder: Path = tmp_path_factory.mktemp("django")
    env = {"LEMBRO_DATABASE": str(folder / "db.sqlite3"), "PYTHONPATH": f"{ROOT}:{ROOT / 'src'}"}
    with serve(GUNICORN, env=env, timeout=60) as server:
        yield server
    assert "Traceback" not in server.log


def log_in(page: Page, server: Server) -> None:
    page.goto(f"{server.url}/admin/")
    page.get_by_label("Username").fill("ada")
    page.get_by_label("Password").fill(PASSWORD)
    page.get_by_role("button", name="Log in").click()
    expect(page.get_by_role("heading", name="Site administration")).to_be_visible()


def session_of(context: BrowserContext) -> str | None:
    """Return the value of the session cookie."""
    values = [c.get("value") for c in context.cookies() if c.get("name") == "sessionid"]
    return values[0] if values else None


def test_the_admin_from_the_login_to_the_logout(
    context: BrowserContext, page: Page, server: Server
) -> None:
    page.goto(f"{server.url}/admin/")
    assert session_of(context) is None, "a visitor without a login has no session"
    log_in(page, server)
    (cookie,) = [c for c in context.cookies() if c.get("name") == "sessionid"]
    assert (cookie.get("httpOnly"), cookie.get("sameSite")) == (True, "Lax")
    assert page.evaluate("document.cookie.includes('sessionid')") is False

    page.get_by_role("link", name="Groups").first.click()
    page.get_by_role("link", name="Add group").first.click()
    page.get_by_label("Name").fill("readers")
    page.get_by_role("button", name="Save", exact=True).click()
    expect(page.get_by_text("was added successfully")).to_be_visible()
    page.reload()
    expect(page.get_by_text("was added successfully")).to_have_count(0)

    page.get_by_role("button", name="Log out").click()
    expect(page.get_by_text("Logged out").first).to_be_visible()
    assert session_of(context) is None
    page.goto(f"{server.url}/admin/auth/group/")
    expect(page.get_by_label("Password")).to_be_visible()


def test_a_wrong_password_is_refused(context: BrowserContext, page: Page, server: Server) -> None:
    page.goto(f"{server.url}/admin/")
    page.get_by_label("Username").fill("ada")
    page.get_by_label("Password").fill("wrong")
    page.get_by_role("button", name="Log in").click()
    expect(page.get_by_text("Please enter the correct username and password")).to_be_visible()
    assert session_of(context) is None


def test_a_logout_in_one_tab_holds_in_the_other(context: BrowserContext, server: Server) -> None:
    one, two = context.new_page(), context.new_page()
    log_in(one, server)
    two.goto(f"{server.url}/admin/auth/user/")
    expect(two.get_by_role("heading", name="Select user to change")).to_be_visible()
    one.get_by_role("button", name="Log out").click()
    expect(one.get_by_text("Logged out").first).to_be_visible()
    two.reload()
    expect(two.get_by_label("Password")).to_be_visible()


def test_a_stolen_cookie_is_stale_after_the_login(
    browser: Browser, context: BrowserContext, page: Page, server: Server
) -> None:
    log_in(page, server)
    stolen = session_of(context)
    assert stolen is not None
    thief = browser.new_context()
    thief.add_cookies([{"name": "sessionid", "value": stolen, "url": server.url}])
    theirs = thief.new_page()
    theirs.goto(f"{server.url}/admin/")
    expect(theirs.get_by_role("heading", name="Site administration")).to_be_visible()
    page.get_by_role("button", name="Log out").click()
    expect(page.get_by_text("Logged out").first).to_be_visible()
    theirs.reload()
    expect(theirs.get_by_label("Password")).to_be_visible()
    thief.close()


def test_a_new_password_keeps_this_session_and_ends_the_others(
    browser: Browser, context: BrowserContext, page: Page, server: Server
) -> None:
    log_in(page, server)
    elsewhere = browser.new_context()
    there = elsewhere.new_page()
    log_in(there, server)
    before = session_of(context)
    page.goto(f"{server.url}/admin/password_change/")
    page.get_by_label("Old password").fill(PASSWORD)
    page.get_by_label("New password:").fill("battery staple")
    page.get_by_label("New password confirmation").fill("battery staple")
    page.get_by_role("button", name="Change my password").click()
    expect(page.get_by_text("Your password was changed")).to_be_visible()
    assert session_of(context) not in (None, before)
    there.reload()
    expect(there.get_by_label("Password")).to_be_visible()
    elsewhere.close()
    # restore the password for the other tests
    page.goto(f"{server.url}/admin/password_change/")
    page.get_by_label("Old password").fill("battery staple")
    page.get_by_label("New password:").fill(PASSWORD)
    page.get_by_label("New password confirmation").fill(PASSWORD)
    page.get_by_role("button", name="Change my password").click()
    expect(page.get_by_text("Your password was changed")).to_be_visible()


def test_the_sessions_are_listed_and_ended(browser: Browser, page: Page, server: Server) -> None:
    elsewhere = browser.new_context(user_agent="Mozilla/5.0 (iPhone) Version/18.5 Safari/604.1")
    there = elsewhere.new_page()
    log_in(there, server)
    log_in(page, server)
    complaints: list[str] = []
    page.on("console", lambda message: complaints.append(message.text))
    page.on("pageerror", lambda error: complaints.append(str(error)))
    page.get_by_role("link", name="Sessions").first.click()
    phone = page.locator("table tbody tr").filter(has_text="Safari on iPhone")
    expect(phone).to_contain_text("ada")
    expect(page.locator("#connection")).to_have_text("live")
    expect(page.locator("#memory .line")).to_be_attached()
    page.emulate_media(color_scheme="dark")
    page.set_viewport_size({"width": 390, "height": 844})
    assert page.evaluate("document.documentElement.scrollWidth") == 390
    page.screenshot(path=ROOT / ".artifacts" / "dashboard-django.png", full_page=True)
    phone.get_by_role("button", name="End").click()
    expect(page.get_by_role("heading")).to_contain_text(["End the session"])
    page.get_by_role("button", name="End").click()
    expect(page.get_by_text("The session has ended.")).to_be_visible()
    expect(phone).to_have_count(0)
    there.reload()
    expect(there.get_by_label("Password")).to_be_visible()
    elsewhere.close()
    assert complaints == []
