"""Payloads that are too large for a segment.

Each has its own object. From 16 KiB on, the object is a separate mapping, whose pages go
back to the system when the payload is removed.
"""

from __future__ import annotations

import contextlib
import mmap
from typing import Final

from ...errors import ConfigError
from .reserved_memory import PAGE, anonymous

MAPPED_FROM: Final = 16 * 1024  # bytes
_OBJECT: Final = 33 + 8  # bytes that a bytes object takes in addition to its content
_MAPPING: Final = 256  # bytes of a mapping in addition to its pages
ENTRY: Final = 128  # bytes of an entry in the dict: its place and two numbers


def allocated(length: int) -> int:
    """Return how many bytes a payload of this length occupies, at most."""
    if length < MAPPED_FROM:
        return ENTRY + ((length + _OBJECT + 15) & -16)
    return ENTRY + _MAPPING + ((length + PAGE - 1) & -PAGE)


def _copy(payload: bytes) -> bytes | mmap.mmap:
    """Copy a payload into an object that takes no more bytes than ``allocated`` says."""
    if len(payload) >= MAPPED_FROM:
        with contextlib.suppress(ConfigError):  # the system limits the mappings of a process
            pages = anonymous(len(payload))
            pages[:] = payload
            return pages
    return bytes(memoryview(payload))


class Overflow:
    """The large payloads, by slot. ``size`` is the number of bytes that they occupy."""

    __slots__ = ("_payloads", "size")

    size: int

    def __init__(self) -> None:
        self._payloads: dict[int, bytes | mmap.mmap] = {}
        self.size = 0

    def put(self, slot: int, payload: bytes) -> None:
        """Store the payload of a slot that has none here."""
        self._payloads[slot] = _copy(payload)
        self.size += allocated(len(payload))

    def get(self, slot: int) -> bytes:
        """Return the payload of a slot that has one here."""
        payload = self._payloads[slot]
        return payload if isinstance(payload, bytes) else payload[:]

    def pop(self, slot: int) -> None:
        """Remove the payload of a slot."""
        payload = self._payloads.pop(slot)
        self.size -= allocated(len(payload))
        if not isinstance(payload, bytes):
            payload.close()
        if not self._payloads:
            self._payloads = {}  # an empty dict keeps the table of its largest size

    def last(self) -> int | None:
        """Return the slot whose payload was stored last, or None."""
        return next(reversed(self._payloads), None)

    def rename(self, old: int, new: int) -> None:
        """Give the payload of slot ``old`` to slot ``new``."""
        self._payloads[new] = self._payloads.pop(old)

    def reset(self) -> None:
        """Remove all payloads."""
        self._payloads = {}
        self.size = 0

    @property
    def measured(self) -> int:
        """``size``, counted again from the payloads."""
        return sum(allocated(len(payload)) for payload in self._payloads.values())

    def __len__(self) -> int:
        return len(self._payloads)

    def __contains__(self, slot: int) -> bool:
        return slot in self._payloads
