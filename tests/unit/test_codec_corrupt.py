"""Bytes that the codec did not write are decoded or refused, and raise only CodecError."""

from __future__ import annotations

from datetime import datetime
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lembro._core.codec import MARK, decode, encode
from lembro.errors import CodecError

# -- bytes that encode did not write ---------------------------------------------------------------

NO_MARK = bytes(MARK)
GOOD = encode({"remember": True}, {"n": 1, "t": (1, {2}), "d": datetime.min, "x": [2**70, b"x"]})


def ours(value: object) -> bytes:
    """Return a value with the version and the mark of a payload."""
    return b"\x01" + msgspec.msgpack.encode(value) + NO_MARK


@pytest.mark.parametrize(
    "payload",
    [
        b"",
        b"\x00",
        b"\x01",
        b"\x02" + GOOD[1:],
        b"{}",
        b"null",
        b"\x80\x04\x95\x00\x00\x00",  # the beginning of a pickle
        GOOD + b"\x00",
        ours(5),
        ours([]),
        ours([{}, {}, {}]),
        ours([{}, {1: 2}]),
        ours([{}, {"a": msgspec.msgpack.Ext(99, b"")}]),
        ours([{}, {"a": msgspec.msgpack.Ext(2, b"\x91\x90")}]),
        ours([{}, {"a": msgspec.msgpack.Ext(7, b"\x93\xcf" + b"\xff" * 8)}]),
        ours([{}, {"a": msgspec.msgpack.Ext(8, b"short")}]),
        ours([{}, {"a": msgspec.msgpack.Ext(9, b"not a number")}]),
        b"\x01\x92\x80\x81\xa1a\xdd\xff\xff\xff\xff" + NO_MARK,  # a list of 4 G items
        b"\x01\x92\x80" + b"\x91" * 100_000 + NO_MARK,  # a list in a list in a list ...
    ],
    ids=lambda payload: repr(payload)[:30],
)
def test_foreign_bytes_are_refused(payload: bytes) -> None:
    with pytest.raises(CodecError):
        decode(payload)


@pytest.mark.parametrize("length", range(len(GOOD)))
def test_a_truncated_payload_is_refused(length: int) -> None:
    with pytest.raises(CodecError):
        decode(GOOD[:length])


@given(st.data())
def test_a_payload_with_changed_bytes_is_decoded_or_refused(data: Any) -> None:
    payload = bytearray(GOOD)
    for _ in range(data.draw(st.integers(1, 4))):
        payload[data.draw(st.integers(0, len(payload) - 1))] = data.draw(st.integers(0, 255))
    read_or_refuse(bytes(payload))


@given(st.binary(max_size=200))
def test_random_bytes_are_decoded_or_refused(body: bytes) -> None:
    read_or_refuse(body)
    read_or_refuse(b"\x01\x92\x80\x81\xa1a" + body + NO_MARK)


@given(st.integers(-128, 127), st.binary(max_size=60))
def test_random_extensions_are_decoded_or_refused(code: int, body: bytes) -> None:
    ext = msgspec.msgpack.Ext(code, body)
    read_or_refuse(ours([{}, {"a": [ext]}]))
    read_or_refuse(ours([{"a": ext}, {}]))


def read_or_refuse(payload: bytes) -> None:
    try:
        meta, data = decode(payload)
    except CodecError:
        return
    assert type(meta) is type(data) is dict
    assert all(type(key) is str for key in data)
