"""A recount of everything a store holds, by walking it: for tests, and for the doubtful."""

from __future__ import annotations

from sys import getsizeof

from .blob import HAS_USER, KEY, REPLACED, STANDING, allocated, fields, standing_of, user_of
from .core import Core
from .eviction import FREE_LIST, LEVELS, LOGGED_IN, REPLACED_BIT
from .index import ENTRY, SHARD, prefix_of
from .records import FIXED


def recount(core: Core) -> int:
    """The bytes that a store takes. AssertionError if any of its parts contradicts another."""
    blobs = list(core.index)
    dicts = [*core.index.shards, core.index.overflow]
    total = FIXED + sum(map(getsizeof, dicts)) + SHARD * len(core.index.shards)
    total += core.tags.measured
    total += sum(map(getsizeof, core.slots.columns))
    total += ENTRY * (len(blobs) - len(core.index.overflow))
    total += allocated(KEY) * len(core.index.overflow)
    total += sum(allocated(len(blob)) for blob in blobs)
    assert total == core.used, f"counted {core.used}, there are {total}"
    assert total <= core.max_size, f"{total} of {core.max_size}"
    assert all(getsizeof(blob) <= allocated(len(blob)) for blob in blobs)

    slots = {fields(blob, KEY)[0]: blob for blob in blobs}
    assert len(slots) == len(blobs) == core.records
    for slot, blob in slots.items():
        assert core.index.find(blob[:KEY]) is blob
        assert core.prefix[slot] == prefix_of(blob)
        assert core.blob(slot) is blob
    _queues(core, slots)
    _wheel(core, slots)
    _tags(core, slots)
    free = list(core.queues.walk(FREE_LIST))
    fresh = max(0, core.slots.edge - core.slots.fresh)
    assert len(free) + fresh + len(slots) == core.slots.edge
    assert not set(free) & set(slots)
    return total


def _queues(core: Core, slots: dict[int, bytes]) -> None:
    queues = core.queues
    seen: list[int] = []
    replaced = 0
    for level in range(LEVELS):
        members = list(queues.walk(level))
        pointers = [s for s in members if fields(slots[s], KEY)[5] & REPLACED]
        replaced += len(pointers)
        assert queues.counts[level] == len(members) - len(pointers)
        assert queues.sizes[level] == sum(allocated(len(slots[s])) for s in members)
        for slot in members:
            flags = fields(slots[slot], KEY)[5]
            assert queues.level[slot] == level | (REPLACED_BIT if flags & REPLACED else 0)
            assert (level == LOGGED_IN) == bool(flags & HAS_USER)
        seen += members
    assert replaced == queues.replaced
    assert sorted(seen) == sorted(slots)


def _wheel(core: Core, slots: dict[int, bytes]) -> None:
    assert sorted(core.wheel.entries()) == sorted(slots)
    for slot, blob in slots.items():
        assert core.wheel.deadline[slot] <= fields(blob, KEY)[2]


def _tags(core: Core, slots: dict[int, bytes]) -> None:
    bearers = []
    for slot, blob in slots.items():
        flags = fields(blob, KEY)[5]
        assert not flags & HAS_USER or core.tags.has(slot)
        if not core.tags.has(slot):
            continue
        assert slot in core.tags.slots_of(core.tags.tag[slot])
        if not flags & HAS_USER:
            assert not flags & REPLACED
            bearers.append((standing_of(blob) or b"")[: STANDING // 2])
        else:
            assert user_of(blob) is not None
    assert len(bearers) == len(set(bearers))
    assert core.tags.count == sum(core.tags.has(slot) for slot in slots)
