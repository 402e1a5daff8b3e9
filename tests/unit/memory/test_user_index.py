"""The user index against a dict of lists."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from tests.support.table import Table


@given(
    st.lists(st.tuples(st.booleans(), st.integers(0, 63), st.integers(0, 20)), max_size=200),
    st.integers(0, 40),
)
def test_the_table_equals_a_dict_of_lists(steps: list[tuple[bool, int, int]], stride: int) -> None:
    table = Table().user_index(unit=16)
    model: dict[int, int] = {}
    for enter, slot, number in steps:
        tag = number << stride
        before, bound = table.size, table.growth()
        if enter and slot not in model:
            changed = table.add(slot, tag)
            model[slot] = tag
            assert table.size <= before + bound
        else:
            changed = table.remove(slot)
            model.pop(slot, None)
        assert changed == (table.size != before)
        assert table.count == len(model)
        assert {s for s in range(64) if table.has(s)} == set(model)
        for wanted in set(model.values()) | {tag}:
            expected = [s for s, t in model.items() if t == wanted]
            assert table.slots_of(wanted) == expected[::-1]


def test_the_table_grows_and_shrinks() -> None:
    table = Table().user_index()
    start = table.size
    for slot in range(5000):
        table.add(slot, slot * 7919)
    assert all(table.slots_of(slot * 7919) == [slot] for slot in range(5000))
    assert table.size < 5000 * 5
    for slot in range(5000):
        table.remove(slot)
    assert table.size == start


def test_renaming_a_slot_outside_the_table_changes_nothing() -> None:
    table = Table()
    by_tag = table.user_index()
    by_tag.rename(3, 4)
    assert by_tag.count == 0
    assert by_tag.slots_of(0) == []


def test_a_renamed_slot_keeps_its_position() -> None:
    parts = Table()
    table = parts.user_index()
    for slot in (1, 2, 3):
        table.add(slot, 7)
    parts.place[9] = parts.place[2]
    table.rename(2, 9)
    assert table.slots_of(7) == [3, 9, 1]
    assert table.remove(9) is False
    assert table.slots_of(7) == [3, 1]
