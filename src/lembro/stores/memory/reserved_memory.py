"""Memory that is reserved whole and taken page by page: what is not used is not there.

A table in it grows without being copied, so no write waits for that, and nothing is left behind
in the allocator.
"""

from __future__ import annotations

import contextlib
import mmap
import sys
from struct import calcsize
from typing import Final, Literal, TypeAlias

from ...errors import ConfigError

Typecode: TypeAlias = Literal["B", "i", "I", "Q"]

PAGE: Final = mmap.PAGESIZE


def anonymous(size: int) -> mmap.mmap:
    """Memory of the process's own, not shared with its children."""
    try:
        if hasattr(mmap, "MAP_ANONYMOUS"):
            flags = mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS | getattr(mmap, "MAP_NORESERVE", 0)
            memory = mmap.mmap(-1, size, flags=flags)
            if hasattr(mmap, "MADV_NOHUGEPAGE"):  # pragma: no branch - only Linux has it
                # A page of 2 MiB is more than what is counted, and clearing one takes
                # milliseconds. A kernel without huge pages refuses the advice.
                with contextlib.suppress(OSError):
                    memory.madvise(mmap.MADV_NOHUGEPAGE)
            return memory
        return mmap.mmap(-1, size)  # pragma: no cover - Windows
    except (OSError, ValueError, OverflowError) as error:
        raise ConfigError(
            f"the system gives this process no {size} bytes of addresses for max_size "
            f"({error}): give a smaller max_size"
        ) from None


def release(memory: mmap.mmap, start: int, size: int) -> None:
    """Give whole pages back to the system; what they held is lost."""
    first = (start + PAGE - 1) // PAGE * PAGE
    length = (start + size) // PAGE * PAGE - first
    if length > 0 and hasattr(memory, "madvise") and hasattr(mmap, "MADV_DONTNEED"):
        memory.madvise(mmap.MADV_DONTNEED, first, length)


class Stretch:
    """A column of numbers, to be used through ``view``."""

    __slots__ = ("_memory", "itemsize", "view")

    def __init__(self, typecode: Typecode, entries: int) -> None:
        self.itemsize: Final = calcsize(typecode)
        self._memory: Final = anonymous(self.itemsize * entries)
        self.view: Final = memoryview(self._memory).cast(typecode)

    def clear(self, entries: int) -> None:
        """Set the first entries to 0."""
        size = entries * self.itemsize
        given_back = 0
        if sys.platform == "linux":  # where pages that are given back come back empty
            given_back = size // PAGE * PAGE
            release(self._memory, 0, given_back)
        self._memory[given_back:size] = bytes(size - given_back)

    def release_from(self, entry: int) -> None:
        """The entries from here on are not used any more."""
        start = entry * self.itemsize
        release(self._memory, start, len(self._memory) - start)
