from __future__ import annotations

import os
import random

import pytest

from lembro.ids import (
    CookieValue,
    handle_for,
    is_id,
    key_for,
    new_id,
    new_mark,
    user_id_text,
)
from tests.support.processes import in_fork


def test_an_id_has_256_bits_and_the_right_form() -> None:
    ids = {new_id() for _ in range(1000)}
    assert len(ids) == 1000
    assert all(is_id(id_) and len(id_) == 43 for id_ in ids)


def test_random_seed_does_not_change_ids() -> None:
    random.seed(0)
    first = new_id()
    random.seed(0)
    assert new_id() != first


def test_random_seed_does_not_change_marks() -> None:
    random.seed(0)
    first = new_mark()
    random.seed(0)
    assert new_mark() != first


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this platform has no fork")
def test_forked_processes_make_different_marks() -> None:
    """Otherwise a worker would mistake another one's write for its own."""
    new_mark()
    made = [in_fork(lambda: b"".join(new_mark() for _ in range(10))) for _ in range(2)]
    made.append(b"".join(new_mark() for _ in range(10)))
    assert [len(marks) for marks in made] == [60] * 3
    assert len({marks[at : at + 6] for marks in made for at in range(0, 60, 6)}) == 30


@pytest.mark.parametrize(
    "text",
    [
        "",
        "x" * 39,
        "x" * 41,
        "x" * 42,
        "x" * 44,
        "x" * 42 + "=",
        "x" * 42 + "\n",
        "x" * 42 + "é",
        "x" * 42 + "\u212a",
    ],
)
def test_other_texts_are_no_ids(text: str) -> None:
    assert not is_id(text)


def test_neither_key_nor_handle_reveals_the_id() -> None:
    id_ = new_id()
    key = key_for(id_)
    handle = handle_for(key)
    assert len(key) == 32
    assert key == key_for(id_)
    assert len(handle) == 12
    assert not is_id(handle)
    assert id_.encode() not in key
    assert handle not in id_


def test_the_repr_of_a_cookie_value_hides_it() -> None:
    assert repr(CookieValue(b"secret")) == "<cookie value>"


def test_a_user_id_becomes_a_plain_text() -> None:
    class Name(str):
        __slots__ = ()

        def __str__(self) -> str:
            return "another"

    text = user_id_text(Name("ada"), "login")
    assert (text, type(text)) == ("ada", str)
    assert user_id_text("a" * 256, "login") == "a" * 256


@pytest.mark.parametrize(("bits", "digits"), [(2048, 617), (2049, 614)])
def test_a_number_that_is_too_long_is_reported_with_its_length(bits: int, digits: int) -> None:
    """From 2049 bits on, the length is estimated: Python refuses to convert thousands of digits."""
    with pytest.raises(ValueError, match=f"at most 256 bytes, got {digits}\\."):
        user_id_text(1 << bits - 1, "login")
