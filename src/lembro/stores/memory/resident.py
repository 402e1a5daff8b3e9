"""How much memory the process takes, and may take, as the system sees it."""

from __future__ import annotations

import os
from collections.abc import Iterator
from functools import cache
from pathlib import PurePosixPath
from typing import Final

try:
    _PAGE = os.sysconf("SC_PAGE_SIZE")
except (AttributeError, OSError, ValueError):  # pragma: no cover - Windows
    _PAGE = 0

_GROUPS: Final = "/proc/self/cgroup"
_LIMITS: Final = "/sys/fs/cgroup"


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


@cache
def most() -> int | None:
    """The bytes of memory that this process can have: of the machine, or of its container; None
    where the system does not tell."""
    return min((*_of_machine(), *of_groups(_GROUPS, _LIMITS)), default=None)


def _of_machine() -> Iterator[int]:
    try:
        yield os.sysconf("SC_PHYS_PAGES") * _PAGE
    except (AttributeError, OSError, ValueError):  # pragma: no cover - Windows
        return


def of_groups(groups: str, limits: str) -> Iterator[int]:
    """The limits of the control groups that this process is in, of both versions."""
    try:
        with open(groups) as lines:
            entries = [line.rstrip("\n").split(":", 2) for line in lines]
    except (OSError, ValueError):
        return
    for _, controllers, path in entries:
        if not controllers:
            root, name = limits, "memory.max"
        elif "memory" in controllers.split(","):
            root, name = f"{limits}/memory", "memory.limit_in_bytes"
        else:
            continue
        # In a container the path may be that of the host, and its own group the topmost.
        within = PurePosixPath(path.lstrip("/"))
        for group in (within, *within.parents):
            try:
                with open(f"{root}/{group}/{name}") as limit:
                    yield int(limit.read())
            except (OSError, ValueError):  # there is none, or it says "max"
                continue
