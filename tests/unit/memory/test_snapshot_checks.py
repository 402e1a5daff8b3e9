"""The checks, the locks and the system calls of the file of a snapshot."""

from __future__ import annotations

import errno
import os
from collections.abc import Callable, Iterator
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import pytest

from lembro.stores.memory.snapshot import NAME, Invalid
from lembro.stores.memory.snapshot_file import NotOurs, SnapshotFile

fcntl = pytest.importorskip("fcntl")


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """A file that passes all checks."""
    path = tmp_path / "sessions.bin"
    path.touch(0o600)
    path.write_bytes(NAME)
    return path


@pytest.fixture
def file(path: Path) -> Iterator[SnapshotFile]:
    file = SnapshotFile(str(path))
    yield file
    file.release()


def locked(file: SnapshotFile) -> bool:
    return file.acquire()  # no limit: it does not wait


def open_files() -> int:
    return len(os.listdir("/dev/fd"))


def _link(path: Path) -> None:
    path.symlink_to(path.rename(path.with_name("elsewhere")))


def _second_name(path: Path) -> None:
    os.link(path, path.with_name("elsewhere"))


def _fifo(path: Path) -> None:
    path.unlink()
    os.mkfifo(path, 0o600)


def _foreign(path: Path) -> None:
    path.write_text("[server]")


def _readable_by_others(path: Path) -> None:
    path.chmod(0o604)


@pytest.mark.parametrize(
    ("change", "error", "reason"),
    [
        (_link, NotOurs, "it is a symbolic link"),
        (_second_name, NotOurs, "it has a second name"),
        (_fifo, NotOurs, "it is not a regular file"),
        (_foreign, NotOurs, "another program has written it"),
        (_readable_by_others, Invalid, "its mode is 604"),
    ],
)
def test_a_file_that_others_may_have_made_or_changed_is_refused(
    file: SnapshotFile,
    path: Path,
    change: Callable[[Path], None],
    error: type[Exception],
    reason: str,
) -> None:
    before = open_files()
    change(path)
    with pytest.raises(Invalid, match=reason) as refused:
        file.open()
    assert refused.type is error
    assert open_files() == before


def test_a_file_of_another_user_is_refused(
    file: SnapshotFile, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 4711)
    with pytest.raises(NotOurs, match="it belongs to the user"):
        file.open()


@pytest.mark.parametrize("missing", [os.W_OK, os.X_OK])
def test_a_folder_in_which_nothing_can_be_deleted_is_refused(
    file: SnapshotFile, missing: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, "access", lambda _, mode: not mode & missing)
    with pytest.raises(Invalid, match="its folder is read-only"):
        file.open()


@pytest.mark.parametrize("mode", [0o600, 0o700, 0o400])
def test_the_size_and_the_whole_content_of_a_valid_file_are_returned(
    file: SnapshotFile, path: Path, mode: int
) -> None:
    path.chmod(mode)
    opened = file.open()
    assert opened is not None
    with opened[0] as content:
        assert (content.read(), opened[1]) == (NAME, len(NAME))


@pytest.mark.parametrize("error", [BlockingIOError("taken"), OSError(errno.ENOLCK, "no locks")])
def test_a_lock_that_is_not_granted_leaves_no_open_file(
    file: SnapshotFile, error: OSError, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fails(*_: Any) -> None:
        raise error

    before = open_files()
    monkeypatch.setattr(fcntl, "flock", fails)
    with pytest.raises(OSError, match="no locks") if error.errno else nullcontext():
        assert not locked(file)
    assert open_files() == before


def test_a_link_to_the_snapshot_is_another_file(file: SnapshotFile, path: Path) -> None:
    with file.create() as new:
        new.write(b"x")
    file.replace()
    assert locked(file)
    file.release()
    _link(path)
    assert not locked(file)


@pytest.mark.parametrize("work", ["delete", "sync_folder"])
def test_the_folder_is_synced_after_its_names_have_changed(
    file: SnapshotFile, path: Path, work: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Otherwise a power failure could bring back a file in which a session still exists."""
    synced: list[tuple[bool, bool]] = []

    def fsync(fd: int) -> None:
        synced.append((os.path.sameopenfile(fd, folder), path.exists()))

    monkeypatch.setattr(os, "fsync", fsync)
    folder = os.open(path.parent, os.O_RDONLY)
    before = open_files()
    getattr(file, work)()
    assert open_files() == before
    os.close(folder)
    assert synced == [(True, work == "sync_folder")]
