"""A slot table with a record of 128 bytes for each slot, for tests of single parts."""

from __future__ import annotations

from mmap import mmap

from lembro.stores.memory import layout, user_index
from lembro.stores.memory.index import Index
from lembro.stores.memory.reserved_memory import anonymous
from lembro.stores.memory.slots import Slots

MOST = 8192  # slots


class Table:
    """A slot table with a place of 128 bytes in memory for the record of each slot."""

    def __init__(self) -> None:
        self.slots = Slots(MOST, 1)
        self.place = self.slots.column("I")
        self.memory: mmap = anonymous(128 * (MOST + 1))

    def grow(self, capacity: int) -> None:
        while self.slots.capacity < capacity:
            self.slots.grow()

    def put(self, slot: int, key: bytes) -> None:
        at = 128 * (slot + 1)
        self.memory[at : at + 32] = key
        self.place[slot] = at >> 3

    def index(self, unit: int = 256) -> Index:
        return Index(self.slots, self.place, self.memory, MOST, unit)

    def user_index(self, unit: int = 256) -> user_index.UserIndex:
        for slot in range(MOST):
            at = 128 * (slot + 1)
            self.place[slot] = at >> 3
            at += layout.HEADER
            self.memory[at : at + len(user_index.UNLINKED)] = user_index.UNLINKED
        return user_index.UserIndex(self.place, self.memory, MOST, unit)
