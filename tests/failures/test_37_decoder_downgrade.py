"""37. Decoder downgrade (CVE-2026-39324): a record of another format or version is rejected.

No other decoder is tried.
"""

from __future__ import annotations

import json
from base64 import b64encode

import msgspec
import pytest

from lembro._core import codec
from lembro._core.codec import MARK
from tests.support.visits import World
from tests.support.worlds import CODEC_KINDS, only

pytestmark = pytest.mark.anyio


def ours(value: object) -> bytes:
    """Encode a value with lembro's version and a mark."""
    return codec.VERSION + msgspec.msgpack.encode(value) + bytes(MARK)


DATA = {"user_id": 7, "is_admin": True}
BARE = msgspec.msgpack.encode(DATA)
OURS = codec.encode({}, dict(DATA))

OTHERS: dict[str, bytes] = {
    "json": json.dumps(DATA).encode(),
    "json of our shape": json.dumps([{}, DATA]).encode(),
    "base64 of json": b64encode(json.dumps(DATA).encode()),
    "a signed cookie": b"eyJ1c2VyX2lkIjo3fQ.ZQ1xYw.5Zl8m2n4k1p7",
    "bare msgpack": BARE,
    "msgpack of our shape": OURS[1:],
    "version 0": b"\x00" + OURS[1:],
    "version 2": b"\x02" + OURS[1:],
    "version 255": b"\xff" + OURS[1:],
    "version as text": b"1" + OURS[1:],
    "two versions": b"\x01" + OURS,
    "no mark": OURS[:-MARK],
    "half a mark": OURS[: -MARK // 2],
    "one map": ours(DATA),
    "three maps": ours([{}, DATA, {}]),
    "the data first": ours([DATA]),
    "a map of them": ours({0: {}, 1: DATA}),
    "a byte after it": OURS + b"\x00",
    "a byte before the mark": OURS[:-MARK] + b"\x00" + bytes(MARK),
    "a byte before it": b"\x00" + OURS,
    "utf-16": json.dumps(DATA).encode("utf-16"),
}


@only(CODEC_KINDS)
@pytest.mark.parametrize("other", OTHERS)
async def test_a_record_of_another_format_is_rejected(world: World, other: str) -> None:
    tab = world.tab()
    await tab.login("ada")
    (key,) = world.backend.payloads()
    world.backend.plant(key, OTHERS[other])
    answer = await tab.visit(lambda visit: (dict(visit.session), visit.session.user_id))
    assert answer.status == 200
    assert answer.result == ({}, None)
    (event,) = world.heard("rejected")
    assert event.error is not None
