"""37. Decoder downgrade (CVE-2026-39324): a record in another format, or of another version, is not
tried with another decoder: it is rejected."""

from __future__ import annotations

import json
from base64 import b64encode

import msgspec
import pytest

from lembro._core import codec
from tests.support.visits import World

pytestmark = pytest.mark.anyio

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
    "one map": b"\x01" + BARE,
    "three maps": b"\x01" + msgspec.msgpack.encode([{}, DATA, {}]),
    "the data first": b"\x01" + msgspec.msgpack.encode([DATA]),
    "a map of them": b"\x01" + msgspec.msgpack.encode({0: {}, 1: DATA}),
    "something behind it": OURS + b"\x00",
    "something before it": b"\x00" + OURS,
    "utf-16": json.dumps(DATA).encode("utf-16"),
}


@pytest.mark.parametrize("other", OTHERS)
async def test_it_is_rejected(world: World, other: str) -> None:
    tab = world.tab()
    await tab.login("ada")
    (key,) = world.backend.payloads()
    world.backend.plant(key, OTHERS[other])
    answer = await tab.visit(lambda visit: (dict(visit.session), visit.session.user_id))
    assert answer.status == 200
    assert answer.result == ({}, None)
    (event,) = world.heard("rejected")
    assert event.error is not None
