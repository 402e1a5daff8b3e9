"""The example of Express and FastAPI behind one cookie, as ``make express-demo`` runs it."""

from __future__ import annotations

import sys

from playwright.sync_api import Locator, Page, expect

from tests.support.express import environment, node
from tests.support.servers import serve

DEMO = [sys.executable, "-m", "tools.express_demo", "--port", "{port}"]


def test_express_and_fastapi_agree_about_the_user(page: Page) -> None:
    node()  # skips the test
    with serve(DEMO, env=environment(), ready="/python/me", timeout=60) as server:
        page.goto(server.url)
        express, fastapi = (page.get_by_label(name, exact=True) for name in ("Express", "FastAPI"))

        def both_show(user: str, cart: str) -> None:
            for side in (express, fastapi):
                expect(side.locator("strong")).to_have_text(user)
                expect(side.locator("span")).to_have_text(cart)

        def click(side: Locator, name: str) -> None:
            side.get_by_role("button", name=name).click()

        both_show("nobody", "empty")
        click(express, "Add bread")
        both_show("nobody", "bread")
        click(fastapi, "Add bread")
        both_show("nobody", "bread, bread")
        click(fastapi, "Log in as Ann")
        both_show("Ann", "bread, bread")
        click(express, "Log out")
        both_show("nobody", "empty")
        click(express, "Log in as Ann")
        both_show("Ann", "empty")
        click(fastapi, "Log out")
        both_show("nobody", "empty")
        assert "Error" not in server.log
