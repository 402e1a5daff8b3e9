"""The resident memory of a MemoryStore alone, without the rest of its process.

The records and most tables of a store are in memory that it maps itself. Linux tells which of its
pages are present. The other tables are small, and were allocated when the store was made.
"""

from __future__ import annotations

import ctypes
import gc
import os
from collections.abc import Iterator
from mmap import mmap
from types import MethodType
from typing import Any, Final

from lembro import MemoryStore

PAGE: Final = os.sysconf("SC_PAGE_SIZE")
PAGEMAP: Final = "/proc/self/pagemap"  # 8 bytes for each page of addresses
IS_THERE: Final = bytes(byte >= 0x40 for byte in range(256))
"""For the highest byte of an entry: whether the page is in memory or in the swap."""


class Pages:
    """Measures one store. Make it when the store is made."""

    def __init__(self, store: MemoryStore) -> None:
        self._ranges = [_range_of(found) for found in mappings(store._parts)]
        self.reserved: int = sum(size for _, size in self._ranges)
        """Bytes of addresses that the store has mapped."""

    def present(self) -> int:
        """Return the bytes of the store's mappings that take memory."""
        count = 0
        file = os.open(PAGEMAP, os.O_RDONLY | os.O_CLOEXEC)
        try:
            for address, size in self._ranges:
                entries = os.pread(file, size // PAGE * 8, address // PAGE * 8)
                count += entries[7::8].translate(IS_THERE).count(1)
        finally:
            os.close(file)
        return count * PAGE


def mappings(root: Any) -> Iterator[mmap]:
    """Yield the memory that an object of the store has mapped, directly or in its parts."""
    seen: set[int] = set()
    left = [root]
    while left:
        found = left.pop()
        if id(found) in seen:
            continue
        seen.add(id(found))
        if isinstance(found, mmap):
            yield found
        elif isinstance(found, dict | list | tuple | MethodType) or type(
            found
        ).__module__.startswith("lembro.stores.memory"):
            left += gc.get_referents(found)


def _range_of(memory: mmap) -> tuple[int, int]:
    """Return the address and the size of a mapping, in whole pages."""
    address = ctypes.addressof(ctypes.c_char.from_buffer(memory))
    return address, -(-len(memory) // PAGE) * PAGE
