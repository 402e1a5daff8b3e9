"""The real MemoryStore under the same traffic.

It has its own contract, a clock that the bench sets, payloads of 120 to 2,000 bytes, and visitors
with their reputation token in their cookie.
"""

from __future__ import annotations

import math
import struct
from random import Random
from typing import Final

from lembro import MemoryStore, Record

IDLE: Final = 86400.0
LIFE: Final = 30 * 86400.0
GRACE: Final = 30.0

_sizes = Random(7)
PAYLOADS: Final = [
    bytes(round(math.exp(_sizes.uniform(math.log(120), math.log(2000))))) for _ in range(256)
]


class Clock:
    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


def made_for(sessions: int) -> int:
    """Return a ``max_size`` that this number of sessions fits into."""
    max_size = sessions * 1000
    for _ in range(4):
        store, random = MemoryStore(max_size, clock=Clock()), Random(1)
        store.close()  # without a thread
        for number in range(sessions * 3 // 2):
            record = Record(PAYLOADS[number % 256], reputation=store.new_reputation())
            store.add(random.randbytes(32), record, idle=IDLE, life=LIFE)
        max_size = round(max_size * sessions / sum(store.stats().tiers))
    return max_size


class RealStore:
    """lembro's store, with the interface of the simulated policies."""

    def __init__(self, capacity: int) -> None:
        self.clock = Clock()
        self.store = MemoryStore(made_for(capacity), clock=self.clock)
        self.store.close()  # writes purge; a thread would see the wrong time
        self.cookies: dict[int, tuple[bytes, bytes]] = {}  # visitor -> key, reputation
        self._keys = Random(3)
        self._old = b""

    def visit(self, visitor: int, now: float, *, first: bool, last: bool) -> bool:
        self.clock.now = now
        if not first:
            cookie = self.cookies.get(visitor) if not last else self.cookies.pop(visitor, None)
            if cookie is not None:
                if self._find(cookie[0]):
                    return True
                self._add(visitor, cookie[1], last)
                return False
        self._add(visitor, self.store.new_reputation(), last)
        return False

    def login(self, visitor: int, now: float) -> bool:
        self.clock.now = now
        key, reputation = self.cookies[visitor]
        found = self.store.get(key)
        if found is None:
            self._add(visitor, reputation, last=False)
            return False
        new = self._keys.randbytes(32)
        record = Record(found.payload, f"user{visitor}", None, reputation)
        held = self.store.replace(
            key,
            new,
            record,
            expected=found.payload,
            idle=IDLE,
            life=LIFE,
            grace=GRACE,
            per_user=(100, "oldest"),
        )
        assert held is not None
        self.cookies[visitor] = (new, reputation)
        return True

    def replay(self, visitor: int, now: float) -> None:
        self.clock.now = now
        if not self._old:  # a token that was issued ten minutes ago
            self._old = self.store.new_reputation()[:8] + struct.pack(">d", now - 600)
        self._add(visitor, self._old, last=True)

    def _find(self, key: bytes) -> bool:
        found = self.store.get(key)
        if found is None:
            return False
        if min(IDLE, found.life_left) - found.idle_left > IDLE / 10:
            self.store.touch(key, idle=IDLE)
        return True

    def _add(self, visitor: int, reputation: bytes, last: bool) -> None:
        key = self._keys.randbytes(32)
        record = Record(PAYLOADS[visitor % 256], reputation=reputation)
        assert self.store.add(key, record, idle=IDLE, life=LIFE)
        if not last:
            self.cookies[visitor] = (key, reputation)
