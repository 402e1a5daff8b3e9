"""Sizes: parsing, errors, and output."""

from __future__ import annotations

import math
from decimal import Decimal
from fractions import Fraction
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lembro import size
from lembro._core.codec import encode
from lembro.errors import ConfigError


@pytest.mark.parametrize(
    ("text", "number"),
    [
        ("4M", 4 * 2**20),
        ("4m", 4 * 2**20),
        ("4MB", 4 * 2**20),
        ("4MiB", 4 * 2**20),
        ("4 mib", 4 * 2**20),
        (" 1.5 MiB ", 1572864),
        ("1.1K", 1126),
        ("0.99999999999999999999999999999K", 1023),  # rounded down, with any number of digits
        ("512", 512),
        ("512b", 512),
        ("1T", 2**40),
        ("2G", 2**31),
        ("0.5G", 2**29),
        (1, 1),
        (2**63 - 1, 2**63 - 1),
        ("8388607T", 8388607 * 2**40),
    ],
)
def test_a_size_is_parsed(text: Any, number: int) -> None:
    assert size.parse(text) == number


@pytest.mark.parametrize(
    "wrong",
    [
        0,
        -1,
        "0",
        "0.1",
        "-4M",
        "+4M",
        "",
        " ",
        "M",
        "4X",
        "4MM",
        "4 M B",
        "4iB",
        "1e3",
        "1_000",
        "4,5M",
        "٤M",
        "nan",
        "inf",
        "4M\x00",
        True,
        False,
        None,
        4.0,
        math.nan,
        math.inf,
        2**63,
        "8388608T",
        "9" * 40,
        b"4M",
        Decimal(4),
        Fraction(4),
        ["4M"],
    ],
)
def test_an_invalid_size_is_refused(wrong: Any) -> None:
    with pytest.raises(ConfigError) as error:
        size.parse(wrong)
    text = str(error.value)
    assert repr(wrong) in text
    assert '"4M"' in text


@pytest.mark.parametrize(
    ("number", "text"),
    [
        (0, "0B"),
        (512, "512B"),
        (1023, "1023B"),
        (1024, "1K"),
        (1536, "1.5K"),
        (4 * 2**20, "4M"),
        (3143631, "2.998M"),
        (2**20 - 1, "1023.999K"),
        (2**30 - 1, "1G"),
        (2**30, "1G"),
        (2**50, "1024T"),
        (100 * 2**20, "100M"),
        (-2048, "-2K"),
    ],
)
def test_a_size_is_printed(number: int, text: str) -> None:
    assert size.pretty(number) == text


@given(st.integers(1, 2**62))
def test_a_printed_size_can_be_parsed_to_three_decimals(number: int) -> None:
    text = size.pretty(number)
    unit = {"B": 1, "K": 2**10, "M": 2**20, "G": 2**30, "T": 2**40}[text[-1]]
    assert abs(size.parse(text) - number) <= unit / 1000


@pytest.mark.parametrize("value", [0, "tea", [1, {2}], {"cart": ["tea"] * 100}])
def test_the_size_of_a_value_is_its_size_in_a_session(value: Any) -> None:
    with_it, without = encode({}, {"k": value}), encode({}, {"k": None})
    assert size.of(value) == len(with_it) - len(without) + 1
