"""35. Serializer edges: a value that a session accepts comes back equal and with the same type.

Any other value is a typed error that names its place, and the stored data remain.
"""

from __future__ import annotations

import math
from datetime import UTC, date, datetime, time, timedelta, timezone
from decimal import Decimal
from typing import Any
from uuid import UUID

import pytest

from lembro import CodecError
from tests.support.visits import Visit, World
from tests.support.worlds import CODEC_KINDS, only

pytestmark = pytest.mark.anyio


def nested(depth: int) -> list[Any]:
    value: list[Any] = []
    for _ in range(depth - 1):
        value = [value]
    return value


def itself() -> list[Any]:
    value: list[Any] = []
    value.append(value)
    return value


EXACT: dict[str, Any] = {
    "infinity": math.inf,
    "minus infinity": -math.inf,
    "minus zero": -0.0,
    "the smallest float": 5e-324,
    "10^30": 10**30,
    "-10^30": -(10**30),
    "2^63": 2**63,
    "2^64": 2**64,
    "-2^63 - 1": -(2**63) - 1,
    "10^1000": 10**1000,
    "true": True,
    "one": 1,
    "one as float": 1.0,
    "none": None,
    "empty": [{}, [], (), "", b"", set(), frozenset()],
    "keys 1 and '1'": {1: "int", "1": "str", None: 0, b"1": 1},
    "tuple": (1, (2, [3])),
    "set": {1, "a", (2, 3)},
    "frozenset": frozenset({frozenset({1})}),
    "bytes": b"\x00\xff",
    "nul": "a\0b",
    "emoji": "\U0001f600",
    "right to left": "\u202eabc",
    "a character beyond": "\uffff\ufffe",
    "datetime": datetime(2026, 11, 24, 1, 2, 3, 4, tzinfo=UTC),
    "naive datetime": datetime(1, 1, 1),
    "fold": datetime(2026, 10, 25, 2, 30, fold=1, tzinfo=timezone(timedelta(hours=1))),
    "date": date.max,
    "time": time(23, 59, 59, 999999),
    "timedelta": timedelta.max,
    "uuid": UUID(int=2**128 - 1),
    "decimal": Decimal("1.10"),
    "decimal nan": Decimal("sNaN"),
    "depth 90": nested(90),
    "a long list": list(range(10_000)),
}

REFUSED: dict[str, Any] = {
    "depth 10^4": nested(10_000),
    "within itself": itself(),
    "lone surrogate": "\ud800",
    "lone surrogate within": {"a": ["x", "\udfff"]},
    "lone surrogate in a key": {"\ud800": 1},
    "object": object(),
    "function": len,
    "complex": 1j,
    "bytearray": bytearray(b"x"),
    "class": int,
    "generator": (x for x in ""),
    "tuple as key": {(1, 2): 3},
    "large int as key": {10**30: 1},
    "exception": ValueError("x"),
}


def same(one: Any, other: Any) -> bool:
    """Compare value and type, including all nested values."""
    if type(one) is not type(other):
        return False
    if isinstance(one, dict):
        return list(map(repr, one)) == list(map(repr, other)) and all(
            same(one[key], other[key]) for key in one
        )
    if isinstance(one, list | tuple):
        return len(one) == len(other) and all(map(same, one, other))
    if isinstance(one, set | frozenset):
        return bool(one == other)
    if isinstance(one, datetime | time):
        return bool(one == other) and (one.fold, one.tzinfo) == (other.fold, other.tzinfo)
    return repr(one) == repr(other)  # compares -0.0 and NaN as well


@only(CODEC_KINDS)
@pytest.mark.parametrize("value", EXACT)
async def test_accepted_values_come_back_unchanged(world: World, value: str) -> None:
    tab = world.tab()
    answer = await tab.write(value=EXACT[value], within={"list": [EXACT[value]]})
    assert answer.status == 200
    data = await tab.read()
    assert same(data["value"], EXACT[value])
    assert same(data["within"], {"list": [EXACT[value]]})


@only(CODEC_KINDS)
async def test_reading_a_nan_is_no_change(world: World) -> None:
    """A NaN is unequal to itself, so a comparison by value would report a change."""
    tab = world.tab()
    await tab.write(value=math.nan)
    before = world.backend.payloads()
    assert math.isnan((await tab.read())["value"])
    assert world.backend.payloads() == before


@only(CODEC_KINDS)
@pytest.mark.parametrize("value", REFUSED)
async def test_a_refused_value_raises_at_the_assignment(world: World, value: str) -> None:
    tab = world.tab()
    await tab.write(old=1)

    def assign(visit: Visit) -> str:
        with pytest.raises(CodecError) as caught:
            visit.session["value"] = REFUSED[value]
        assert "value" not in visit.session
        return str(caught.value)

    answer = await tab.visit(assign)
    assert answer.status == 200
    assert answer.result.startswith("value")
    assert len(answer.result) < 1000
    assert await tab.read() == {"old": 1}


@pytest.mark.parametrize("value", REFUSED)
async def test_a_refused_nested_value_raises_at_the_commit(
    world: World, value: str, no_id_in_any_log: list[str]
) -> None:
    tab = world.tab()
    await tab.write(cart=[1])

    def append(visit: Visit) -> None:
        visit.session["cart"].append(REFUSED[value])

    answer = await tab.visit(append)
    assert answer.status == 500
    assert answer.error is None
    assert not answer.set_cookies
    assert await tab.read() == {"cart": [1]}
    assert any("cart[1]" in line for line in no_id_in_any_log)


@only(CODEC_KINDS)
@pytest.mark.parametrize("key", [1, None, b"a", ("a",), "\ud800", 1.5], ids=repr)
async def test_keys_that_are_not_text_are_refused(world: World, key: Any) -> None:
    tab = world.tab()
    await tab.write(old=1)

    def assign(visit: Visit) -> None:
        with pytest.raises(CodecError):
            visit.session[key] = 1

    answer = await tab.visit(assign)
    assert answer.error is None
    assert await tab.read() == {"old": 1}
