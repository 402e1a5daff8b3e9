"""The file of a snapshot: its lock, and the checks before it is read or replaced.

A second file, ``<path>.lock``, is locked while a process uses the sessions. A process that finds it
locked neither reads nor writes the snapshot. So two processes that overlap cannot overwrite each
other's sessions, and a script cannot take them from a running server. A process that has written
the snapshot and released the lock takes it again only if its snapshot is still there. Otherwise
another process has used the sessions meanwhile, and may have ended some of them.

A snapshot is read only if it is a regular file of this user, without other names and with mode
0600. It is written to ``<path>.new``, which then replaces it in one step.
"""

from __future__ import annotations

import contextlib
import errno
import os
import stat
from typing import BinaryIO, Final

from .snapshot import NAME, Invalid

try:
    import fcntl
except ImportError:  # pragma: no cover - Windows: settings.check_snapshot refuses a snapshot
    fcntl = None  # type: ignore[assignment]

SUPPORTED: Final = fcntl is not None
"""Whether this system has the locks that a snapshot needs."""

_OPEN: Final = os.O_NOFOLLOW | os.O_NONBLOCK if SUPPORTED else 0  # a FIFO must not block
_MODE: Final = 0o600


class NotOurs(Invalid):
    """There is something at the path that lembro has not written. It is never replaced."""


class SnapshotFile:
    """The files of one snapshot."""

    __slots__ = ("_lock", "_written", "path")

    def __init__(self, path: str) -> None:
        self.path: Final = path
        self._lock: int | None = None
        self._written: tuple[int, int] | None = None  # the file of the last ``replace``

    def __del__(self) -> None:
        self.release()

    def acquire(self) -> bool:
        """Take the lock, or return False if another process has it or has changed the snapshot.

        Raises:
            OSError: The lock file cannot be opened.
        """
        if self._lock is not None:
            return True
        assert fcntl is not None
        fd = os.open(f"{self.path}.lock", os.O_RDWR | os.O_CREAT | _OPEN, _MODE)
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(fd)
            return False
        except BaseException:
            os.close(fd)
            raise
        self._lock = fd
        if self._written is not None and self._written != self._identity():
            self.release()
            return False
        return True

    def release(self) -> None:
        """Give the lock back. In a forked child, this closes a copy, and the parent keeps it."""
        fd, self._lock = self._lock, None
        if fd is not None:
            os.close(fd)

    def open(self) -> tuple[BinaryIO, int] | None:
        """Open the snapshot, and return it with its size. None if there is no file.

        Raises:
            NotOurs: lembro has not written this file.
            Invalid: The file may have been read or changed by others.
            OSError: It cannot be read.
        """
        try:
            fd = os.open(self.path, os.O_RDONLY | _OPEN)
        except FileNotFoundError:
            return None
        except OSError as error:
            if error.errno == errno.ELOOP:
                raise NotOurs("it is a symbolic link") from None
            raise
        file = os.fdopen(fd, "rb")
        try:
            there = os.fstat(fd)
            if not stat.S_ISREG(there.st_mode):
                raise NotOurs("it is not a regular file")
            if there.st_uid != os.geteuid():
                raise NotOurs(f"it belongs to the user {there.st_uid}")
            if there.st_nlink != 1:
                raise NotOurs("it has a second name (a hard link)")
            begin = file.read(len(NAME))
            if begin != NAME[: len(begin)]:
                raise NotOurs("another program has written it")
            mode = stat.S_IMODE(there.st_mode)
            if mode & 0o077:
                raise Invalid(f"its mode is {mode:o}, so other users may have read or changed it")
            if not os.access(os.path.dirname(self.path), os.W_OK | os.X_OK):
                raise Invalid("its folder is read-only, so it could not be deleted at a logout")
            file.seek(0)
        except BaseException:
            file.close()
            raise
        return file, there.st_size

    def create(self) -> BinaryIO:
        """Make the file to write a new snapshot to, and return it.

        Raises:
            OSError: It cannot be made.
        """
        new = f"{self.path}.new"
        with contextlib.suppress(FileNotFoundError):
            os.unlink(new)  # of a process that was killed while it wrote
        fd = os.open(new, os.O_WRONLY | os.O_CREAT | os.O_EXCL | _OPEN, _MODE)
        return os.fdopen(fd, "wb")

    def replace(self) -> None:
        """Replace the snapshot with the new file."""
        os.replace(f"{self.path}.new", self.path)
        self._written = self._identity()

    def discard(self) -> None:
        """Delete the new file, if it can be deleted."""
        with contextlib.suppress(OSError):
            os.unlink(f"{self.path}.new")

    def delete(self) -> None:
        """Delete the snapshot, so that it stays deleted after a power failure.

        Raises:
            OSError: It cannot be deleted.
        """
        with contextlib.suppress(FileNotFoundError):
            os.unlink(self.path)
        self.sync_folder()

    def _identity(self) -> tuple[int, int] | None:
        """Return what tells the snapshot from any other. None if there is no file."""
        try:
            there = os.stat(self.path, follow_symlinks=False)
        except FileNotFoundError:
            return None
        return there.st_ino, there.st_mtime_ns

    def sync_folder(self) -> None:
        """Write the names in the folder to the disk, if the file system can do that."""
        with contextlib.suppress(OSError):
            fd = os.open(os.path.dirname(self.path), os.O_RDONLY)
            try:
                os.fsync(fd)
            finally:
                os.close(fd)
