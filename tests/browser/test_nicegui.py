"""NiceGUI over lembro's session, in a browser: its pages talk to the server by a WebSocket."""

from __future__ import annotations

import re
import sys
from pathlib import Path

from playwright.sync_api import Browser, Page, expect

from tests.support import ROOT
from tests.support.servers import free_port, serve

APP = ROOT / "tests" / "integrations" / "nicegui_app.py"


def test_an_open_page_reloads_when_its_session_ends_elsewhere(
    browser: Browser, page: Page, tmp_path: Path
) -> None:
    port = free_port()
    env = {"PORT": str(port), "NICEGUI_STORAGE_PATH": str(tmp_path)}
    # NiceGUI would treat the process as a part of the test that started it.
    command = ["env", "-u", "PYTEST_CURRENT_TEST", sys.executable, str(APP)]
    with serve(command, env=env, port=port, timeout=60) as server:
        page.goto(f"{server.url}/login/heidi")
        expect(page.get_by_text("heidi: 1 visits, 1 seen")).to_be_visible()
        page.get_by_text("count").click()
        expect(page.get_by_text("1 clicks by heidi, 1 seen")).to_be_visible()
        page.get_by_text("note", exact=True).click()
        expect(page.get_by_text("note taken")).to_be_visible()
        page.reload()
        expect(page.get_by_text("heidi: 2 visits, 2 seen")).to_be_visible()

        elsewhere = browser.new_context()
        phone = elsewhere.new_page()
        phone.goto(f"{server.url}/login/heidi")
        phone.goto(f"{server.url}/logout-everywhere")
        # It reloads automatically: twice, if the first time takes longer than the interval.
        expect(page.get_by_text(re.compile(r"^None: \d visits, \d seen$"))).to_be_visible()
        elsewhere.close()
        assert "Traceback" not in server.log
