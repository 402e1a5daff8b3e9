"""53. A snapshot that is half-written or was tampered with (CVE-2025-24813): the next process gets
the old sessions, the new ones, or none. It never gets others, and it never fails to start."""

from __future__ import annotations

import logging
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from lembro import MemoryStore, SessionManager
from lembro.events import Event
from lembro.stores.memory import snapshot
from tests.support import ROOT

SECRET = "Xa3-91kd_Qm57rTzL0vBnE8yWc2JfHgU"


def sessions(path: Path, secret: str | None = None) -> SessionManager:
    return SessionManager(MemoryStore("64K", snapshot=path), secret=secret)


def closed(path: Path, secret: str | None = None) -> str:
    """Write a snapshot with one session, and return its ID."""
    manager = sessions(path, secret)
    session_id = manager.create({"cart": ["bread"]}, user_id="heidi")
    manager.close()
    return session_id


def read(path: Path, session_id: str, secret: str | None = None) -> tuple[object, list[Event]]:
    """Return the data of a session in the next process, and the events of the start."""
    manager = sessions(path, secret)
    events: list[Event] = []
    manager.on("rejected", events.append)
    manager.on("error", events.append)
    data = manager.get(session_id)
    manager.store._restart._file.release()  # type: ignore[union-attr]
    return data, events


def rejected(path: Path, session_id: str, reason: str, secret: str | None = None) -> None:
    """Check that a snapshot is rejected with an event, and that the store works nevertheless."""
    data, (event,) = read(path, session_id, secret)
    assert data is None
    assert event.name == "rejected"
    assert str(path) in event.reason
    assert reason in event.reason


@pytest.mark.parametrize(("secret", "step"), [(None, 1), (SECRET, 13)])
def test_a_snapshot_in_which_any_byte_was_changed_is_rejected(
    tmp_path: Path, secret: str | None, step: int
) -> None:
    path = tmp_path / "sessions.bin"
    session_id = closed(path, secret)
    whole = path.read_bytes()
    assert read(path, session_id, secret) == ({"cart": ["bread"]}, [])
    for at in range(0, len(whole), step):
        changed = bytearray(whole)
        changed[at] ^= 0x10
        path.write_bytes(changed)
        reason = "another program" if at < len(snapshot.NAME) else "its hash is wrong"
        rejected(path, session_id, reason, secret)


def test_a_snapshot_that_was_cut_off_anywhere_is_rejected(tmp_path: Path) -> None:
    path = tmp_path / "sessions.bin"
    session_id = closed(path)
    whole = path.read_bytes()
    for length in range(len(whole)):
        path.write_bytes(whole[:length])
        rejected(path, session_id, "incomplete")
    path.write_bytes(whole + b"x")
    rejected(path, session_id, "its hash is wrong")


def test_a_snapshot_by_someone_without_the_secret_is_rejected(tmp_path: Path) -> None:
    path = tmp_path / "sessions.bin"
    rejected(path, closed(path), "another secret", SECRET)
    path.unlink()
    rejected(path, closed(path, SECRET), "another secret")


@pytest.mark.parametrize("mode", [0o604, 0o640, 0o620, 0o666])
def test_a_snapshot_that_others_may_read_or_change_is_rejected(tmp_path: Path, mode: int) -> None:
    path = tmp_path / "sessions.bin"
    session_id = closed(path)
    assert path.stat().st_mode & 0o777 == 0o600
    path.chmod(mode)
    rejected(path, session_id, f"its mode is {mode:o}")


def _symlink(path: Path) -> None:
    path.rename(path.with_name("elsewhere"))
    path.symlink_to("elsewhere")


def _hard_link(path: Path) -> None:
    os.link(path, path.with_name("elsewhere"))


def _fifo(path: Path) -> None:
    path.unlink()
    os.mkfifo(path, 0o600)


def _foreign(path: Path) -> None:
    path.write_text("[server]\nport = 80\n")


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (_symlink, "a symbolic link"),
        (_hard_link, "a second name"),
        (_fifo, "not a regular file"),
        (_foreign, "another program"),
    ],
)
def test_something_else_at_the_path_is_neither_read_nor_replaced(
    tmp_path: Path, change: Callable[[Path], None], reason: str
) -> None:
    path = tmp_path / "sessions.bin"
    session_id = closed(path)
    change(path)
    before = path.lstat()
    rejected(path, session_id, reason)
    manager = sessions(path)
    manager.destroy(manager.create({"a": 1}))
    manager.close()
    after = path.lstat()
    assert (after.st_ino, after.st_size) == (before.st_ino, before.st_size)


def test_a_snapshot_of_another_user_is_rejected(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "sessions.bin"
    session_id = closed(path)
    monkeypatch.setattr(os, "geteuid", lambda: 4711)
    rejected(path, session_id, "it belongs to the user")


WRITING = """
import os, signal, sys
from lembro import MemoryStore, SessionManager
manager = SessionManager(MemoryStore("64K", snapshot=sys.argv[1]))
manager.get("x" * 43)
manager.create({"number": 2})
left = int(sys.argv[2])

def kill(name):
    def call(*args, **kwargs):
        global left
        left -= 1
        if left == 0:
            os.kill(os.getpid(), signal.SIGKILL)
        return real(*args, **kwargs)
    real = getattr(os, name)
    setattr(os, name, call)

for name in ("open", "unlink", "fdopen", "fsync", "replace", "close"):
    kill(name)
manager.close()
os._exit(7)
"""


def test_a_process_that_is_killed_while_it_writes_leaves_the_old_or_the_new_sessions(
    tmp_path: Path,
) -> None:
    """It is killed before each of its system calls on files."""
    path = tmp_path / "sessions.bin"
    first = closed(path)
    old = path.read_bytes()
    seen = set()
    for step in range(1, 40):
        path.write_bytes(old)
        done = subprocess.run(
            [sys.executable, "-c", WRITING, str(path), str(step)],
            env={"PYTHONPATH": str(ROOT / "src")},
            timeout=60,
            check=False,
        )
        manager = sessions(path)
        assert manager.get(first) == {"cart": ["bread"]}
        seen.add(manager.length())
        manager.store._restart._file.release()  # type: ignore[union-attr]
        if done.returncode == 7:
            break
        assert done.returncode == -signal.SIGKILL
    else:
        pytest.fail("it never came to the end")
    assert seen == {1, 2}
    assert not path.with_name("sessions.bin.new").exists()


def test_a_logout_before_a_crash_is_not_undone(tmp_path: Path) -> None:
    path = tmp_path / "sessions.bin"
    session_id = closed(path)
    script = """
import os, signal, sys
from lembro import MemoryStore, SessionManager
manager = SessionManager(MemoryStore("64K", snapshot=sys.argv[1]))
assert manager.get(sys.argv[2])
if sys.argv[3] == "logout":
    manager.destroy(sys.argv[2])
os.kill(os.getpid(), signal.SIGKILL)
"""
    command = [sys.executable, "-c", script, str(path), session_id]
    env = {"PYTHONPATH": str(ROOT / "src")}
    for _ in range(2):  # a crash loop loses nothing
        subprocess.run([*command, ""], env=env, timeout=60, check=False)
        assert path.exists()
    subprocess.run([*command, "logout"], env=env, timeout=60, check=False)
    assert not path.exists()
    assert read(path, session_id) == (None, [])


def test_no_session_id_is_in_the_file_or_the_log(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG, "lembro")
    path = tmp_path / "sessions.bin"
    session_id = closed(path)
    assert session_id.encode() not in path.read_bytes()
    path.chmod(0o644)
    rejected(path, session_id, "mode")
    assert "is 644" in caplog.text
    assert session_id not in caplog.text
