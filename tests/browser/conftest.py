"""A real browser: ``browser`` once, ``context`` (its own cookie jar) and ``page`` for each test."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser, BrowserContext, Page, expect, sync_playwright

from tests.support.browser import ARGS, chromium

PATIENCE = 30_000
"""Milliseconds to wait for a page. Other tests use the same processors."""

expect.set_options(timeout=PATIENCE)


# Not for the whole session: while Playwright's synchronous API is open, its event loop counts as
# running in this thread, and asyncio.run() in a later test would fail.
@pytest.fixture(scope="package")
def browser() -> Iterator[Browser]:
    path = chromium()
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=path, args=list(ARGS))
        try:
            yield browser
        finally:
            browser.close()


@pytest.fixture
def context(browser: Browser) -> Iterator[BrowserContext]:
    context = browser.new_context()
    context.set_default_timeout(PATIENCE)
    try:
        yield context
    finally:
        context.close()


@pytest.fixture
def page(context: BrowserContext) -> Page:
    return context.new_page()
