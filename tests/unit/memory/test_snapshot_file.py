"""The file of a snapshot. ``tests/failures/test_53_snapshot_tampered.py`` has its checks."""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from lembro.stores.memory.snapshot import Invalid
from lembro.stores.memory.snapshot_file import SnapshotFile

fcntl = pytest.importorskip("fcntl")


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "sessions.bin"


@pytest.fixture
def file(path: Path) -> Iterator[SnapshotFile]:
    file = SnapshotFile(str(path))
    yield file
    file.release()


def locked(file: SnapshotFile) -> bool:
    return file.acquire()  # no limit: it does not wait


def test_only_one_holds_the_lock(file: SnapshotFile, path: Path) -> None:
    other = SnapshotFile(str(path))
    assert locked(file)
    assert locked(file)
    assert not locked(other)
    file.release()
    assert locked(other)
    assert path.with_name("sessions.bin.lock").stat().st_mode & 0o777 == 0o600
    del other
    assert locked(file)


def test_a_system_without_locks_raises_an_error(
    file: SnapshotFile, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fails(*_: Any) -> None:
        raise OSError(errno.ENOLCK, "no locks")

    monkeypatch.setattr(fcntl, "flock", fails)
    with pytest.raises(OSError, match="no locks"):
        locked(file)
    monkeypatch.undo()
    assert locked(file)


def test_a_planted_link_is_not_followed(file: SnapshotFile, path: Path) -> None:
    for suffix in (".lock", ".new"):
        path.with_name(path.name + suffix).symlink_to("target")
    with pytest.raises(OSError, match="symbolic links"):
        locked(file)
    with file.create() as new:
        new.write(b"x")
    file.replace()
    assert path.read_bytes() == b"x"
    assert not path.with_name("target").exists()


def test_a_file_that_cannot_be_opened_raises_an_error(
    file: SnapshotFile, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert file.open() is None

    def fails(*_: Any) -> None:
        raise PermissionError(errno.EACCES, "not yours")

    monkeypatch.setattr(os, "open", fails)
    with pytest.raises(PermissionError):
        file.open()


def test_a_file_that_could_not_be_deleted_is_refused(
    file: SnapshotFile, path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path.touch(0o600)
    monkeypatch.setattr(os, "access", lambda *_: False)
    with pytest.raises(Invalid, match="its folder is read-only"):
        file.open()


def test_a_new_file_replaces_the_old_one_at_once(file: SnapshotFile, path: Path) -> None:
    path.write_bytes(b"old")
    for text in (b"discarded", b"new"):
        with file.create() as new:
            new.write(text)
        if text == b"discarded":
            file.discard()
    assert path.read_bytes() == b"old"
    file.replace()
    assert path.read_bytes() == b"new"
    assert path.stat().st_mode & 0o777 == 0o600
    file.delete()
    file.delete()
    assert not path.exists()


def test_a_folder_that_cannot_be_synced_is_no_error(tmp_path: Path) -> None:
    SnapshotFile(str(tmp_path / "gone" / "sessions.bin")).sync_folder()
