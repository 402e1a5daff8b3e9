"""Helpers that the tests share."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Final, NoReturn

import pytest

ROOT = Path(__file__).resolve().parents[2]
"""The root of the repository."""


NOT_MEASURED: Final = {"COVERAGE_PROCESS_CONFIG": ""}
"""Environment variables for a process in which coverage is not measured. The measurement imports
modules, allocates memory and handles SIGTERM."""


def in_ci() -> bool:
    return os.environ.get("CI", "").lower() in {"true", "1", "yes"}


def require_or_skip(reason: str) -> NoReturn:
    """Skip the test if something that it needs is missing, or fail in CI."""
    if in_ci():
        pytest.fail(reason, pytrace=False)
    pytest.skip(reason)
