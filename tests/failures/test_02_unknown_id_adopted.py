"""2. Unknown ID adopted (CVE-2024-38513): an ID that this server never issued is replaced.

An attacker who planted the ID finds no session under it.
"""

from __future__ import annotations

import pytest

from lembro.ids import is_id, new_id
from tests.support.visits import Script, World, login, rotate, write

pytestmark = pytest.mark.anyio

WRITES: dict[str, Script] = {"write": write(a=1), "login": login("ada")}


@pytest.mark.parametrize("kind_of_write", WRITES)
async def test_a_planted_id_is_replaced(world: World, kind_of_write: str) -> None:
    planted = new_id()
    victim = world.tab(planted)
    answer = await victim.visit(WRITES[kind_of_write])
    assert answer.sets_session
    assert victim.cookie is not None
    assert planted not in victim.cookie
    attacker = world.tab(planted)
    assert await attacker.read() == {}
    assert await attacker.user() is None


async def test_regenerate_id_without_data_issues_no_cookie_for_a_planted_id(world: World) -> None:
    planted = new_id()
    victim = world.tab(planted)
    answer = await victim.visit(rotate)
    assert not answer.set_cookies  # it holds nothing
    await victim.write(a=1)
    assert victim.cookie is not None
    assert planted not in victim.cookie
    assert await world.tab(planted).read() == {}


async def test_reading_with_a_planted_id_stores_nothing(world: World) -> None:
    planted = new_id()
    assert is_id(planted)
    answer = await world.tab(planted).visit(lambda visit: dict(visit.session))
    assert answer.result == {}
    assert not answer.set_cookies
    assert world.backend.records() == 0


async def test_malformed_ids_are_ignored(world: World) -> None:
    for value in ("", "x", "A" * 42, "A" * 44, "A" * 42 + "=", "A" * 43 + ".", "ä" * 43):
        attacker = world.tab(value)
        await attacker.write(a=1)
        assert attacker.cookie is not None
        assert attacker.cookie != value
        assert await world.tab(value).read() == {}
