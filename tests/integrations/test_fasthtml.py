"""Run the tests of FastHTML in a separate process.

FastHTML changes Starlette's URLs for the whole process when it is imported.
"""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

TESTS = Path(__file__).with_name("in_fasthtml.py")


def test_fasthtml_over_lembro() -> None:
    run = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", str(TESTS)]
    done = subprocess.run(run, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
