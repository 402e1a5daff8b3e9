"""The rules of a merge, against the loaded data (base).

Dicts are merged by key, recursively, and sets by item. Of lists that both sides only appended to,
theirs come first, then ours, also if the items are equal. If one side only removed items and the
other only appended, both is done. For anything else ours wins, with a conflict.
"""

from __future__ import annotations

import copy
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lembro._core.codec import encode_value
from lembro._core.merge import NONE, Conflicts, merge

Data = dict[str, Any]

RULE: list[tuple[str, Data, Data, Data, Data, list[str]]] = [
    # what, base, theirs, ours, merged, conflicts
    ("nobody", {"a": 1}, {"a": 1}, {"a": 1}, {"a": 1}, []),
    ("only they", {"a": 1}, {"a": 2}, {"a": 1}, {"a": 2}, []),
    ("only we", {"a": 1}, {"a": 1}, {"a": 2}, {"a": 2}, []),
    ("both the same", {"a": 1}, {"a": 2}, {"a": 2}, {"a": 2}, []),
    ("both differently", {"a": 1}, {"a": 2}, {"a": 3}, {"a": 3}, ["a"]),
    ("different keys", {}, {"a": 1}, {"b": 2}, {"a": 1, "b": 2}, []),
    ("they deleted", {"a": 1}, {}, {"a": 1}, {}, []),
    ("we deleted", {"a": 1}, {"a": 1}, {}, {}, []),
    ("both deleted", {"a": 1}, {}, {}, {}, []),
    ("they deleted, we changed", {"a": 1}, {}, {"a": 2}, {"a": 2}, ["a"]),
    ("we deleted, they changed", {"a": 1}, {"a": 2}, {}, {}, ["a"]),
    ("nested", {"a": {}}, {"a": {"x": 1}}, {"a": {"y": 2}}, {"a": {"x": 1, "y": 2}}, []),
    ("both began a dict", {}, {"a": {"x": 1}}, {"a": {"y": 2}}, {"a": {"x": 1, "y": 2}}, []),
    ("nested, both", {"a": {"x": 1}}, {"a": {"x": 2}}, {"a": {"x": 3}}, {"a": {"x": 3}}, ["a.x"]),
    ("both appended", {"a": [1]}, {"a": [1, 2]}, {"a": [1, 3]}, {"a": [1, 2, 3]}, []),
    ("both appended the same", {"a": [1]}, {"a": [1, 2]}, {"a": [1, 2]}, {"a": [1, 2, 2]}, []),
    ("both came to one list", {}, {"a": [1]}, {"a": [1]}, {"a": [1]}, []),
    ("both began a list", {}, {"a": [1]}, {"a": [2]}, {"a": [1, 2]}, []),
    ("they removed", {"a": [1, 2]}, {"a": [2]}, {"a": [1, 2, 3]}, {"a": [2, 3]}, []),
    ("we removed", {"a": [1, 2]}, {"a": [1, 2, 3]}, {"a": [2]}, {"a": [2, 3]}, []),
    ("they removed all", {"a": [1]}, {"a": []}, {"a": [1, 2]}, {"a": [2]}, []),
    ("they deleted a list", {"a": [1]}, {}, {"a": [1, 2]}, {"a": [2]}, []),
    ("we deleted a list", {"a": [1]}, {"a": [1, 2]}, {}, {"a": [2]}, []),
    ("they deleted an empty list", {"a": []}, {}, {"a": [2]}, {"a": [2]}, []),
    ("both deleted an empty list", {"a": []}, {}, {}, {}, []),
    ("both removed", {"a": [1, 2]}, {"a": [1]}, {"a": [2]}, {"a": [2]}, ["a"]),
    ("they removed, we deleted", {"a": [1, 2]}, {"a": [1]}, {}, {}, ["a"]),
    ("they moved", {"a": [1, 2]}, {"a": [2, 1]}, {"a": [1, 2, 3]}, {"a": [1, 2, 3]}, ["a"]),
    ("we moved", {"a": [1, 2]}, {"a": [1, 2, 3]}, {"a": [2, 1]}, {"a": [2, 1]}, ["a"]),
    ("one of two", {"a": [1, 1]}, {"a": [1]}, {"a": [1, 1, 2]}, {"a": [1, 2]}, []),
    ("another type", {"a": [1, 2]}, {"a": [True]}, {"a": [1, 2, 3]}, {"a": [1, 2, 3]}, ["a"]),
    ("a list where none was", {"a": 0}, {"a": [1]}, {"a": [2]}, {"a": [2]}, ["a"]),
    ("a list in front", {"a": [1]}, {"a": [0, 1]}, {"a": [1, 2]}, {"a": [1, 2]}, ["a"]),
    ("both added", {"a": {1}}, {"a": {1, 2}}, {"a": {1, 3}}, {"a": {1, 2, 3}}, []),
    ("both removed items", {"a": {1, 2, 3}}, {"a": {1, 2}}, {"a": {2, 3}}, {"a": {2}}, []),
    ("added and removed", {"a": {1, 2}}, {"a": {1, 2, 3}}, {"a": {2}}, {"a": {2, 3}}, []),
    ("both began a set", {}, {"a": {1}}, {"a": {2}}, {"a": {1, 2}}, []),
    ("they deleted a set", {"a": {1}}, {}, {"a": {1, 2}}, {"a": {2}}, []),
    ("we deleted a set", {"a": {1, 2}}, {"a": {1}}, {}, {}, []),
    ("both emptied", {"a": {1, 2}}, {"a": {1}}, {"a": {2}}, {"a": set()}, []),
    (
        "frozensets",
        {"a": frozenset({1})},
        {"a": frozenset({1, 2})},
        {"a": frozenset()},
        {"a": frozenset({2})},
        [],
    ),
    ("kinds of sets", {"a": {1}}, {"a": {1, 2}}, {"a": frozenset()}, {"a": frozenset()}, ["a"]),
    ("a type in a set", {"a": {1}}, {"a": {1, 2}}, {"a": {True}}, {"a": {True, 2}}, []),
    ("a type is a change", {"a": 1}, {"a": True}, {"a": 1}, {"a": True}, []),
    ("types conflict", {"a": 1}, {"a": True}, {"a": 1.0}, {"a": 1.0}, ["a"]),
    ("a dict and a list", {}, {"a": {}}, {"a": []}, {"a": []}, ["a"]),
    ("keys of other types", {"a": {1: 0}}, {"a": {1: 1}}, {"a": {1: 2}}, {"a": {1: 2}}, ["a.1"]),
]


@pytest.mark.parametrize(
    ("base", "theirs", "ours", "merged", "conflicts"),
    [row[1:] for row in RULE],
    ids=[row[0] for row in RULE],
)
def test_a_merge_has_the_expected_result(
    base: Data, theirs: Data, ours: Data, merged: Data, conflicts: list[str]
) -> None:
    result = merge(base, theirs, ours)
    assert result == (merged, Conflicts(len(conflicts), conflicts))
    assert encode_value(result[0]) == encode_value(merged), "the types are equal too"


def test_our_objects_are_kept_if_theirs_have_not_changed() -> None:
    cart: list[int] = [1]
    deep = {"x": {"y": cart}}
    base = copy.deepcopy(deep)
    merged, _ = merge(base, {**copy.deepcopy(base), "new": 1}, deep)
    assert merged["x"]["y"] is cart
    merged, _ = merge({"c": [1]}, {"c": [1]}, {"c": cart, "n": 1})
    assert merged["c"] is cart


def test_a_list_of_a_subclass_is_merged_as_a_list() -> None:
    class Items(list[int]):
        pass

    merged, conflicts = merge({"a": [1]}, {"a": [1, 2]}, {"a": Items([1, 3])})
    assert (merged, conflicts) == ({"a": [1, 2, 3]}, NONE)
    assert type(merged["a"]) is list


scalars = st.none() | st.booleans() | st.integers(0, 3) | st.sampled_from("ab") | st.just(1.0)
values: st.SearchStrategy[Any] = st.recursive(
    scalars,
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.sampled_from("pqr"), inner, max_size=3)
        | st.sets(scalars, max_size=3)
    ),
    max_leaves=8,
)
sessions = st.dictionaries(st.sampled_from("abcd"), values, max_size=4)


@given(sessions, sessions, sessions)
def test_a_merge_with_an_unmodified_side_returns_the_other(
    base: Data, theirs: Data, ours: Data
) -> None:
    assert merge(base, theirs, base) == (theirs, NONE)
    assert merge(base, base, ours) == (ours, NONE)


@given(sessions, sessions)
def test_equal_changes_do_not_conflict(base: Data, both: Data) -> None:
    merged, conflicts = merge(base, both, copy.deepcopy(both))
    assert not conflicts
    assert merged.keys() == both.keys()
    # Only a list that both appended to is longer than either.
    assert merged == both or any(isinstance(leaf, list) for leaf in containers(base))


@given(sessions, sessions, sessions)
def test_a_merge_contains_only_values_of_one_side(base: Data, theirs: Data, ours: Data) -> None:
    merged, _ = merge(base, theirs, ours)
    written = [encode_value(value) for value in leaves([base, theirs, ours])]
    # (A dict or set that both sides have removed items from may be empty.)
    left = [leaf for leaf in leaves([merged]) if leaf not in ({}, [], set())]
    assert all(encode_value(leaf) in written for leaf in left)
    assert merged.keys() <= theirs.keys() | ours.keys()


@given(sessions, sessions, sessions)
def test_keys_of_both_sides_are_kept(base: Data, theirs: Data, ours: Data) -> None:
    merged, _ = merge(base, theirs, ours)
    for key in theirs.keys() & ours.keys():
        assert key in merged


@given(sessions, st.data())
def test_changes_of_different_keys_commute_and_do_not_conflict(base: Data, data: Any) -> None:
    mine = data.draw(st.sets(st.sampled_from("abcd")))
    one, two = dict(base), dict(base)
    for key in "abcd":
        side = one if key in mine else two
        if data.draw(st.booleans()):
            side[key] = data.draw(values)
        else:
            side.pop(key, None)
    merged, conflicts = merge(base, two, one)
    assert not conflicts
    assert merge(base, one, two) == (merged, NONE)
    assert merged == {
        key: (one if key in mine else two)[key]
        for key in "abcd"
        if key in (one if key in mine else two)
    }


changes = st.tuples(st.lists(st.integers(0, 5), max_size=3), st.sets(st.integers(0, 3)))
"""The items that are appended or added, and the indices or items that are removed."""


@given(st.lists(st.integers(0, 3), max_size=4), st.booleans(), changes)
def test_removing_from_a_list_and_appending_to_it_commute(
    base: list[int], drop: bool, change: tuple[list[int], set[int]]
) -> None:
    appended, removed = change
    longer = {"a": base + appended}
    rest = [item for i, item in enumerate(base) if i not in removed]
    shorter = {} if drop else {"a": rest}
    merged, conflicts = merge({"a": base}, longer, shorter)
    assert merge({"a": base}, shorter, longer) == (merged, conflicts)
    assert not conflicts
    if drop and not (base or appended):
        assert merged == {}
    elif drop:
        assert merged == ({"a": appended} if appended else {})
    elif appended or rest != base:
        assert merged == {"a": rest + appended}


@given(st.sets(st.integers(0, 3)), changes, changes)
def test_changes_of_a_set_commute_and_all_count(
    base: set[int], one: tuple[list[int], set[int]], two: tuple[list[int], set[int]]
) -> None:
    theirs, ours = ((base - removed) | set(added) for added, removed in (one, two))
    merged, conflicts = merge({"a": base}, {"a": theirs}, {"a": ours})
    assert merge({"a": base}, {"a": ours}, {"a": theirs}) == (merged, conflicts)
    assert not conflicts
    assert merged["a"] == (base & theirs & ours) | (theirs - base) | (ours - base)


@given(sessions, sessions, sessions)
def test_a_merge_changes_neither_the_base_nor_theirs(base: Data, theirs: Data, ours: Data) -> None:
    before = copy.deepcopy((base, theirs, ours))
    merge(base, theirs, ours)
    assert (base, theirs, ours) == before


@given(sessions, sessions, sessions)
def test_a_repeated_merge_changes_nothing(base: Data, theirs: Data, ours: Data) -> None:
    """For example after a lost race, when the merged data are merged with the same data again."""
    merged, _ = merge(base, theirs, ours)
    again, conflicts = merge(theirs, theirs, merged)
    assert encode_value(again) == encode_value(merged)
    assert not conflicts


def containers(value: Any) -> list[Any]:
    """The lists and dicts, at every level."""
    if not isinstance(value, dict | list):
        return []
    items = value.values() if isinstance(value, dict) else value
    return [value, *(inner for item in items for inner in containers(item))]


def leaves(value: Any) -> list[Any]:
    """The scalars and the empty containers."""
    if isinstance(value, dict) and value:
        return [leaf for item in value.values() for leaf in leaves(item)]
    if isinstance(value, list | set) and value:
        return [leaf for item in value for leaf in leaves(item)]
    return [value]
