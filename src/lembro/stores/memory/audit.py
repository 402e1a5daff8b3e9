"""A recount of everything a store holds, by walking it: for tests, and for the doubtful."""

from __future__ import annotations

from .arena import Arena
from .eviction import FREE_LIST, LOGGED_IN, REPLACED_BIT, TIERS
from .layout import (
    BODY,
    DEADLINE,
    HAS_REPUTATION,
    HAS_USER,
    LARGE,
    REPLACED,
    REPUTATION,
    SLOT,
    TAGGED,
    TOKEN,
    fields,
    tail,
    walked,
)
from .ledger import PAGED_FROM
from .linked_lists import NONE
from .records import user_tag
from .reserved_memory import PAGE
from .verbs import Core


def recount(core: Core) -> int:
    """The bytes that a store takes. AssertionError if any of its parts contradicts another."""
    arena = core.arena
    unit = PAGE if core.max_size >= PAGED_FROM else 256
    total = core.fixed + core.slots.capacity * core.slots.row + core.larges.measured
    for table in (core.index.buckets, core.tags.buckets):
        total += -(-4 * table // unit) * unit
    total += arena.segment * (len(arena.in_use()) + 1 + arena.stale)
    assert all(not arena.live[segment] for segment in range(arena.stale))
    assert total == core.used, f"counted {core.used}, there are {total}"
    assert total <= core.max_size, f"{total} of {core.max_size}"

    slots = [slot for slot in range(core.slots.capacity) if core.place[slot]]
    assert len(slots) == core.records
    assert sorted(core.index.slots()) == slots
    assert core.index.count == core.records
    for slot in slots:
        assert tail(core.memory, (core.place[slot] << 3) + SLOT)[0] == slot
        assert core.index.find(core.key(slot)) == slot
        assert (slot in core.larges) == bool(core.flags(slot) & LARGE)
    assert len(core.larges) == sum(slot in core.larges for slot in slots)
    _segments(core, arena, slots)
    _queues(core, slots)
    _tags(core, slots)
    free = list(core.queues.walk(FREE_LIST))
    fresh = max(0, core.slots.edge - core.slots.fresh)
    assert len(free) == core.slots.spare
    assert len(free) + fresh + len(slots) == core.slots.edge
    assert not set(free) & set(slots)
    return total


def _segments(core: Core, arena: Arena, slots: list[int]) -> None:
    """Every record lies in a segment in use, and is found by walking it; no two overlap."""
    where = {core.place[slot] << 3: slot for slot in slots}
    seen: list[int] = []
    for segment in arena.in_use():
        live, soonest = 0, float("inf")
        at, end = arena.bounds(segment)
        while at < end:
            deadline, _, length, flags, slot, extent, user = walked(core.memory, at + DEADLINE)
            assert extent > 0
            if where.get(at) == slot:
                seen.append(slot)
                inside = 0 if flags & LARGE else length
                assert BODY[flags] + user + inside <= extent << 3
                assert deadline <= fields(core.memory, at)[2]
                live += extent << 3
                soonest = min(soonest, deadline)
            at += extent << 3
        assert at == end
        assert end <= (segment + 1) << arena.shift
        assert live == arena.live[segment]
        assert segment == core._sweeping or core.wheel.bound[segment] <= soonest
    assert sorted(seen) == slots
    assert sum(arena.live) == arena.live_total
    assert sorted(core.wheel.entries()) == arena.in_use()
    assert core._sweeping == NONE or core._sweeping in arena.in_use()


def _queues(core: Core, slots: list[int]) -> None:
    queues = core.queues
    seen: list[int] = []
    replaced = 0
    for tier in range(TIERS):
        members = list(queues.walk(tier))
        pointers = [slot for slot in members if core.flags(slot) & REPLACED]
        replaced += len(pointers)
        assert queues.counts[tier] == len(members) - len(pointers)
        assert queues.sizes[tier] == sum(core.size(slot) for slot in members)
        for slot in members:
            flags = core.flags(slot)
            assert queues.tier[slot] == tier | (REPLACED_BIT if flags & REPLACED else 0)
            assert (tier == LOGGED_IN) == bool(flags & HAS_USER)
        seen += members
    assert replaced == queues.replaced
    assert sorted(seen) == slots


def _tags(core: Core, slots: list[int]) -> None:
    bearers = []
    count = 0
    for slot in slots:
        at, flags = core.place[slot] << 3, core.flags(slot)
        assert bool(flags & TAGGED) == bool(flags & (HAS_USER | HAS_REPUTATION))
        if not flags & TAGGED:
            continue
        assert not flags & HAS_USER or core.tags.has(slot)
        if not core.tags.has(slot):
            continue
        count += 1
        tag = core.tags.links(slot)[0]
        assert slot in core.tags.slots_of(tag)
        if not flags & HAS_USER:
            assert not flags & REPLACED
            bearers.append(core.memory[at + TOKEN : at + TOKEN + REPUTATION // 2])
        else:
            assert tag == user_tag(core.user(at, flags) or b"")
    assert len(bearers) == len(set(bearers))
    assert core.tags.count == count
