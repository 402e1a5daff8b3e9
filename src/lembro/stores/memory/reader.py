"""Reading records."""

from __future__ import annotations

from mmap import mmap
from typing import Any

from ..base import Found
from .layout import (
    BODY,
    DEADLINE,
    FLAGS,
    HAS_REPUTATION,
    HAS_USER,
    KEY,
    LARGE,
    REPUTATION,
    ROTATED,
    SLOT,
    TOKEN,
    UTF8,
    read_fields,
    read_header,
    read_state,
    read_tail,
)
from .overflow import Overflow, allocated


class RecordReader:
    """Reads records from the arena's memory and the overflow.

    Attributes:
        memory: The arena's memory.
        place: Where the record of each slot begins, in units of 8 bytes; 0 for a slot not in use.
        start: The time from which last uses are counted: when the store was made, or earlier.
    """

    __slots__ = ("_overflow", "memory", "place", "start")

    def __init__(
        self, memory: mmap, place: memoryview[int], overflow: Overflow, start: float
    ) -> None:
        self.memory: mmap = memory
        self.place: memoryview[int] = place
        self._overflow = overflow
        self.start: float = start

    def found(self, slot: int, now: float) -> Found:
        """Return the record of a slot in the form that the contract requires."""
        at = self.place[slot] << 3
        return self.found_at(slot, at, read_header(self.memory, at), now)

    def found_at(self, slot: int, at: int, header: tuple[Any, ...], now: float) -> Found:
        """Return the record at ``at``, whose header has been read.

        This is most of the work of a get. It repeats the code of ``user``, ``successor`` and
        ``payload``, which is three times as fast as calling them.
        """
        _, born, death, deadline, _, length, flags, _, _, user_length = header
        memory = self.memory
        start = at + BODY[flags]
        user = reputation = successor = None
        if flags & HAS_REPUTATION:
            reputation = memory[at + TOKEN : at + TOKEN + REPUTATION]
        if flags & ROTATED:
            successor = memory[start - KEY : start]
        if flags & HAS_USER:
            user = str(memory[start : start + user_length], *UTF8)
            start += user_length
        payload = self._overflow.get(slot) if flags & LARGE else memory[start : start + length]
        return Found(payload, user, successor, reputation, now - born, deadline - now, death - now)

    def key(self, slot: int) -> bytes:
        """Return the key of a record."""
        at = self.place[slot] << 3
        return self.memory[at : at + KEY]

    def flags(self, slot: int) -> int:
        """Return the flags of a record."""
        return self.memory[(self.place[slot] << 3) + FLAGS]

    def deadline(self, slot: int) -> float:
        """Return when a record expires."""
        deadline: float = read_fields(self.memory, self.place[slot] << 3)[3]
        return deadline

    def last_used(self, slot: int) -> float:
        """Return when a record was last used, to the second."""
        used: int = read_state(self.memory, (self.place[slot] << 3) + DEADLINE)[1]
        return self.start + used

    def size(self, slot: int) -> int:
        """Return how many bytes a record takes, in its segment and in the overflow."""
        _, _, length, flags, _, extent, _ = read_state(
            self.memory, (self.place[slot] << 3) + DEADLINE
        )
        size: int = extent << 3
        return size + allocated(length) if flags & LARGE else size

    def user(self, at: int, flags: int) -> bytes | None:
        """Return the encoded user of a record."""
        if not flags & HAS_USER:
            return None
        length = read_tail(self.memory, at + SLOT)[2]
        at += BODY[flags]
        return self.memory[at : at + length]

    def user_name(self, at: int, flags: int) -> str | None:
        """Return the user of a record."""
        user = self.user(at, flags)
        return None if user is None else str(user, *UTF8)

    def successor(self, at: int, flags: int) -> bytes | None:
        """Return the successor of a rotated key; None for a session."""
        if not flags & ROTATED:
            return None
        at += BODY[flags]
        return self.memory[at - KEY : at]

    def payload(self, slot: int, at: int, flags: int, length: int) -> bytes:
        """Return the payload of a record, which has ``length`` bytes."""
        if flags & LARGE:
            return self._overflow.get(slot)
        start = at + BODY[flags]
        if flags & HAS_USER:
            start += read_tail(self.memory, at + SLOT)[2]
        return self.memory[start : start + length]
