"""The memory of the process, as the system reports it: used and available."""

from __future__ import annotations

import os
from collections.abc import Iterator
from functools import cache
from typing import Final

try:
    _PAGE = os.sysconf("SC_PAGE_SIZE")
except (AttributeError, OSError, ValueError):  # pragma: no cover - Windows
    _PAGE = 0

_GROUPS: Final = "/proc/self/cgroup"
_LIMITS: Final = "/sys/fs/cgroup"


def resident() -> int | None:
    """Return the resident bytes of this process, or None without /proc. Takes about 6 us."""
    try:
        # Opened each time, because after a fork an open file still reports on the parent.
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
    """Return the bytes of memory that this process can have, or None if that is not known.

    That is the smallest of the machine's memory and the limits of the containers.
    """
    return min((*_of_machine(), *of_groups(_GROUPS, _LIMITS)), default=None)


def _of_machine() -> Iterator[int]:
    try:
        yield os.sysconf("SC_PHYS_PAGES") * _PAGE
    except (AttributeError, OSError, ValueError):  # pragma: no cover - Windows
        return


def of_groups(groups: str, limits: str) -> Iterator[int]:
    """Yield the memory limits of this process's control groups, of versions 1 and 2."""
    from pathlib import PurePosixPath  # noqa: PLC0415 - slow to import

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
        # In a container the path may be the host's, and the topmost group its own.
        within = PurePosixPath(path.lstrip("/"))
        for group in (within, *within.parents):
            try:
                with open(f"{root}/{group}/{name}") as limit:
                    yield int(limit.read())
            except (OSError, ValueError):  # there is no limit, or it is "max"
                continue
