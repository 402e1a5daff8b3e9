"""The rules of a merge, against the loaded data (base).

Dicts are merged by key, recursively. Of lists that both sides only appended to, theirs come first,
then ours, also if the items are equal. For anything else ours wins, with a conflict.
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
    ("a list made shorter", {"a": [1, 2]}, {"a": [1]}, {"a": [1, 2, 3]}, {"a": [1, 2, 3]}, ["a"]),
    ("a list where none was", {"a": 0}, {"a": [1]}, {"a": [2]}, {"a": [2]}, ["a"]),
    ("a list in front", {"a": [1]}, {"a": [0, 1]}, {"a": [1, 2]}, {"a": [1, 2]}, ["a"]),
    ("sets are values", {"a": {1}}, {"a": {1, 2}}, {"a": {1, 3}}, {"a": {1, 3}}, ["a"]),
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


scalars = st.none() | st.booleans() | st.integers(0, 3) | st.sampled_from("ab") | st.just(1.0)
values: st.SearchStrategy[Any] = st.recursive(
    scalars,
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from("pqr"), inner, max_size=3)
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
    # (A dict that both sides have removed keys from may be empty.)
    left = [leaf for leaf in leaves([merged]) if leaf not in ({}, [])]
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
    if isinstance(value, list) and value:
        return [leaf for item in value for leaf in leaves(item)]
    return [value]
