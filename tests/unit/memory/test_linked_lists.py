"""Linked lists against a list of lists."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from lembro.stores.memory.linked_lists import NONE, in_arrays

LISTS, SLOTS = 4, 12
steps = st.lists(
    st.tuples(
        st.sampled_from(["push", "remove", "move", "splice", "rename"]),
        st.integers(0, LISTS - 1),
        st.integers(0, LISTS - 1),
        st.integers(0, SLOTS - 1),
        st.integers(0, SLOTS - 1),
    ),
    max_size=60,
)


@given(steps)
def test_linked_lists_equal_a_list_of_lists(steps: list[tuple[str, int, int, int, int]]) -> None:
    lists = in_arrays(LISTS, SLOTS)
    model: list[list[int]] = [[] for _ in range(LISTS)]

    for verb, at, other, slot, free in steps:
        home = next((members for members in model if slot in members), None)
        if verb == "push" and home is None:
            lists.push(at, slot)
            model[at].append(slot)
        elif verb == "remove" and home is not None:
            lists.remove(slot)
            home.remove(slot)
        elif verb == "move" and home is not None:
            lists.move(at, slot)
            home.remove(slot)
            model[at].append(slot)
        elif verb == "splice" and at != other:
            lists.splice(at, other)
            model[other] += model[at]
            model[at] = []
        elif verb == "rename" and home is not None and not any(free in m for m in model):
            lists.rename(slot, free)
            home[home.index(slot)] = free
        for number, members in enumerate(model):
            assert list(lists.walk(number)) == members
            assert lists.first(number) == (members[0] if members else NONE)

    lists.reset()
    assert all(lists.first(number) == NONE for number in range(LISTS))
