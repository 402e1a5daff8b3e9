"""Run the tests of NiceGUI in a separate process, because a process has one application."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

TESTS = Path(__file__).with_name("in_nicegui.py")


def test_nicegui_over_lembro(tmp_path: Path) -> None:
    run = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", str(TESTS)]
    env = {**os.environ, "NICEGUI_STORAGE_PATH": str(tmp_path)}
    done = subprocess.run(run, env=env, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
