"""The real values of pendulum, asyncpg, freezegun and numpy.

``test_codec_subclasses.py`` has stand-ins for the types of pandas, which is large.
"""

from __future__ import annotations

from datetime import UTC, date, datetime, time, timedelta, timezone
from typing import Any
from uuid import UUID
from zoneinfo import ZoneInfo

import numpy as np
import pendulum
import pytest
from asyncpg import Point, Range
from asyncpg.pgproto import pgproto
from freezegun.api import FakeDate, FakeDatetime

from lembro import CodecError
from lembro._core.codec import check, decode, encode, encode_value

LISBON = ZoneInfo("Europe/Lisbon")


def stored(value: object) -> Any:
    return decode(encode({}, {"k": value}))[1]["k"]


@pytest.mark.parametrize(
    ("value", "plain"),
    [
        (
            pendulum.datetime(2026, 7, 1, tz="Europe/Lisbon"),
            datetime(2026, 7, 1, tzinfo=LISBON, fold=1),
        ),
        (
            pendulum.parse("2026-07-01T10:00:00+02:00"),
            datetime(2026, 7, 1, 10, tzinfo=timezone(timedelta(hours=2))),
        ),
        (pendulum.naive(2026, 7, 1), datetime(2026, 7, 1, fold=1)),
        (pendulum.date(2026, 7, 1), date(2026, 7, 1)),
        (pendulum.time(12, 30), time(12, 30)),
        (pgproto.UUID("12345678-1234-5678-1234-567812345678"), None),
        (FakeDatetime(2026, 7, 1, tzinfo=UTC), datetime(2026, 7, 1, tzinfo=UTC)),
        (FakeDate(2026, 7, 1), date(2026, 7, 1)),
        (np.str_("x"), "x"),
        (np.bytes_(b"x"), b"x"),
    ],
)
def test_a_value_of_a_library_is_stored_as_the_plain_value(value: Any, plain: Any) -> None:
    if plain is None:
        plain = UUID(str(value))
    back = stored(value)
    assert back == value
    assert type(back) is type(plain)
    assert encode_value(back) == encode_value(plain)


@pytest.mark.parametrize("fold", [0, 1])
def test_the_hour_that_occurs_twice_is_stored(fold: int) -> None:
    back = stored(pendulum.datetime(2026, 10, 25, 1, 30, tz="Europe/Lisbon", fold=fold))
    assert back == datetime(2026, 10, 25, 1, 30, tzinfo=LISBON, fold=fold)
    assert (back.fold, back.tzinfo) == (fold, LISBON)


@pytest.mark.parametrize(
    ("value", "hint"),
    [
        (pendulum.duration(months=2), r"Duration; store timedelta\(seconds="),
        (
            pendulum.datetime(2026, 7, 1) - pendulum.datetime(2026, 6, 1),
            r"Interval; store timedelta\(seconds=",
        ),
        (Range(1, 2), "Range; store "),
        (Point(1, 2), r"Point; store tuple\(value\)"),
        (np.datetime64("2026-01-01"), r"numpy.datetime64; store value.item\(\)"),
        ({np.int64(1): 1}, r"got int64; write key.item\(\)"),
        ({(1, 2): 1}, r"got tuple; write str\(key\)"),
    ],
)
def test_a_value_of_a_library_that_would_lose_something_is_refused(value: Any, hint: str) -> None:
    with pytest.raises(CodecError, match=hint):
        check("k", value)
