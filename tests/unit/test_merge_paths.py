"""Changes of different paths commute at any depth, and items that both sides append are kept.

The picture of the rule is up to date.
"""

from __future__ import annotations

import copy
import itertools
from typing import Any
from unittest.mock import patch

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lembro._core.codec import encode_value
from lembro._core.merge import NONE, merge
from lembro.errors import CodecError
from tests.support import ROOT
from tools import merge_picture

Data = dict[str, Any]
Path = tuple[str, str, str]

PATHS: list[Path] = list(itertools.product("ab", "pq", "xy"))
DELETE: Any = ...

leaves = st.none() | st.integers(0, 2) | st.booleans() | st.lists(st.integers(0, 2), max_size=2)
whole = st.dictionaries(st.sampled_from(PATHS), leaves, max_size=len(PATHS))
changes = st.dictionaries(
    st.sampled_from(PATHS), st.tuples(st.booleans(), leaves | st.just(DELETE)), max_size=len(PATHS)
)


def put(data: Data, path: Path, value: Any) -> None:
    *outer, last = path
    if value is DELETE:
        for key in outer:
            data = data.get(key, {})
        data.pop(last, None)
    else:
        for key in outer:
            data = data.setdefault(key, {})
        data[last] = value


def built(leaves: dict[Path, Any]) -> Data:
    data: Data = {}
    for path, value in leaves.items():
        put(data, path, value)
    return data


@given(whole, changes)
def test_different_paths_commute(leaves: dict[Path, Any], drawn: dict[Path, Any]) -> None:
    base = built(leaves)
    theirs, ours, both = copy.deepcopy(base), copy.deepcopy(base), copy.deepcopy(base)
    for path, (is_ours, value) in drawn.items():
        put(ours if is_ours else theirs, path, copy.deepcopy(value))
        put(both, path, value)
    assert merge(base, theirs, ours) == (both, NONE)
    assert merge(base, ours, theirs) == (both, NONE)


@given(st.lists(st.integers(0, 2)), st.lists(st.integers(0, 2)), st.lists(st.integers(0, 2)))
def test_items_that_both_append_are_kept(
    start: list[int], more: list[int], ours: list[int]
) -> None:
    base, theirs, mine = {"n": {"l": start}}, {"n": {"l": start + more}}, {"n": {"l": start + ours}}
    assert merge(base, theirs, mine) == ({"n": {"l": start + more + ours}}, NONE)


def test_the_picture_is_up_to_date() -> None:
    picture = (ROOT / "docs" / "images" / "merge.svg").read_text(encoding="utf-8")
    assert picture == merge_picture.draw(), "run tools/merge_picture.py"


def test_the_time_is_proportional_to_the_size_at_any_depth() -> None:
    """A visitor may control nested data, and a merge runs in the event loop."""

    def nested(leaf: list[int], depth: int) -> Data:
        data: Data = {"leaf": leaf}
        for _ in range(depth):
            data = {"a": data}
        return data

    def encoded(depth: int) -> int:
        """Count the bytes that the merge encodes."""
        sizes: list[int] = []

        def counted(value: Any, path: str = "") -> bytes:
            encoding = encode_value(value, path)
            sizes.append(len(encoding))
            return encoding

        base, theirs, ours = (nested([n, *range(5000)], depth) for n in range(3))
        with patch("lembro._core.merge.encode_value", counted):
            merged, conflicts = merge(base, theirs, ours)
        assert merged == ours
        assert conflicts == (1, ["a." * depth + "leaf"])
        return sum(sizes)

    assert encoded(90) < 2 * encoded(1)


def test_a_value_that_contains_itself_is_refused() -> None:
    endless: Data = {}
    endless["a"] = endless
    with pytest.raises(CodecError, match="not in themselves"):
        merge({"k": {}}, {"k": {"b": 1}}, {"k": endless})
