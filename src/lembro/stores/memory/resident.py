"""How much memory the process takes, as the system sees it."""

from __future__ import annotations

import os

try:
    _PAGE = os.sysconf("SC_PAGE_SIZE")
except (AttributeError, OSError, ValueError):  # pragma: no cover - Windows
    _PAGE = 0


def resident() -> int | None:
    """The resident bytes of this process; None where /proc does not tell. About 6 us."""
    try:
        # Opened each time: a file that is kept open goes on telling of the parent after a fork.
        fd = os.open("/proc/self/statm", os.O_RDONLY | os.O_CLOEXEC)
    except (AttributeError, OSError):
        return None
    try:
        return int(os.read(fd, 256).split()[1]) * _PAGE or None
    except (OSError, ValueError, IndexError):
        return None
    finally:
        os.close(fd)
