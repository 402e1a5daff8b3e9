"""The slot table."""

from __future__ import annotations

from lembro.stores.memory.slots import Slots


def has_free(slots: Slots) -> bool:
    return slots.spare > 0 or slots.fresh < slots.edge


def test_slots_grow_by_at_most_growth_and_each_is_used_once() -> None:
    slots = Slots(5000, 3)
    slots.column("I")
    slots.column("i")
    slots.column("B")
    assert slots.row == 8 + 4 + 4 + 1
    taken: set[int] = set()
    for _ in range(3000):
        if not has_free(slots):
            before, bound = slots.size, slots.growth()
            slots.grow()
            assert slots.size <= before + bound
        slot = slots.take()
        assert slot not in taken
        taken.add(slot)
    assert taken == set(range(3000))
    for slot in (5, 7):
        slots.give(slot)
    assert slots.spare == 2
    assert {slots.take(), slots.take()} == {5, 7}
