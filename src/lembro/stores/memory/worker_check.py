"""Whether this process is the only one of its application that has a MemoryStore.

Worker processes share no memory, and most servers make the store in each worker, so nothing
inside of a process can tell. Each process therefore holds an advisory lock in the temporary
folder, named by user, parent process, command line and folder; who finds it held by a living
process says so once. A reloader runs one child after the other and stays silent.
"""

from __future__ import annotations

import atexit
import contextlib
import hashlib
import os
import stat
import sys
import tempfile
import time
from itertools import islice
from typing import Final

from ..._log import log

try:
    import fcntl
except ImportError:  # pragma: no cover - Windows: no such locks, no warning
    fcntl = None  # type: ignore[assignment]

INSTEAD: Final = (
    "use one worker process (--workers 1, with threads), or a store that processes share "
    "(lembro.stores.base says what it must do)"
)
SHARED: Final = (
    "another worker process of this application has a MemoryStore of its own: sessions are NOT "
    "shared between them, so users will seem logged out at random; " + INSTEAD
)
COPIED: Final = (
    "this process was forked after its MemoryStore had been used: it holds a copy of the "
    "sessions, which is no longer shared with its parent; " + INSTEAD
)

SWEPT: Final = 100  # files of ended processes that are looked at in one claim
SEEN: Final = 10_000  # entries of the folder that are read to find them
PAUSE: Final = 0.005  # seconds; a sweep holds a lock for far less

_claimed = False  # in this process
_fd = -1
_path = ""


def claim() -> None:
    """Hold this application's lock, or warn that another process does. Once a process."""
    global _claimed  # noqa: PLW0603 - one lock a process, however many stores
    if _claimed or fcntl is None:
        return
    _claimed = True
    try:
        free = _hold(_name())
    except Exception as error:  # a read-only or missing folder must never matter
        log.debug("no lock to tell whether there are other worker processes: %s", error)
        return
    if not free:
        log.warning(SHARED)
    try:
        _sweep()
    except Exception as error:
        log.debug("the locks of ended processes stay: %s", error)


def warn_of_copy() -> None:
    """This process works on with what its parent had stored before the fork."""
    log.warning(COPIED)


def _name() -> str:
    uid = os.getuid() if hasattr(os, "getuid") else 0
    who = repr((uid, os.getppid(), sys.argv, os.getcwd()))
    digest = hashlib.sha256(who.encode("utf-8", "surrogatepass")).hexdigest()
    return os.path.join(tempfile.gettempdir(), f"lembro-{digest[:32]}.lock")


def _hold(path: str) -> bool:
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
            held = True  # or it is being swept away this moment: look twice
            time.sleep(PAUSE)
            continue
        except BaseException:
            os.close(fd)
            raise
        if _is_at(fd, path):
            _fd, _path = fd, path
            return True
        os.close(fd)  # its last holder has just removed the file: again, with a new one
    return True


def _sweep() -> None:
    """Remove what processes left that were ended by a signal, which runs no exit handlers."""
    with os.scandir(tempfile.gettempdir()) as entries:
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
    """Remove a lock of this user that nobody holds, while holding it: who waits at it finds it
    gone, and makes a new one."""
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
    """A forked child competes anew: closing its copy leaves the parent's lock as it is."""
    global _claimed, _fd
    if _fd >= 0:
        with contextlib.suppress(OSError):
            os.close(_fd)
    _claimed, _fd = False, -1


if hasattr(os, "register_at_fork"):  # pragma: no branch - Windows does not fork
    os.register_at_fork(after_in_child=_in_child)
