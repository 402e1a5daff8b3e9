"""The dashboard in a browser: FastAPI over a MemoryStore, Flask over a file.

Pictures of it are left in ``.artifacts/``.

``test_django_admin.py`` tries the page in the admin of Django.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from urllib.parse import quote

import pytest
from playwright.sync_api import Browser, Page, expect

from tests.support import ROOT
from tests.support.servers import Server, serve

ARTIFACTS = ROOT / ".artifacts"
HOSTILE = "<script>document.title='hacked'</script>"
SERVERS = {
    "fastapi": ("uvicorn", "tests.browser.dashboard_apps:fastapi", "--port={port}"),
    "flask": ("waitress", "--listen=127.0.0.1:{port}", "tests.browser.dashboard_apps:flask"),
}


@pytest.fixture(scope="module")
def servers(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, Server]]:
    folder: Path = tmp_path_factory.mktemp("dashboard")
    stores = {"fastapi": "memory://?max_size=4M", "flask": f"sqlite:///{folder / 'sessions.db'}"}
    with ExitStack() as stack:
        yield {
            name: stack.enter_context(
                serve([sys.executable, "-m", *argv], env={"LEMBRO_TEST_STORE": stores[name]})
            )
            for name, argv in SERVERS.items()
        }


@pytest.fixture(params=list(SERVERS))
def server(request: pytest.FixtureRequest, servers: dict[str, Server]) -> Iterator[Server]:
    server = servers[request.param]
    yield server
    assert "Traceback" not in server.log


@pytest.fixture
def dashboard(page: Page, server: Server) -> Iterator[Page]:
    """Open the dashboard as an administrator, and check that the browser reports no error."""
    complaints: list[str] = []
    page.on("console", lambda message: complaints.append(f"{message.text} {message.location}"))
    page.on("pageerror", lambda error: complaints.append(str(error)))
    page.goto(f"{server.url}/login/ada")
    page.goto(f"{server.url}/sessions")  # redirected to the address with a slash
    assert page.url == f"{server.url}/sessions/"
    yield page
    # The page of the login has no icon.
    assert [text for text in complaints if "/favicon.ico" not in text] == []


def log_in(browser: Browser, server: Server, *users: str) -> None:
    """Log users in, each in a browser of its own, without pages."""
    for user in users:
        context = browser.new_context(user_agent="Mozilla/5.0 (iPhone) Version/18.5 Safari/604.1")
        assert context.request.get(f"{server.url}/login/{quote(user)}").ok
        context.close()


def test_an_administrator_sees_and_ends_sessions(
    browser: Browser, dashboard: Page, server: Server
) -> None:
    log_in(browser, server, "heidi", "heidi", "peter" * 30, HOSTILE)
    page = dashboard
    page.reload()
    expect(page.get_by_role("heading", name="5 sessions")).to_be_visible()
    expect(page.locator("#connection")).to_have_text("live")
    expect(page.locator("#session-count")).to_have_text("5")
    expect(page.locator("#memory .line")).to_be_attached()
    rows = page.locator("table tbody tr")
    expect(rows).to_have_count(5)
    peter = rows.filter(has_text="peter")
    expect(peter).to_contain_text("Safari on iPhone")
    expect(peter).to_contain_text("127.0.0.1")
    expect(peter).to_contain_text("cart ['<b>bread</b>']")
    assert "s3cret" not in page.content()
    assert [c.get("value", "?") in page.content() for c in page.context.cookies()] == [False] * 2
    expect(rows.filter(has_text=HOSTILE)).to_have_count(1)
    assert page.title() == "Sessions"
    keep(page, "dashboard")
    fits_a_phone_in_the_dark(page)

    page.get_by_label("User, device or address").fill("heid")
    page.keyboard.press("Enter")
    expect(page.get_by_role("heading", name="2 sessions with “heid”")).to_be_visible()
    page.get_by_role("link", name="heidi").first.click()
    expect(page.get_by_role("heading", name="2 sessions of heidi")).to_be_visible()
    page.get_by_role("button", name="End all of them").click()
    expect(page.get_by_role("heading", name="End all sessions of heidi?")).to_be_visible()
    page.get_by_role("link", name="Cancel").click()
    expect(page.get_by_role("heading", name="5 sessions")).to_be_visible()

    peter.get_by_role("button", name="End").click()
    page.get_by_role("button", name="End").click()
    expect(page.get_by_role("status")).to_have_text("The session has ended.")
    page.get_by_role("link", name="All sessions").click()
    rows.filter(has_text=HOSTILE).get_by_role("button", name="End").click()
    expect(page.get_by_role("heading")).to_contain_text(HOSTILE)
    page.get_by_role("button", name="End").click()
    expect(page.get_by_role("status")).to_have_text("The session has ended.")
    page.get_by_role("link", name="All sessions").click()
    expect(page.get_by_role("heading", name="3 sessions")).to_be_visible()

    page.get_by_role("button", name="End all sessions").click()
    page.get_by_role("button", name="End").click()
    expect(page.get_by_role("status")).to_have_text("All sessions have ended.")


@pytest.mark.parametrize("server", ["fastapi"], indirect=True)
def test_the_form_of_another_site_ends_nothing(
    dashboard: Page, server: Server, servers: dict[str, Server]
) -> None:
    token = dashboard.locator("input[name=token]").first.get_attribute("value")
    other = next(each for each in servers.values() if each is not server)
    page = dashboard.context.new_page()
    page.goto(other.url.replace("127.0.0.1", "localhost"))
    page.set_content(f"""<form method="post" action="{server.url}/sessions/">
        <input name="token" value="{token}"><input name="action" value="all">
        <input name="confirm" value="yes"><button>Win</button></form>""")
    with page.expect_navigation() as navigation:
        page.get_by_role("button").click()
    # The cookies are SameSite: the browser does not send them, so this is no administrator.
    assert navigation.value.status == 404
    page.close()
    dashboard.reload()
    expect(dashboard.get_by_role("heading", name=re.compile(r"\d+ sessions?$"))).to_be_visible()


def fits_a_phone_in_the_dark(page: Page) -> None:
    page.emulate_media(color_scheme="dark", reduced_motion="reduce")
    page.set_viewport_size({"width": 390, "height": 844})
    expect(page.locator("body")).to_have_css("background-color", "rgb(17, 20, 26)")
    expect(page.get_by_role("button", name="End", exact=True).first).to_be_visible()
    assert page.evaluate("document.documentElement.scrollWidth") == 390
    keep(page, "dashboard-phone")
    page.set_viewport_size({"width": 1280, "height": 720})


def keep(page: Page, name: str) -> None:
    ARTIFACTS.mkdir(exist_ok=True)
    page.screenshot(path=ARTIFACTS / f"{name}.png", full_page=True)
