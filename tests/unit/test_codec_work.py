"""The codec does each step once, and tags only what needs a tag."""

from __future__ import annotations

from typing import Any, Never

import pytest

from lembro._core import codec
from lembro._core.codec import check, decode, encode, encode_value
from lembro._core.tags import MAX_DEPTH


def nested(value: Any, depth: int) -> Any:
    for level in range(depth):
        value = [value] if level % 2 else {"a": value}
    return value


DEEPEST: Any = nested(1, MAX_DEPTH)


def never(*args: object, **keywords: object) -> Never:
    raise AssertionError("this step is not needed")


@pytest.fixture
def untagged(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(codec, "_tagged", never)


@pytest.mark.usefixtures("untagged")
def test_plain_data_are_not_tagged() -> None:
    data = {"n": 1, "deep": DEEPEST}
    assert decode(encode({}, data)) == ({}, data)


@pytest.mark.usefixtures("untagged")
@pytest.mark.parametrize("value", [1, "a", None, [1], {"a": 1}, DEEPEST, nested(1, MAX_DEPTH - 1)])
def test_a_plain_value_is_not_tagged(value: Any) -> None:
    assert codec.decode_value(encode_value(value)) == value


def test_unmodified_plain_data_are_encoded_once(monkeypatch: pytest.MonkeyPatch) -> None:
    payload = encode({"remember": True}, {"a": [1]})
    monkeypatch.setattr(codec, "encode", never)
    assert codec.changed(payload, *decode(payload)) is None


@pytest.mark.parametrize("value", [1, 1.5, None, True, b"x"])
def test_a_value_that_can_always_be_stored_is_not_encoded(
    value: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(codec, "encode_value", never)
    assert check("k", value) == "k"


def test_data_whose_subclasses_are_stored_as_plain_values_are_not_marked_as_tagged() -> None:
    class Text(str):
        __slots__ = ()

    payload = encode({}, {"text": Text("a"), "deep": DEEPEST})
    assert payload.startswith(codec.VERSION)
    assert decode(payload)[1] == {"text": "a", "deep": DEEPEST}
