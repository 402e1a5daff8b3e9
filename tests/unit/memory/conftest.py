from __future__ import annotations

import signal
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from weakref import WeakSet

import pytest

from lembro.stores.memory import MemoryStore, process_end, worker_check
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


@pytest.fixture
def handlers(monkeypatch: pytest.MonkeyPatch) -> dict[int, Any]:
    """The handlers of signals, with SIGTERM left to the system."""
    found: dict[int, Any] = {signal.SIGTERM: signal.SIG_DFL}
    monkeypatch.setattr(signal, "getsignal", found.__getitem__)
    monkeypatch.setattr(signal, "signal", found.__setitem__)
    monkeypatch.setattr(process_end, "_stores", WeakSet())
    return found


@pytest.fixture
def alone_in(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """Reset this process, as if it had not claimed the lock yet."""
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    for name, value in (("_claimed", False), ("_fd", -1), ("_path", "")):
        monkeypatch.setattr(worker_check, name, value)
    yield tmp_path
    worker_check._leave()
