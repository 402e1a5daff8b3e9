"""The lock files by which a process finds other workers, in this process."""

from __future__ import annotations

import atexit
import os
import sys
from collections.abc import Callable
from contextlib import nullcontext
from importlib.util import find_spec, module_from_spec
from pathlib import Path
from types import SimpleNamespace

import pytest

from lembro.stores.memory import worker_check

fcntl = pytest.importorskip("fcntl")


def open_files() -> int:
    return len(os.listdir("/dev/fd"))


def test_each_user_and_each_application_has_its_own_file(
    alone_in: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    names = {worker_check._name()}
    with monkeypatch.context() as patch:
        patch.setattr(os, "getuid", lambda: 4711)
        names.add(worker_check._name())
        patch.setattr(sys, "argv", ["gunicorn", "\udcff"])
        names.add(worker_check._name())
    assert len(names) == 3


def test_the_file_can_be_used_by_its_user_only_and_is_removed_at_the_end(alone_in: Path) -> None:
    before = open_files()
    worker_check.claim()
    (path,) = alone_in.iterdir()
    assert path.stat().st_mode & 0o777 == 0o600
    assert open_files() == before + 1
    for _ in range(2):
        worker_check._leave()
        assert list(alone_in.iterdir()) == []
        assert open_files() == before
        assert worker_check._fd == -1


def test_the_first_descriptor_is_closed_too(
    alone_in: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A process without standard input gets it for its first file."""
    path = alone_in / "lembro-0.lock"
    path.touch()
    closed: list[int] = []
    with monkeypatch.context() as patch:
        patch.setattr(os, "close", closed.append)
        patch.setattr(worker_check, "_fd", 0)
        patch.setattr(worker_check, "_path", str(path))
        worker_check._leave()
    assert closed == [0]
    assert not path.exists()


def test_a_lock_of_another_process_leaves_no_open_file(alone_in: Path) -> None:
    with open(worker_check._name(), "w") as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        before = open_files()
        worker_check.claim()
        assert open_files() == before


def test_a_file_that_is_always_removed_is_opened_four_times(
    alone_in: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    opened: list[str] = []
    open_file = os.open

    def spy(path: str, *args: int) -> int:
        opened.append(path)
        return open_file(path, *args)

    with monkeypatch.context() as patch:
        patch.setattr(os, "open", spy)
        patch.setattr(worker_check, "_is_at", lambda fd, path: False)
        assert worker_check._hold(str(alone_in / "lembro-0.lock"))
    assert len(opened) == 4


def test_only_regular_files_of_this_user_are_removed(
    alone_in: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fifo, file = alone_in / "lembro-fifo.lock", alone_in / "lembro-0.lock"
    os.mkfifo(fifo)
    file.touch()
    worker_check._remove(str(fifo))
    assert fifo.exists()
    with monkeypatch.context() as patch:
        patch.setattr(os, "getuid", lambda: 4711)
        worker_check._remove(str(file))
        assert file.exists()
    worker_check._remove(str(file))
    assert not file.exists()


def test_a_file_that_is_removed_is_not_opened_through_a_link_and_without_waiting(
    alone_in: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    flags: list[int] = []
    open_file = os.open

    def spy(path: str, given: int) -> int:
        flags.append(given)
        return open_file(path, given)

    file = alone_in / "lembro-0.lock"
    file.touch()
    with monkeypatch.context() as patch:
        patch.setattr(os, "open", spy)
        worker_check._remove(str(file))
    needed = os.O_RDWR | os.O_NOFOLLOW | os.O_NONBLOCK
    assert [given & needed for given in flags] == [needed]


def test_a_link_to_the_file_is_another_file(alone_in: Path) -> None:
    file, link = alone_in / "lembro-0.lock", alone_in / "lembro-1.lock"
    file.touch()
    link.symlink_to(file)
    with file.open() as there:
        assert worker_check._is_at(there.fileno(), str(file))
        assert not worker_check._is_at(there.fileno(), str(link))


def test_a_claim_removes_100_files_at_most(alone_in: Path) -> None:
    for number in range(103):
        (alone_in / f"lembro-{number}.lock").touch()
    worker_check._sweep()
    assert len(list(alone_in.iterdir())) == 3


def test_the_file_of_this_process_is_left_alone(
    alone_in: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    removed: list[str] = []
    paths = [alone_in / f"lembro-{number}.lock" for number in range(2)]
    for path in paths:
        path.touch()
    with monkeypatch.context() as patch:
        patch.setattr(worker_check, "_remove", removed.append)
        patch.setattr(worker_check, "_path", str(paths[0]))
        patch.setattr(worker_check, "_fd", 0)
        worker_check._sweep()
    assert removed == [str(paths[1])]


def test_a_claim_reads_10000_names_at_most(monkeypatch: pytest.MonkeyPatch) -> None:
    names = iter(range(20_000))
    entries = (SimpleNamespace(name=str(number)) for number in names)
    with monkeypatch.context() as patch:
        patch.setattr(os, "scandir", lambda _: nullcontext(entries))
        worker_check._sweep()
    assert next(names) == 10_000


def test_the_second_attempt_follows_after_5_milliseconds(
    alone_in: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pauses: list[float] = []
    with open(worker_check._name(), "w") as held, monkeypatch.context() as patch:
        fcntl.flock(held, fcntl.LOCK_EX)
        patch.setattr(worker_check, "time", SimpleNamespace(sleep=pauses.append))
        worker_check.claim()
    assert pauses == [0.005]


def test_a_process_begins_without_a_lock_and_gives_its_own_back(
    alone_in: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The module is imported again, as in a new process."""
    handlers: dict[str, Callable[[], None]] = {}
    closed: list[int] = []
    spec = find_spec(worker_check.__name__)
    assert spec is not None
    assert spec.loader is not None
    fresh = module_from_spec(spec)
    with monkeypatch.context() as patch:
        patch.setattr(os, "register_at_fork", handlers.update)
        patch.setattr(atexit, "register", lambda leave: handlers.setdefault("leave", leave))
        spec.loader.exec_module(fresh)
        patch.setattr(os, "close", closed.append)
        handlers["leave"]()
    assert closed == []
    assert fresh._fd == -1
    before = open_files()
    for _ in range(2):
        fresh.claim()
        assert len(list(alone_in.iterdir())) == 1
        assert open_files() == before + 1
        handlers["after_in_child"]()
        assert open_files() == before
    fresh.claim()
    handlers["leave"]()
    assert list(alone_in.iterdir()) == []
