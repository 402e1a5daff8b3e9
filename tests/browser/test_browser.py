"""The fixtures of the browser, which the other tests here use."""

from __future__ import annotations

import sys
from pathlib import Path

from playwright.sync_api import BrowserContext, Page

from tests.support.servers import serve


def test_a_page_of_a_real_server_is_shown(page: Page, tmp_path: Path) -> None:
    (tmp_path / "index.html").write_text("<title>hello</title><p>there", encoding="utf-8")
    with serve([sys.executable, "-m", "http.server", "{port}"], cwd=tmp_path) as server:
        response = page.goto(server.url)
        assert response is not None
        assert response.status == 200
        assert page.title() == "hello"


def test_each_test_has_its_own_cookies(context: BrowserContext) -> None:
    assert context.cookies() == []
    context.add_cookies([{"name": "a", "value": "1", "url": "http://127.0.0.1"}])
    assert len(context.cookies()) == 1


def test_the_next_test_starts_without_cookies(context: BrowserContext) -> None:
    assert context.cookies() == []
