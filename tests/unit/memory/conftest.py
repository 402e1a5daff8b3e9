from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from lembro.stores.memory import MemoryStore
from lembro.testing import FakeClock
from tests.support.memory import recounted
from tests.support.place import Place


@pytest.fixture
def place() -> Iterator[Place]:
    place = Place()
    yield place
    place.check()


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture
def store(clock: FakeClock) -> Iterator[MemoryStore]:
    store = MemoryStore("64K", interval=10, clock=clock)
    yield store
    recounted(store)
    store.close()


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A temporary folder for this test, so that it sees no other run."""
    return tmp_path
