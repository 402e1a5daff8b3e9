"""Make ``docs/images/demo.png``, the picture of the demo after a flood.

Run ``python -m tools.screenshot``. It takes a minute and a half, so that some visitors are known
for a minute.
"""

from __future__ import annotations

import sys

from playwright.sync_api import expect, sync_playwright

from tests.support import ROOT
from tests.support.browser import ARGS, chromium
from tests.support.servers import serve

PICTURE = ROOT / "docs" / "images" / "demo.png"
SETTLED = 66_000  # milliseconds until the returning visitors are known for a minute
AFTERWARDS = 6_000  # until the last message has disappeared
PHONE = "Mozilla/5.0 (iPhone; CPU iPhone OS 18_5 like Mac OS X) Version/18.5 Safari/604.1"


def main() -> None:
    demo = [sys.executable, "-m", "lembro", "demo", "--port", "{port}"]
    with serve(demo, ready="/static/icon.svg") as server, sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium(), args=list(ARGS))
        phone = browser.new_page(user_agent=PHONE)
        page = browser.new_page(viewport={"width": 1280, "height": 900}, device_scale_factor=1.25)
        for one in (phone, page):
            one.goto(server.url)
            one.get_by_role("button", name="Ana").click()
            expect(one.locator("#mine")).to_be_visible()
        page.get_by_role("button", name="Order 20 at once").click()
        page.wait_for_timeout(SETTLED)
        page.get_by_role("button", name="Send 10,000 bots").click()
        expect(page.locator("#verdict")).not_to_be_empty(timeout=60_000)
        page.wait_for_timeout(AFTERWARDS)
        PICTURE.parent.mkdir(exist_ok=True)
        page.screenshot(path=PICTURE, full_page=True)
        browser.close()
    print(f"{PICTURE.relative_to(ROOT)}: {PICTURE.stat().st_size // 1000} kB")


if __name__ == "__main__":
    main()
