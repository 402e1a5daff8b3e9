"""Settings for the tests of the benches."""

from __future__ import annotations

import gc
from collections.abc import Iterator

import pytest


@pytest.fixture(autouse=True)
def collected_quickly() -> Iterator[None]:
    """Hide all objects from the garbage collector again. Some benches show them to it."""
    yield
    if not gc.get_freeze_count():
        gc.freeze()
