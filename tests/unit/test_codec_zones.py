"""Times with a zone come back equal, also in the hour that occurs twice."""

from __future__ import annotations

import struct
from datetime import UTC, datetime, time, timedelta, timezone, tzinfo
from io import BytesIO
from zoneinfo import ZoneInfo

import pytest

from lembro import CodecError
from lembro._core import codec

BERLIN = ZoneInfo("Europe/Berlin")
TWICE = datetime(2024, 10, 27, 2, 30, tzinfo=BERLIN)


def carried(value: object) -> object:
    return codec.decode(codec.encode({}, {"at": value}))[1]["at"]


@pytest.mark.parametrize(
    "value",
    [
        datetime(2024, 7, 1, 12, tzinfo=BERLIN),
        TWICE,
        TWICE.replace(fold=1),
        time(12, 30, tzinfo=BERLIN),
        datetime(2024, 7, 1, 12, tzinfo=UTC),
        datetime(2024, 7, 1, 12, tzinfo=timezone(timedelta(hours=5, minutes=45, seconds=1))),
    ],
    ids=str,
)
def test_a_zone_comes_back(value: datetime | time) -> None:
    back = carried(value)
    assert isinstance(back, type(value))
    assert back == value
    assert (back.tzinfo, back.fold) == (value.tzinfo, value.fold)


def test_a_zone_keeps_its_changes_of_offset() -> None:
    back = carried(datetime(2024, 10, 26, 12, tzinfo=BERLIN))
    assert isinstance(back, datetime)
    assert (back + timedelta(days=1)).utcoffset() == timedelta(hours=1)


class Mars(tzinfo):
    def utcoffset(self, moment: datetime | None, /) -> timedelta | None:
        return None if moment is None else timedelta(minutes=37)

    def dst(self, moment: datetime | None, /) -> timedelta:
        return timedelta()

    def tzname(self, moment: datetime | None, /) -> str:
        return "Mars"


def test_other_zones_are_refused_at_the_assignment() -> None:
    with pytest.raises(CodecError, match=r"^at: a session cannot .*Mars; give it a"):
        codec.check("at", datetime(2024, 7, 1, tzinfo=Mars()))
    with pytest.raises(CodecError, match=r"^at: a session cannot store a time whose zone"):
        codec.check("at", time(12, tzinfo=Mars()))  # a time has an offset only if it never changes


def test_a_zone_without_a_name_is_refused() -> None:
    counts = struct.pack(">6l", 0, 0, 0, 0, 1, 4)  # one type, of four letters: RFC 9636, 3.1
    file = b"TZif" + bytes(16) + counts + struct.pack(">lbb", 0, 0, 0) + b"UTC\0"
    nameless = ZoneInfo.from_file(BytesIO(file))
    with pytest.raises(CodecError, match=r"^at: "):
        codec.check("at", datetime(2024, 7, 1, tzinfo=nameless))


def test_a_zone_that_no_longer_exists_makes_the_record_unreadable() -> None:
    payload = codec.encode({}, {"at": TWICE}).replace(b"Berlin", b"Nibelu")
    with pytest.raises(CodecError):
        codec.decode(payload)


@pytest.mark.parametrize("name", ["../../etc/passwd", "/etc/passwd", "", "\0", "Europe"])
def test_a_zone_name_cannot_be_a_path(name: str) -> None:
    text = b"02024-10-27T02:30:00[" + name.encode() + b"]"
    payload = (
        b"\x01\x92\x80\x81\xa2at\xc7" + bytes([len(text)]) + b"\x04" + text + bytes(codec.MARK)
    )
    with pytest.raises(CodecError):
        codec.decode(payload)
