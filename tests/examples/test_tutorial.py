"""The tutorial, as a reader follows it: its blocks are saved in files, run and tested."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import httpx
import pytest

from tests.support import ROOT
from tests.support.servers import serve
from tests.unit.test_readme import blocks_of

TEXT = (ROOT / "docs" / "getting-started.md").read_text(encoding="utf-8")
SERVERS = {
    "FastAPI": ["uvicorn", "app:app", "--port={port}"],
    "Flask": ["flask", "run", "--port={port}"],
}


def save(tab: str, folder: Path, text: str = TEXT) -> None:
    """Save the blocks of a tab in their files, one after another."""
    for name in ("app.py", "test_app.py"):
        codes = [block.code.strip() for block in blocks_of(text, tab) if block.title == name]
        (folder / name).write_text("\n\n\n".join(codes) + "\n", encoding="utf-8")


@pytest.mark.parametrize("tab", SERVERS)
def test_the_tests_of_the_tutorial_pass(tab: str, tmp_path: Path) -> None:
    save(tab, tmp_path)
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider"]
    # A reader has no plugins yet, and those of this environment take longer than the tests.
    env = {**os.environ, "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"}
    done = subprocess.run(
        command, cwd=tmp_path, env=env, capture_output=True, text=True, check=False, timeout=300
    )
    assert "4 passed" in done.stdout, done.stdout + done.stderr


@pytest.mark.parametrize("tab", SERVERS)
@pytest.mark.parametrize("heading", ["Log users in", "List the user's sessions", "Test it"])
def test_the_application_runs_after_each_step(tab: str, heading: str, tmp_path: Path) -> None:
    before, found, _ = TEXT.partition(f"\n## {heading}\n")
    assert found
    save(tab, tmp_path, before)
    with (
        serve([sys.executable, "-m", *SERVERS[tab]], cwd=tmp_path) as server,
        httpx.Client(base_url=server.url, follow_redirects=True) as client,
    ):
        assert "<li>bread</li>" in client.post("/cart", data={"item": "bread"}).text
        if heading == "Log users in":
            return
        assert "Log in" in client.get("/account").text
        heidi = {"name": "heidi", "password": "mountain"}
        assert client.post("/login", data={**heidi, "password": "valley"}).status_code == 401
        answer = client.post("/login", data={**heidi, "remember": "1"})
        assert "Hello heidi" in answer.text
        assert "Max-Age" in answer.history[0].headers["Set-Cookie"]
        assert "<li>bread</li>" in client.get("/").text
        if heading == "Test it":
            assert "(this one)" in client.get("/sessions").text
            with httpx.Client(
                base_url=server.url, headers={"User-Agent": "Firefox/140.0"}
            ) as phone:
                phone.post("/login", data=heidi)
                page = client.get("/sessions").text
                assert "Firefox" in page
                [handle] = re.findall(r'name="handle" value="([^"]+)"', page)
                client.post("/sessions/end", data={"handle": handle})
                assert phone.get("/account").headers["Location"] == "/login"
        client.post("/logout")
        assert "Log in" in client.get("/account").text
