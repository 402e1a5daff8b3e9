"""The values that JSON and JavaScript keep."""

from __future__ import annotations

import math
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Any
from uuid import UUID

import pytest

from lembro import CodecError
from lembro.express.values import check_values, is_exact


@pytest.mark.parametrize(
    "number", [0, -5, 2**53, -(2**53), 1152921504606847000, 10**20, 2**60 + 24]
)
def test_a_number_that_javascript_writes_back_is_exact(number: int) -> None:
    assert is_exact(number)


@pytest.mark.parametrize("number", [2**53 + 1, -(2**53) - 1, 2**60, 2**60 + 1, 10**21, 10**400])
def test_a_number_that_javascript_changes_is_not_exact(number: int) -> None:
    assert not is_exact(number)


def test_json_values_are_accepted() -> None:
    check_values({"a": [1, 1.5, "x", None, True, {"b": []}], "cookies": 1}, ["cookie"])


@pytest.mark.parametrize(
    ("data", "error"),
    [
        ({"a": {"b": [0, math.nan]}}, "a.b[1]: JSON has no NaN"),
        ({"a": -math.inf}, "a: JSON has no NaN and no infinity"),
        ({"a": 2**60 + 1}, "a: JavaScript cannot keep this whole number"),
        ({"a": {1: 2}}, "a: the keys of an Express session must be str, got int"),
        ({1: 2}, "1: the keys of an Express session must be str"),
        ({"a": (1,)}, "a: an Express session cannot store a tuple; store list(value)"),
        ({"a": b"x"}, "a: an Express session cannot store a bytes; store value.hex()"),
        ({"a": {5}}, "a: an Express session cannot store a set; store list(value)"),
        ({"a": datetime.now(UTC)}, "cannot store a datetime; store value.isoformat()"),
        ({"a": date(2026, 1, 1)}, "cannot store a date; store value.isoformat()"),
        ({"a": timedelta(1)}, "cannot store a timedelta; store str(value)"),
        ({"a": Decimal(1)}, "cannot store a Decimal; store str(value)"),
        ({"a": UUID(int=1)}, "cannot store a UUID; store str(value)"),
        ({"a": object()}, "cannot store an object; store str, int"),
        ({"cookie": {}}, "cookie: the key 'cookie' of an Express session is not"),
    ],
)
def test_a_value_that_express_would_change_is_refused(data: Any, error: str) -> None:
    with pytest.raises(CodecError) as caught:
        check_values(data, ["cookie"])
    assert error in str(caught.value)
