"""When two values are equal in a merge, and how many conflicts it names."""

from __future__ import annotations

from hashlib import blake2b
from typing import Any

import pytest

from lembro._core import merge as merging
from lembro._core.merge import NONE, merge
from lembro._core.tags import MAX_DEPTH

Data = dict[str, Any]


def nested(value: Any, depth: int) -> Any:
    for _ in range(depth):
        value = {"a": value}
    return value


def test_the_deepest_data_that_a_session_can_store_are_merged() -> None:
    base, theirs, ours = ({"k": nested(n, MAX_DEPTH)} for n in (1, 1, 2))
    assert merge(base, theirs, ours) == (ours, NONE)
    assert merge(base, ours, theirs) == (ours, NONE)


def test_a_merge_names_the_first_five_conflicts_and_counts_all() -> None:
    base, theirs, ours = (dict.fromkeys("abcdefg", n) for n in (1, 2, 3))
    merged, conflicts = merge(base, theirs, ours)
    assert merged == ours
    assert conflicts == (7, ["a", "b", "c", "d", "e"])


def test_dicts_of_equal_values_and_other_keys_are_not_equal() -> None:
    base, theirs, ours = {"k": {"a": 1}}, {"k": {"a": 1, "c": 2}}, {"k": {"b": 1}}
    assert merge(base, theirs, ours) == ({"k": {"c": 2, "b": 1}}, NONE)


def test_a_dict_differs_from_the_bytes_of_its_digest(monkeypatch: pytest.MonkeyPatch) -> None:
    """Its digest may be the encoding of a value, by chance or after enough attempts."""

    class Unlucky:
        """A hash function whose digests are the encodings of 30 bytes."""

        def __init__(self, digest_size: int) -> None:
            self._whole = b""

        def update(self, part: bytes) -> None:
            self._whole += part

        def digest(self) -> bytes:
            return b"\xc4\x1e" + blake2b(self._whole, digest_size=30).digest()

    monkeypatch.setattr(merging, "blake2b", Unlucky)
    inner = {"n": 1}
    digest = merging._Merge()._image(inner, 1)
    base: Data = {"k": {"a": inner}}
    theirs: Data = {"k": {"a": digest[2:]}}
    assert merge(base, theirs, base) == (theirs, NONE)
