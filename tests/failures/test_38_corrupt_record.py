"""38. Corrupt record: truncated, with flipped bytes, `5`, `[]` or empty: a new session, an event,
no 500.

The application can write to the new session.
"""

from __future__ import annotations

import random
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import pytest

from lembro._core import codec
from tests.support.visits import Tab, World, look
from tests.support.worlds import CODEC_KINDS, only

pytestmark = pytest.mark.anyio

RICH: dict[str, Any] = {
    "cart": [{"id": 1, "price": Decimal("1.10")}, (1, 2), {3, 4}],
    "when": datetime(2026, 1, 1, tzinfo=UTC),
    "big": 10**30,
    "nested": {"a": {1: b"x", None: 1.5}},
}
MARK = bytes(codec.MARK)
PAYLOAD = codec.encode({"remember": True}, RICH)

CORRUPT: dict[str, bytes] = {
    "empty": b"",
    "5": b"5",
    "[]": b"[]",
    "null": b"null",
    "a five": b"\x01\x05" + MARK,
    "a list": b"\x01\x90" + MARK,
    "two lists": b"\x01\x92\x90\x90" + MARK,
    "a version alone": b"\x01",
    "a version and a mark": b"\x01" + MARK,
    "zeros": b"\x00" * 64,
    "ones": b"\xff" * 64,
    "our version, then ones": b"\x01" + b"\xff" * 64 + MARK,
    "a length of 4 GB": b"\x01\x92\x80\xdf\xff\xff\xff\xff" + MARK,
    "a string of 4 GB": b"\x01\x92\x80\x81\xdb\xff\xff\xff\xff" + MARK,
    "an extension of 4 GB": b"\x01\x92\x80\x81\xa1a\xc9\xff\xff\xff\xff\x01" + MARK,
    "a depth of 100,000": b"\x01\x92\x80\x81\xa1a" + b"\x91" * 100_000 + b"\xc0" + MARK,
    "keys that are no text": b"\x01\x92\x80\x81\x05\x05" + MARK,
}


async def session_of(world: World, payload: bytes) -> Tab:
    tab = world.tab()
    await tab.login("ada")
    (key,) = world.backend.payloads()
    world.backend.plant(key, payload)
    return tab


@only(CODEC_KINDS)
@pytest.mark.parametrize("corrupt", CORRUPT)
async def test_a_corrupt_record_gives_a_new_session_and_an_event(build: Any, corrupt: str) -> None:
    world: World = build(store={"max_size": "16M"})
    tab = await session_of(world, CORRUPT[corrupt])
    answer = await tab.visit(lambda visit: (dict(visit.session), visit.session.user_id))
    assert (answer.status, answer.error) == (200, None)
    assert answer.result == ({}, None)
    (event,) = world.heard("rejected")
    assert event.handle is not None
    assert not answer.set_cookies

    old = tab.cookie
    assert (await tab.write(a=1)).sets_session
    assert tab.cookie != old
    assert await tab.read() == {"a": 1}
    (await tab.login("ada"))
    assert await tab.user() == "ada"


@only(CODEC_KINDS)
async def test_every_truncated_record_gives_a_new_session(world: World) -> None:
    for length in range(len(PAYLOAD)):
        tab = await session_of(world, PAYLOAD[:length])
        answer = await tab.visit(look)
        assert (answer.status, answer.error, answer.result) == (200, None, {}), length
        assert world.heard("rejected")
        world.events.clear()
        world.backend.memory.clear()


@only(CODEC_KINDS)
async def test_flipped_bytes_raise_no_error(world: World) -> None:
    """Some of them decode to other data; none raises an error in a read or a write."""
    chance = random.Random(38)
    for number in range(120):
        payload = bytearray(PAYLOAD)
        for _ in range(chance.choice((1, 1, 1, 2, 5))):
            payload[chance.randrange(len(payload))] = chance.randrange(256)
        tab = await session_of(world, bytes(payload))
        answer = await tab.visit(look)
        assert (answer.status, answer.error) == (200, None), (number, bytes(payload))
        assert isinstance(answer.result, dict)
        answer = await tab.write(a=1)
        assert (answer.status, answer.error) == (200, None), (number, bytes(payload))
        assert (await tab.read())["a"] == 1
        world.backend.memory.clear()


async def test_a_logout_ends_a_corrupt_session(world: World) -> None:
    """A session that cannot be read must not survive a logout, or a revocation of the user."""
    tab = await session_of(world, b"\x01garbage" + MARK)
    assert await world.revoke_user("ada") == 1
    tab = await session_of(world, b"\x01garbage" + MARK)
    answer = await tab.logout()
    assert answer.status == 200


async def test_lists_skip_a_corrupt_record(world: World) -> None:
    await session_of(world, b"\x01garbage" + MARK)
    other = world.tab()
    await other.login("ada")
    infos = await world.call("user_sessions", "ada")
    assert [info.data for info in infos] == [{}, {}]


async def test_a_record_corrupted_during_a_request_is_replaced(world: World) -> None:
    tab = world.tab()
    await tab.login("ada")

    def slow(visit: Any) -> None:
        look(visit)
        (key,) = world.backend.payloads()
        world.backend.plant(key, b"\x01garbage" + MARK)
        visit.session["a"] = 1

    answer = await tab.visit(slow)
    assert (answer.status, answer.error) == (200, None)
    assert await tab.read() == {"a": 1}
