"""Memory whose addresses are reserved at once and whose pages are used one after the other.

A page that was never written to takes no memory. A table in reserved memory therefore grows without
being copied, so that no write has to wait for a copy, and the allocator keeps no old copies.
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
    """Map private memory, which forked children do not share.

    Raises:
        ConfigError: The system refuses that many bytes of addresses.
    """
    try:
        if hasattr(mmap, "MAP_ANONYMOUS"):
            flags = mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS | getattr(mmap, "MAP_NORESERVE", 0)
            memory = mmap.mmap(-1, size, flags=flags)
            if hasattr(mmap, "MADV_NOHUGEPAGE"):  # pragma: no branch - only Linux has it
                # A huge page of 2 MiB is more than what the ledger counts, and clearing one takes
                # milliseconds. A kernel without huge pages refuses the advice.
                with contextlib.suppress(OSError):
                    memory.madvise(mmap.MADV_NOHUGEPAGE)
            return memory
        return mmap.mmap(-1, size)  # pragma: no cover - Windows
    except (OSError, ValueError, OverflowError) as error:
        raise ConfigError(
            f"max_size must fit into the addresses of this process: the system refused {size} "
            f"bytes ({error}). Use a smaller max_size."
        ) from None


def release(memory: mmap.mmap, start: int, size: int) -> None:
    """Give the whole pages of a range back to the system. Their content is lost."""
    first = (start + PAGE - 1) // PAGE * PAGE
    length = (start + size) // PAGE * PAGE - first
    if length > 0 and hasattr(memory, "madvise") and hasattr(mmap, "MADV_DONTNEED"):
        memory.madvise(mmap.MADV_DONTNEED, first, length)


class ReservedMemory:
    """A column of numbers in reserved memory. Read and write it through ``view``."""

    __slots__ = ("_memory", "itemsize", "view")

    def __init__(self, typecode: Typecode, entries: int) -> None:
        self.itemsize: Final = calcsize(typecode)
        self._memory: Final = anonymous(self.itemsize * entries)
        self.view: Final = memoryview(self._memory).cast(typecode)

    def clear(self, entries: int) -> None:
        """Set the first entries to 0."""
        size = entries * self.itemsize
        released = 0
        if sys.platform == "linux":  # on Linux, released pages read as zeros afterwards
            released = size // PAGE * PAGE
            release(self._memory, 0, released)
        self._memory[released:size] = bytes(size - released)

    def release_from(self, entry: int) -> None:
        """Give back the memory of all entries from this one on."""
        start = entry * self.itemsize
        release(self._memory, start, len(self._memory) - start)
