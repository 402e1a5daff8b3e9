"""Warns if another worker process of the application has a MemoryStore too.

Worker processes share no memory, so each would have its own sessions. Most servers make the store
in each worker, where nothing inside the process shows that there are others. Therefore each process
holds an advisory lock on a file in the temporary directory. The file's name is a hash of the user,
the parent process, the command line and the working directory. A process that finds the lock held
logs a warning, once. A reloader runs one child after the other, so it causes no warning.
"""

from __future__ import annotations

import atexit
import contextlib
import hashlib
import os
import stat
import sys
import time
from itertools import islice
from typing import Final

from ..._log import log

try:
    import fcntl
except ImportError:  # pragma: no cover - Windows: no such locks, no warning
    fcntl = None  # type: ignore[assignment]

INSTEAD: Final = (
    "Use one worker process (--workers 1, with threads), or a store that processes share, "
    "such as SQLiteStore or RedisStore."
)
SHARED: Final = (
    "lembro: another worker process of this application has its own MemoryStore. Sessions are NOT "
    "shared between them, so users will seem to be logged out at random. " + INSTEAD
)
COPIED: Final = (
    "lembro: this process was forked after its MemoryStore had been used. It has a copy of the "
    "sessions, which is no longer shared with its parent. " + INSTEAD
)

SWEPT: Final = 100  # lock files of ended processes that one claim checks
SEEN: Final = 10_000  # entries of the directory that are read to find them
PAUSE: Final = 0.005  # seconds; a cleanup holds a lock for far less

_claimed = False  # whether this process has tried to take the lock
_fd = -1
_path = ""


def claim() -> None:
    """Take this application's lock, or warn that another process has it; once in each process."""
    global _claimed  # noqa: PLW0603 - one lock in a process, however many stores
    if _claimed or fcntl is None:
        return
    _claimed = True
    try:
        free = _hold(_name())
    except Exception as error:  # a read-only or missing directory must not stop the application
        log.debug("lembro: cannot check for other worker processes: %s", error)
        return
    if not free:
        log.warning(SHARED)
    try:
        _sweep()
    except Exception as error:
        log.debug("lembro: cannot remove the lock files of ended processes: %s", error)


def warn_of_copy() -> None:
    """Warn that this process uses a copy of its parent's sessions."""
    log.warning(COPIED)


def _name() -> str:
    """Return the path of the lock file, which the workers of one application share."""
    uid = os.getuid() if hasattr(os, "getuid") else 0
    who = repr((uid, os.getppid(), sys.argv, os.getcwd()))
    digest = hashlib.sha256(who.encode("utf-8", "surrogatepass")).hexdigest()
    return os.path.join(_folder(), f"lembro-{digest[:32]}.lock")


def _folder() -> str:
    """Return the folder of the lock files."""
    import tempfile  # noqa: PLC0415 - slow to import

    return tempfile.gettempdir()


def _hold(path: str) -> bool:
    """Take the lock, until the process ends. Return False if another process holds it."""
    global _fd, _path
    assert fcntl is not None
    held = False
    for _ in range(4):
        fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(fd)
            if held:
                return False
            held = True  # perhaps by a short cleanup, so try twice
            time.sleep(PAUSE)
            continue
        except BaseException:
            os.close(fd)
            raise
        if _is_at(fd, path):
            _fd, _path = fd, path
            return True
        os.close(fd)  # its last holder has just removed the file: try again with a new one
    return True


def _sweep() -> None:
    """Remove the files of processes that a signal ended, which runs no exit handlers."""
    with os.scandir(_folder()) as entries:
        names = [
            entry.path
            for entry in islice(entries, SEEN)
            if entry.name.startswith("lembro-") and entry.name.endswith(".lock")
        ]
    for path in names[:SWEPT]:
        if path != _path or _fd < 0:
            with contextlib.suppress(OSError):
                _remove(path)


def _remove(path: str) -> None:
    """Remove a lock file of this user that no process holds.

    It is locked meanwhile. A process that waits for it finds it removed and makes a new one.
    """
    assert fcntl is not None
    there = os.stat(path, follow_symlinks=False)
    if not stat.S_ISREG(there.st_mode) or there.st_uid != os.getuid():
        return
    fd = os.open(path, os.O_RDWR | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        if _is_at(fd, path):
            os.unlink(path)
    finally:
        os.close(fd)


def _is_at(fd: int, path: str) -> bool:
    """Return whether an open file is still the one at the path."""
    mine = os.fstat(fd)
    try:
        there = os.stat(path, follow_symlinks=False)
    except FileNotFoundError:
        return False
    return (mine.st_dev, mine.st_ino) == (there.st_dev, there.st_ino)


@atexit.register
def _leave() -> None:
    global _fd  # noqa: PLW0603
    if _fd < 0:
        return
    with contextlib.suppress(OSError):
        os.unlink(_path)
    with contextlib.suppress(OSError):
        os.close(_fd)
    _fd = -1


def _in_child() -> None:
    """Let a forked child claim the lock itself. Closing its copy leaves the parent's lock held."""
    global _claimed, _fd
    if _fd >= 0:
        with contextlib.suppress(OSError):
            os.close(_fd)
    _claimed, _fd = False, -1


if hasattr(os, "register_at_fork"):  # pragma: no branch - Windows does not fork
    os.register_at_fork(after_in_child=_in_child)
