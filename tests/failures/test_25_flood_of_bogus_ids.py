"""25. A flood of unknown IDs (CVE-2015-5143): a million look-ups of such IDs store no record."""

from __future__ import annotations

import pytest

from lembro import MemoryStore
from lembro.ids import key_for, new_id
from tests.support.visits import COOKIE, World, look
from tests.support.worlds import SESSION_KINDS, only

A_MILLION = 1_000_000


def test_a_million_look_ups_store_no_record() -> None:
    store = MemoryStore("64K")
    before = store.stats().used
    for number in range(A_MILLION):
        store.get(number.to_bytes(32, "big"))
    assert store.length() == 0
    assert store.stats().used == before


@only(SESSION_KINDS)
@pytest.mark.anyio
async def test_requests_with_unknown_ids_store_no_record(world: World) -> None:
    used = world.backend.memory.stats().used
    tab = world.tab()
    for _ in range(300):
        session_id = new_id()
        answer = await tab.visit(look, cookies=[f"{COOKIE}={session_id}".encode()])
        assert answer.result == {}
        assert not answer.set_cookies
        assert world.backend.memory.get(key_for(session_id)) is None
    assert world.backend.records() == 0
    assert world.backend.memory.stats().used == used
