"""20. No way to revoke all sessions of a user (CVE-2023-40273): five sessions, one with a request
in flight.

After revoke_user all have ended, and the request in flight revives none.
"""

from __future__ import annotations

import pytest

from tests.support.visits import Script, Tab, Visit, World, look, rotate, write

pytestmark = pytest.mark.anyio

ACTS: dict[str, Script] = {
    "reads": look,
    "writes": write(a=1),
    "rotates": rotate,
    "touches": lambda visit: visit.session.touch(),
    "logs in again": lambda visit: visit.session.login("ada"),
}


async def five(world: World) -> list[Tab]:
    tabs = [world.tab() for _ in range(5)]
    for tab in tabs:
        await tab.login("ada")
    return tabs


@pytest.mark.parametrize("act", ACTS)
async def test_a_request_in_flight_revives_no_revoked_session(world: World, act: str) -> None:
    tabs = await five(world)
    bystander = world.tab()
    await bystander.login("bob")

    async def slow(visit: Visit) -> None:
        look(visit)
        assert await world.revoke_user("ada") == 5
        ACTS[act](visit)

    answer = await tabs[0].visit(slow)
    assert not answer.set_cookies
    assert world.backend.records() == 1
    assert [await tab.user() for tab in tabs] == [None] * 5
    assert await bystander.user() == "bob"


async def test_rotated_ids_are_revoked_too(world: World) -> None:
    tabs = await five(world)
    old = world.tab(tabs[0].cookie)
    await tabs[0].visit(rotate)
    assert await old.user() == "ada"
    await world.revoke_user("ada")
    assert await old.user() is None
    assert world.backend.records() == 0


async def test_logout_everywhere_ends_all_sessions_of_the_user(world: World) -> None:
    tabs = await five(world)
    answer = await tabs[0].visit(lambda visit: visit.session.logout_everywhere())
    assert answer.clears_session
    assert world.backend.records() == 0
    assert len(world.heard("destroyed")) == 5


async def test_logout_others_keeps_the_current_session_only(world: World) -> None:
    tabs = await five(world)
    answer = await tabs[0].visit(lambda visit: visit.session.logout_others())
    assert not answer.set_cookies
    assert [await tab.user() for tab in tabs] == ["ada", None, None, None, None]


async def test_logout_others_after_regenerate_id_keeps_the_current_session(world: World) -> None:
    """For example after a change of the password: the new ID must not count as another session."""
    tabs = await five(world)
    copy = world.tab(tabs[0].cookie)

    def secure(visit: Visit) -> None:
        visit.session.regenerate_id()
        visit.session.logout_others()

    await tabs[0].visit(secure)
    assert [await tab.user() for tab in tabs] == ["ada", None, None, None, None]
    world.clock.advance(31)
    assert await copy.user() is None
    assert world.backend.records() == 1


async def test_logout_everywhere_holds_if_the_handler_fails(world: World) -> None:
    tabs = await five(world)

    def fails(visit: Visit) -> None:
        visit.session.logout_everywhere()
        raise ZeroDivisionError

    await tabs[0].visit(fails)
    assert world.backend.records() == 0
