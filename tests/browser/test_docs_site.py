"""The built documentation, in a browser: its search, and its width on a phone."""

from __future__ import annotations

import importlib.util
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, expect

from tests.support import ROOT, require_or_skip
from tests.support.servers import Server, serve
from tools.docs import prepare

ANSWERS = {
    "workers": ["deploy/workers/#"],
    "nginx": ["deploy/nginx/#"],
    "Caddy": ["deploy/caddy/#"],
    "Traefik": ["deploy/traefik/#"],
    "root_path": ["deploy/subpaths/#"],
    "systemd": ["deploy/systemd/#"],
    "docker": ["deploy/docker/#"],
    "kubernetes": ["deploy/kubernetes/#"],
    "healthz": ["deploy/health/#"],
    "stolen": ["deploy/runbook/#a-session-was-stolen"],
    "restart": ["deploy/#restarts"],
    "login": ["login/"],
    "CSRF": ["login/#csrf", "flash-messages/#"],
    "flash": ["flash-messages/#"],
    "administrator": ["my-sessions/#"],
    "impersonation": ["roles/#"],
    "step-up": ["roles/#"],
    "tenants": ["tenants/#"],
    "Flask-SocketIO": ["migrate/flask-session/#flask-socketio", "flask/#flask-socketio"],
    "express-lembro": ["migrate/express-lembro/"],
    "share a login": ["express/"],
    "passport": ["express/#the-user"],
    "checkPeriod": ["migrate/memorystore/"],
    "freezegun": ["testing/#let-time-pass"],
    "test client": ["testing/"],
    "Flask-Login": ["login/#flask-login-and-other-login-libraries", "flask/#flask-login"],
    "timeout": ["login/#timeouts"],
    "remember me": ["login/#remember-me"],
    "MemoryStore": ["reference/stores/#lembro.MemoryStore"],
    "idle_timeout": ["reference/options/#lembro.SessionOptions.idle_timeout"],
}
"""Search words, each with the beginnings of the addresses that answer. The first result must have
one of these addresses."""


def build(folder: Path) -> None:
    """Build the site as ``make docs`` does, and leave the clone alone."""
    folder.mkdir()
    for name in ("src", "tools"):
        (folder / name).symlink_to(ROOT / name)
    shutil.copy(ROOT / "zensical.toml", folder)
    prepare(ROOT, folder / "build" / "docs")
    command = [sys.executable, "-m", "zensical", "build", "--strict", "--clean"]
    done = subprocess.run(
        command, cwd=folder, capture_output=True, text=True, check=False, timeout=300
    )
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of the site, which the workers of pytest-xdist share: a build takes 15 seconds."""
    for module in ("zensical", "mkdocstrings"):
        if importlib.util.find_spec(module) is None:
            require_or_skip(f"{module} is not installed: pip install --group docs")
    folder = tmp_path_factory.getbasetemp()
    if os.environ.get("PYTEST_XDIST_WORKER"):
        folder = folder.parent
    built = folder / "docs-site"
    done = built / "done"
    try:
        (folder / "docs-site-lock").mkdir()
    except FileExistsError:
        deadline = time.monotonic() + 240
        while not done.exists() and time.monotonic() < deadline:
            time.sleep(0.2)
    else:
        build(built)
        done.touch()
    assert done.exists(), "the build of the documentation failed in another worker"
    return built / "site"


@pytest.fixture(scope="module")
def server(site: Path) -> Iterator[Server]:
    with serve([sys.executable, "-m", "http.server", "{port}"], cwd=site) as server:
        yield server


def test_the_search_names_the_pages_that_answer(browser: Browser, server: Server) -> None:
    # One page for all, because loading the index takes longer than all searches.
    with closing(browser.new_context()) as context:
        page = context.new_page()
        page.goto(server.url)
        page.get_by_role("button", name="Search").first.click()
        found = {words: first_result(page, words).removeprefix(server.url) for words in ANSWERS}
    wrong = {
        words: address
        for words, address in found.items()
        if not address.removeprefix("/").startswith(tuple(ANSWERS[words]))
    }
    assert wrong == {}


def first_result(page: Page, words: str) -> str:
    """Search in an open page. Return the address of the first result, without its query."""
    page.get_by_role("combobox").fill("")
    expect(page.get_by_role("option").locator("mark")).to_have_count(0)
    page.get_by_role("combobox").fill(words)
    first = page.get_by_role("option").first
    first.locator("mark").first.wait_for()
    address, _, anchor = (first.get_attribute("href") or "").partition("#")
    return f"{address.partition('?')[0]}#{anchor}"


def test_no_page_is_wider_than_a_phone(browser: Browser, server: Server, site: Path) -> None:
    # Without JavaScript a page loads in half the time. The scripts do not change its width.
    context = browser.new_context(viewport={"width": 390, "height": 844}, java_script_enabled=False)
    page = context.new_page()
    wide = {}
    for path in sorted(site.rglob("index.html")):
        name = path.parent.relative_to(site).as_posix()
        page.goto(f"{server.url}/{name}/")
        width = page.evaluate("document.documentElement.scrollWidth")
        if width > 390:
            wide[name] = width
    context.close()
    assert wide == {}


def test_no_page_asks_another_host(site: Path) -> None:
    asking = [
        path.relative_to(site).as_posix()
        for path in site.rglob("*.html")
        for line in path.read_text(encoding="utf-8").splitlines()
        if any(f'{name}="http' in line for name in ("src", "srcset"))
        or ("<link" in line and 'href="http' in line)
    ]
    assert asking == []
