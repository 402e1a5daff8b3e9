"""MemoryStore, in parts that can each be read alone:

store.py     the verbs: lock, clock, thread, events
core.py      what a verb does
room.py      room for what is written: sweeping, evicting, evacuating, in small pieces
records.py   entering, changing and letting go
parts.py     what a store consists of, and the ledger: every byte, counted at every step
layout.py    how one record lies in memory
arena.py     the memory that records lie in: segments, filled one after the other; large.py, what
             is too large for them; stretch.py, memory that is reserved whole and taken by pages
index.py     key -> slot
slots.py     the table of numbers about each record; chains.py, linked lists in it
expiry.py    who is due;  eviction.py, who goes first;  standing.py, since when one is known
tags.py      the sessions of a user, the bearer of a token
purger.py    the thread;  fork.py, what a fork does;  alone.py, other worker processes
audit.py     the recount, for tests
"""

from __future__ import annotations

from .stats import Stats
from .store import MemoryStore

__all__ = ["MemoryStore", "Stats"]
