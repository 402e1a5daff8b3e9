"""Payloads too large for a segment: each in an object of its own, and from a few pages on in pages
of its own, which go back to the system with it."""

from __future__ import annotations

import contextlib
import mmap
from typing import Final

from ...errors import ConfigError
from .reserved_memory import PAGE, anonymous

MANY: Final = 16 * 1024  # bytes
_OBJECT: Final = 33 + 8  # what bytes put before and after their content; the allocator's own word
_PAGED: Final = 256  # bytes that a mapping takes beside its pages
ENTRY: Final = 128  # bytes in the dict: place and two numbers


def allocated(length: int) -> int:
    """What a payload of this length occupies, never less."""
    if length < MANY:
        return ENTRY + ((length + _OBJECT + 15) & -16)
    return ENTRY + _PAGED + ((length + PAGE - 1) & -PAGE)


def _kept(payload: bytes) -> bytes | mmap.mmap:
    """A copy that takes no more than is counted."""
    if len(payload) >= MANY:
        with contextlib.suppress(ConfigError):  # a process may have only so many mappings
            pages = anonymous(len(payload))
            pages[:] = payload
            return pages
    return bytes(memoryview(payload))


class Larges:
    __slots__ = ("_payloads", "size")

    size: int

    def __init__(self) -> None:
        self._payloads: dict[int, bytes | mmap.mmap] = {}
        self.size = 0  # bytes

    def put(self, slot: int, payload: bytes) -> None:
        """Keep the payload of a slot that has none here."""
        self._payloads[slot] = _kept(payload)
        self.size += allocated(len(payload))

    def get(self, slot: int) -> bytes:
        payload = self._payloads[slot]
        return payload if isinstance(payload, bytes) else payload[:]

    def pop(self, slot: int) -> None:
        payload = self._payloads.pop(slot)
        self.size -= allocated(len(payload))
        if not isinstance(payload, bytes):
            payload.close()
        if not self._payloads:
            self._payloads = {}

    def last(self) -> int | None:
        """The slot whose payload was put here last, or None."""
        return next(reversed(self._payloads), None)

    def rename(self, old: int, new: int) -> None:
        self._payloads[new] = self._payloads.pop(old)

    def reset(self) -> None:
        self._payloads = {}
        self.size = 0

    @property
    def measured(self) -> int:
        """Bytes, recounted."""
        return sum(allocated(len(payload)) for payload in self._payloads.values())

    def __len__(self) -> int:
        return len(self._payloads)

    def __contains__(self, slot: int) -> bool:
        return slot in self._payloads
