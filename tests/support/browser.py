"""The browser that the tests use."""

from __future__ import annotations

import subprocess
from functools import cache
from typing import Final

from tests.support import ROOT, require_or_skip

ARGS: Final = (
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)


@cache
def find_chromium() -> str | None:
    """Return the path of a Chromium that runs, as ``tools/chromium.sh`` finds it."""
    try:
        found = subprocess.run(
            ["sh", str(ROOT / "tools" / "chromium.sh"), "find"],
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired):
        return None
    return found.stdout.strip() or None


def chromium() -> str:
    """Return the path of a Chromium that runs, or skip the test."""
    return find_chromium() or require_or_skip(
        "no Chromium: install one, or name it in LEMBRO_CHROMIUM"
    )
