"""``lembro demo`` in a browser, with the real command.

Screenshots of a flood are left in ``.artifacts/``.
"""

from __future__ import annotations

import http.client
import json
import re
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, BrowserContext, Page, expect

from tests.support import ROOT
from tests.support.servers import HOST, Server, serve

DEMO = [sys.executable, "-m", "lembro", "demo", "--port", "{port}"]
ARTIFACTS = ROOT / ".artifacts"
CAP = 4 * 1024 * 1024
TIMES = "\N{MULTIPLICATION SIGN}"
LONG_NAME = "W" * 40
FULL = re.compile(r"a new visitor's session survives about \d+ s$")
WIDTHS = {"phone": 390, "desktop": 1280}

Open = Callable[[BrowserContext], Page]


@pytest.fixture(scope="module")
def demo() -> Iterator[Server]:
    with serve(DEMO, ready="/static/icon.svg") as server:
        yield server


@pytest.fixture
def open_page(demo: Server) -> Iterator[Open]:
    """Open the demo in a tab, and check that the browser reports no error."""
    complaints: list[str] = []

    def opened(context: BrowserContext) -> Page:
        page = context.new_page()
        page.on("console", lambda message: complaints.append(message.text))
        page.on("pageerror", lambda error: complaints.append(str(error)))
        page.on("requestfailed", lambda request: complaints.append(f"{request.url} failed"))
        page.goto(demo.url)
        expect(page.locator("#connection")).to_have_text("live")
        return page

    yield opened
    # A stream that the page closed itself has not failed.
    assert [text for text in complaints if not text.endswith("/live failed")] == []


@pytest.fixture
def other(browser: Browser) -> Iterator[BrowserContext]:
    """Return another browser, with its own cookies."""
    context = browser.new_context(user_agent="Mozilla/5.0 (iPhone) Version/18.5 Safari/604.1")
    context.set_default_timeout(30_000)
    yield context
    context.close()


def log_in(page: Page, name: str) -> None:
    page.get_by_label("Name", exact=True).fill(name)
    page.get_by_role("button", name="Log in").click()
    expect(page.locator("#who")).to_have_text(f"You are logged in as {name}.")


def manager(page: Page) -> Any:
    return page.get_by_role("list", name="Your sessions").get_by_role("listitem")


def press(page: Page, name: str) -> None:
    page.get_by_role("button", name=name, exact=True).click()


def has_logged_out(page: Page) -> None:
    expect(page.locator("#who")).to_contain_text("You are anonymous")


def says(page: Page, text: str) -> None:
    expect(page.locator("#message")).to_have_text(text)


# -- logging in and out ----------------------------------------------------------------------------


def test_log_in_by_keyboard_and_log_out(context: BrowserContext, open_page: Open) -> None:
    page = open_page(context)
    has_logged_out(page)
    page.get_by_label("Name", exact=True).focus()
    page.keyboard.type("Dora")
    page.keyboard.press("Enter")
    expect(page.locator("#who")).to_have_text("You are logged in as Dora.")
    says(page, "Welcome, Dora.")
    expect(manager(page)).to_have_count(1)
    expect(manager(page)).to_contain_text("this one")
    page.reload()
    expect(page.locator("#who")).to_have_text("You are logged in as Dora.")
    press(page, "Log out")
    has_logged_out(page)
    says(page, "You are logged out.")


def test_a_suggested_name_and_remember_me_work(context: BrowserContext, open_page: Open) -> None:
    page = open_page(context)
    assert [cookie.get("expires") for cookie in context.cookies()] == [
        -1
    ]  # until the browser closes
    page.get_by_label("Remember me").check()
    press(page, "Célia")
    expect(page.locator("#who")).to_have_text("You are logged in as Célia.")
    (cookie,) = context.cookies()
    assert cookie.get("expires", -1) > 0
    assert cookie.get("httpOnly")
    assert cookie.get("sameSite") == "Lax"


def test_markup_in_a_name_is_shown_as_text(context: BrowserContext, open_page: Open) -> None:
    page = open_page(context)
    log_in(page, "<img src=x onerror=alert(1)>")
    expect(page.locator("main img")).to_have_count(0)


def test_a_user_sees_and_ends_their_sessions(
    context: BrowserContext, other: BrowserContext, open_page: Open
) -> None:
    here, there = open_page(context), open_page(other)
    log_in(there, "Elsa")
    log_in(here, "Elsa")
    expect(manager(here)).to_have_count(2)
    expect(manager(here).first).to_contain_text("Safari on iPhone")
    expect(manager(here).last).to_contain_text("this one")

    manager(here).get_by_role("button", name="End session").click()
    says(here, "That session has ended.")
    expect(manager(here)).to_have_count(1)
    has_logged_out(there)  # without a reload
    says(there, "Your session was ended in another browser, or it expired.")

    log_in(there, "Elsa")
    press(here, "Log out the others")
    says(here, "Your other sessions have ended.")
    has_logged_out(there)
    expect(here.locator("#who")).to_have_text("You are logged in as Elsa.")

    log_in(there, "Elsa")
    press(there, "Log out everywhere")
    says(there, "You are logged out everywhere.")
    has_logged_out(there)
    has_logged_out(here)


# -- the tray --------------------------------------------------------------------------------------


def test_two_tabs_in_parallel_lose_nothing(context: BrowserContext, open_page: Open) -> None:
    one, two = open_page(context), open_page(context)
    press(one, "+ Bica")
    expect(two.locator("#tray")).to_have_text(f"1 {TIMES} Bica")  # the other tab is updated
    expect(one.locator("#tray")).to_have_text(f"1 {TIMES} Bica")
    for page in (one, two):  # without waiting for the first
        page.get_by_role("button", name="Order 20 at once").click(no_wait_after=True)
    for page in (one, two):
        expect(page.locator("#burst-result")).to_have_text("20 of 20 arrived")
        expect(page.locator("#tray-lead")).to_have_text("41 on the tray. The counter says 41.")


def test_the_tray_of_a_visitor_is_kept_at_the_login(
    context: BrowserContext, open_page: Open
) -> None:
    page, tab = open_page(context), open_page(context)
    press(page, "+ Pastel de nata")
    expect(page.locator("#tray")).to_have_text(f"1 {TIMES} Pastel de nata")
    log_in(page, "Filipa")
    expect(page.locator("#tray")).to_have_text(f"1 {TIMES} Pastel de nata")
    expect(tab.locator("#who")).to_have_text("You are logged in as Filipa.")  # without a reload
    press(page, "Clear")
    expect(page.locator("#tray-lead")).to_have_text("It is empty.")


# -- the store -------------------------------------------------------------------------------------


def test_the_chart_is_updated(context: BrowserContext, open_page: Open) -> None:
    page = open_page(context)
    line = page.locator("#memory .line")
    expect(page.locator("#memory .cap-label")).to_have_text("max_size: 4 MB, never above")
    for _ in range(3):
        expect(line).not_to_have_attribute("d", line.get_attribute("d") or "")
    expect(page.get_by_role("img", name="Memory over the last minute")).to_be_visible()
    expect(page.get_by_role("row")).to_have_count(5)
    expect(page.locator("#memory-text")).to_contain_text("of 4 MB.")


def test_unused_sessions_expire(context: BrowserContext) -> None:
    with serve([*DEMO, "--idle", "2"], ready="/") as server:  # its request begins a session
        page = context.new_page()
        page.goto(server.url)
        expect(page.locator("#expired")).to_have_text(re.compile("[1-9]"))  # perhaps the page's too
        expect(page.locator("#idle")).to_have_text("2 s")


def events(demo: Server, context: BrowserContext) -> Iterator[dict[str, Any]]:
    """Return what the server sends to a page with these cookies."""
    cookie = "; ".join(f"{c.get('name')}={c.get('value')}" for c in context.cookies())
    connection = http.client.HTTPConnection(HOST, demo.port, timeout=10)
    try:
        connection.request("GET", "/live", headers={"Cookie": cookie})
        stream = connection.getresponse()
        while line := stream.readline():  # no limit: the connection has one
            if line.startswith(b"data: "):
                yield json.loads(line[6:])
    finally:
        connection.close()


def test_a_flood_evicts_bots_only(context: BrowserContext, open_page: Open, demo: Server) -> None:
    page = open_page(context)
    log_in(page, "Gil")
    press(page, "Order 20 at once")
    expect(page.locator("#burst-result")).not_to_be_empty()

    press(page, "Send 10,000 bots")
    expect(page.get_by_role("button", name="Send 10,000 bots")).to_be_disabled()
    report: dict[str, Any] = {}
    used, shown, passing, photographed = [], [], [], False
    expect(page.locator("#note")).not_to_contain_text("newcomer")
    for event in events(demo, context):
        used += [sample["used"] for sample in event["samples"]]
        passing += [sample["tiers"][0] for sample in event["samples"]]
        assert event["you"]["user"] == "Gil"
        if event["bots"] is None:  # the server has not received the order yet
            continue
        shown.append(float(page.locator("#used").inner_text()))
        if event["bots"]["sent"] > 8_000 and not photographed:
            photographed = keep(page, "during")
        report = event["bots"]
        if not report["running"]:
            break
    assert report["sent"] == 10_000
    assert report["evicted"] > 1_000
    assert report["lost"] == 0
    assert max(used) > 0.9 * CAP  # a sixteenth of the segments is kept free
    assert max(passing) > 4_000
    assert max(used) <= report["peak"] <= CAP
    assert max(shown) <= 4
    assert len(set(shown)) > 10  # the page was updated

    verdict = page.locator("#verdict")
    expect(verdict).to_contain_text("10,000 bots came in")
    expect(verdict).to_contain_text("You are still logged in as Gil.")
    expect(page.locator("#note")).to_have_text(FULL)
    kept = 60 - report["lost_as_newcomers"]  # the server may have started a moment ago
    expect(verdict).to_contain_text(f"{kept} of 60 regulars kept their session")
    expect(page.locator("#tray-lead")).to_have_text("20 on the tray. The counter says 20.")
    expect(page.get_by_role("progressbar")).to_have_js_property("value", 10_000)
    expect(page.get_by_role("button", name="Send 10,000 bots")).to_be_enabled()
    expect(page.locator("#message")).to_be_empty()
    keep(page, "after")
    page.emulate_media(color_scheme="dark")
    keep(page, "after-dark")
    page.reload()
    expect(page.locator("#who")).to_have_text("You are logged in as Gil.")


def keep(page: Page, name: str) -> bool:
    ARTIFACTS.mkdir(exist_ok=True)
    for device, width in WIDTHS.items():
        page.set_viewport_size({"width": width, "height": 844})
        page.screenshot(path=ARTIFACTS / f"demo-{name}-{device}.png", full_page=True)
    return True


def test_the_code_sample_follows_the_tick_of_remember_me(
    context: BrowserContext, open_page: Open
) -> None:
    page = open_page(context)
    code, tick = page.locator("#login-code"), page.get_by_label("Remember me")
    expect(code).to_have_text("session.login(name)")
    tick.check()
    expect(code).to_have_text("session.login(name, remember=True)")
    tick.uncheck()
    expect(code).to_have_text("session.login(name)")


def test_a_phone_shows_the_flood_button_and_the_chart_together(
    context: BrowserContext, open_page: Open
) -> None:
    page = open_page(context)
    page.set_viewport_size({"width": 390, "height": 844})
    page.locator("#bots-title").evaluate("title => title.scrollIntoView()")
    expect(page.get_by_role("button", name="Send 10,000 bots")).to_be_in_viewport(ratio=1)
    expect(page.locator("#memory")).to_be_in_viewport(ratio=1)
    ARTIFACTS.mkdir(exist_ok=True)
    page.screenshot(path=ARTIFACTS / "demo-flood-phone.png")


def test_no_element_exceeds_the_width_of_the_page(
    context: BrowserContext, other: BrowserContext, open_page: Open
) -> None:
    log_in(open_page(other), LONG_NAME)
    page = open_page(context)

    def fits() -> None:
        for width in (320, 390, 768, 1280):
            page.set_viewport_size({"width": width, "height": 844})
            assert page.evaluate("() => document.documentElement.scrollWidth") == width

    fits()
    log_in(page, LONG_NAME)
    fits()
    press(page, "Order 20 at once")
    expect(page.locator("#burst-result")).not_to_be_empty()
    fits()


# -- a store that workers share --------------------------------------------------------------------


def test_the_page_of_a_shared_store_shows_the_worker(
    context: BrowserContext, tmp_path: Path
) -> None:
    argv = [*DEMO, "--store", f"sqlite:///{tmp_path / 'demo.db'}"]
    errors: list[str] = []
    with serve(argv, ready="/static/icon.svg") as server:
        page = context.new_page()
        page.on("pageerror", lambda error: errors.append(str(error)))
        page.goto(server.url)
        expect(page.locator("#connection")).to_have_text("live")
        expect(page.locator("#store-kind")).to_have_text("SQLiteStore")
        expect(page.locator("#worker")).to_contain_text(f"Answered by worker {server.pid}.")
        expect(page.locator("#session-count")).to_have_text("1")
        expect(page.get_by_role("button", name="Send 10,000 bots")).to_be_hidden()
        press(page, "Order 20 at once")
        expect(page.locator("#burst-result")).to_have_text("20 of 20 arrived")
        page.close()
    assert errors == []
