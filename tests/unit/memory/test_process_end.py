"""The end of a process with several stores, in this process."""

from __future__ import annotations

import os
import signal
import threading
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from lembro import MemoryStore
from lembro.errors import StoreUnavailable
from lembro.stores.memory import process_end
from tests.support.memory import add
from tests.support.processes import in_fork

pytest.importorskip("fcntl")


@pytest.fixture
def stores(tmp_path: Path, handlers: dict[int, Any]) -> list[MemoryStore]:
    return [MemoryStore("64K", snapshot=tmp_path / name) for name in ("a", "b")]


def test_a_signal_waits_for_the_verbs_of_each_store(
    stores: list[MemoryStore], handlers: dict[int, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is sent again soon, by a thread that does not keep the process from ending."""
    sent: list[Timer] = []

    class Timer(SimpleNamespace):
        def __init__(self, seconds: float, *call: object) -> None:
            super().__init__(seconds=seconds, call=call, daemon=None)

        def start(self) -> None:
            sent.append(self)

    monkeypatch.setattr(threading, "Timer", Timer)
    for store in stores:
        with store._lock:
            handlers[signal.SIGTERM](signal.SIGTERM, None)
    assert [each.call for each in sent] == [(os.kill, (os.getpid(), signal.SIGTERM))] * 2
    assert all(each.daemon and each.seconds <= 0.01 for each in sent)


def test_a_child_handles_the_signal_if_it_may_be_the_first_to_use_one_of_its_stores(
    stores: list[MemoryStore], handlers: dict[int, Any]
) -> None:
    def work() -> bytes:
        return str(handlers[signal.SIGTERM] is signal.SIG_DFL).encode()

    stores[0].length()
    assert in_fork(work) == b"False"
    stores[1].length()
    assert in_fork(work) == b"True"


def test_one_store_without_use_is_enough_to_handle_the_signal(
    stores: list[MemoryStore], handlers: dict[int, Any]
) -> None:
    stores[0].length()
    process_end._in_child()
    assert handlers[signal.SIGTERM] is not signal.SIG_DFL


def test_changes_are_refused_after_the_sessions_were_written_at_the_end(
    stores: list[MemoryStore], handlers: dict[int, Any]
) -> None:
    for store in stores:
        add(store, 1)
    process_end._save_all()
    for store in stores:
        with pytest.raises(StoreUnavailable, match="the process ends"):
            add(store, 2)
