"""A recount of all the bytes and records of a store, for tests and fuzzers."""

from __future__ import annotations

from .eviction import FREE_LIST, LARGE_FROM, LOGGED_IN, ROTATED_BIT, TIERS
from .layout import (
    BODY,
    DEADLINE,
    HAS_REPUTATION,
    HAS_USER,
    LARGE,
    REPUTATION,
    ROTATED,
    SLOT,
    TAGGED,
    TOKEN,
    read_fields,
    read_state,
    read_tail,
)
from .ledger import unit_for
from .linked_lists import NONE
from .parts import Parts
from .user_index import user_tag


def recount(parts: Parts) -> int:
    """Return the bytes that a store uses, counted again.

    Raises:
        AssertionError: The sum differs from the ledger's, or two parts contradict each other.
    """
    arena, ledger, slot_table = parts.arena, parts.ledger, parts.slots
    place, memory, reader = parts.reader.place, arena.memory, parts.reader
    unit = unit_for(ledger.max_size)
    total = ledger.fixed + slot_table.capacity * slot_table.row + parts.overflow.measured
    for table in (parts.index.buckets, parts.user_index.buckets):
        total += -(-4 * table // unit) * unit
    total += arena.segment * (len(arena.in_use()) + 1 + arena.stale)
    assert all(not arena.live[segment] for segment in range(arena.stale))
    assert total == ledger.used, f"the ledger counts {ledger.used} bytes, there are {total}"
    assert total <= ledger.max_size, f"{total} bytes exceed max_size={ledger.max_size}"

    slots = [slot for slot in range(slot_table.capacity) if place[slot]]
    assert len(slots) == parts.records.count
    assert sorted(parts.index.slots()) == slots
    assert parts.index.count == parts.records.count
    for slot in slots:
        assert read_tail(memory, (place[slot] << 3) + SLOT)[0] == slot
        assert parts.index.find(reader.key(slot)) == slot
        assert (slot in parts.overflow) == bool(reader.flags(slot) & LARGE)
    assert len(parts.overflow) == sum(slot in parts.overflow for slot in slots)
    _check_segments(parts, slots)
    _check_queues(parts, slots)
    _check_user_index(parts, slots)
    marks = parts.adoption.marks
    assert len(marks.keys()) == marks.count <= marks.capacity
    free = list(parts.queues.walk(FREE_LIST))
    fresh = max(0, slot_table.edge - slot_table.fresh)
    assert len(free) == slot_table.spare
    assert len(free) + fresh + len(slots) == slot_table.edge
    assert not set(free) & set(slots)
    return total


def _check_segments(parts: Parts, slots: list[int]) -> None:
    """Check that every record is in a segment in use, and that no two overlap."""
    arena, wheel, memory = parts.arena, parts.wheel, parts.arena.memory
    slot_at = {parts.reader.place[slot] << 3: slot for slot in slots}
    seen: list[int] = []
    for segment in arena.in_use():
        live, soonest = 0, float("inf")
        at, end = arena.bounds(segment)
        while at < end:
            deadline, _, length, flags, slot, extent, user_length = read_state(
                memory, at + DEADLINE
            )
            assert extent > 0
            if slot_at.get(at) == slot:
                seen.append(slot)
                inside = 0 if flags & LARGE else length
                assert BODY[flags] + user_length + inside <= extent << 3
                assert deadline <= read_fields(memory, at)[2]
                live += extent << 3
                soonest = min(soonest, deadline)
            at += extent << 3
        assert at == end
        assert end <= (segment + 1) << arena.shift
        assert live == arena.live[segment]
        assert segment == wheel.sweeping or wheel.bound[segment] <= soonest
    assert sorted(seen) == slots
    assert sum(arena.live) == arena.live_total
    assert sorted(wheel.segments()) == arena.in_use()
    assert wheel.sweeping == NONE or wheel.sweeping in arena.in_use()


def _check_queues(parts: Parts, slots: list[int]) -> None:
    """Check the tiers, and that every record is in one queue."""
    queues, reader = parts.queues, parts.reader
    seen: list[int] = []
    rotated = 0
    for tier in range(TIERS):
        large = [] if tier == LOGGED_IN else list(queues.walk(TIERS + tier))
        members = list(queues.walk(tier)) + large
        rotated_here = sum(bool(reader.flags(slot) & ROTATED) for slot in members)
        rotated += rotated_here
        assert queues.counts[tier] == len(members) - rotated_here
        assert queues.sizes[tier] == sum(reader.size(slot) for slot in members)
        assert queues.large[tier] == sum(reader.size(slot) for slot in large)
        for slot in members:
            flags = reader.flags(slot)
            queue = TIERS + tier if slot in large else tier
            assert queues.tier[slot] == queue | (ROTATED_BIT if flags & ROTATED else 0)
            assert (slot in large) == (tier != LOGGED_IN and reader.size(slot) > LARGE_FROM)
            assert (tier == LOGGED_IN) == bool(flags & HAS_USER)
        seen += members
    assert rotated == queues.rotated
    assert sorted(seen) == slots


def _check_user_index(parts: Parts, slots: list[int]) -> None:
    """Check that the index finds every user's record, and no token twice."""
    user_index, reader, memory = parts.user_index, parts.reader, parts.arena.memory
    tokens = []
    count = 0
    for slot in slots:
        at, flags = reader.place[slot] << 3, reader.flags(slot)
        assert bool(flags & TAGGED) == bool(flags & (HAS_USER | HAS_REPUTATION))
        if not flags & TAGGED:
            continue
        assert not flags & HAS_USER or user_index.has(slot)
        if not user_index.has(slot):
            continue
        count += 1
        tag = user_index.links(slot)[0]
        assert slot in user_index.slots_of(tag)
        if not flags & HAS_USER:
            assert not flags & ROTATED
            tokens.append(memory[at + TOKEN : at + TOKEN + REPUTATION // 2])
        else:
            assert tag == user_tag(reader.user(at, flags) or b"")
    assert len(tokens) == len(set(tokens))
    assert user_index.count == count
