"""13. Resurrection (CVE-2025-46336): request A has loaded the session, B logs out, then A ends.

The session stays ended, whatever A did, and A issues no cookie.
"""

from __future__ import annotations

import pytest

from lembro import MemoryStore, Session, SessionManager
from tests.support.visits import Script, Visit, World, look, rotate

pytestmark = pytest.mark.anyio


def append(visit: Visit) -> None:
    visit.session["cart"].append(2)


def touch(visit: Visit) -> None:
    visit.session.touch()


ACTS: dict[str, Script] = {
    "reads": look,
    "writes": lambda visit: visit.session.update(a=1),
    "writes within": append,
    "deletes": lambda visit: visit.session.pop("cart"),
    "touches": touch,
    "rotates": rotate,
    "logs out too": lambda visit: visit.session.logout(),
    "logs in again": lambda visit: visit.session.login("ada"),
}


# A login over an anonymous session is a new login in each case: see below.
CASES = [(who, act) for who in ("ada", None) for act in ACTS if who or act != "logs in again"]


@pytest.mark.parametrize(("who", "act"), CASES)
async def test_a_logout_wins_over_a_request_in_flight(
    world: World, who: str | None, act: str
) -> None:
    tab = world.tab()
    await tab.write(cart=[1])
    if who is not None:
        await tab.login(who)
    old = tab.cookie

    async def a(visit: Visit) -> None:
        assert look(visit) == {"cart": [1]}
        await tab.logout()
        ACTS[act](visit)

    answer = await tab.visit(a)
    assert answer.status == 200
    assert not answer.set_cookies
    assert world.backend.live() == 0
    again = world.tab(old)
    assert await again.read() == {}
    assert await again.user() is None


async def test_a_write_to_an_ended_session_is_reported(world: World) -> None:
    tab = world.tab()
    await tab.login("ada")

    async def a(visit: Visit) -> None:
        look(visit)
        await tab.logout()
        visit.session["a"] = 1

    await tab.visit(a)
    assert [event.reason for event in world.heard("dropped")] == ["the session has ended"]


async def test_a_login_as_another_user_after_a_logout_begins_a_session(world: World) -> None:
    tab = world.tab()
    await tab.login("ada")
    old = tab.cookie

    async def a(visit: Visit) -> None:
        look(visit)
        await tab.logout()
        visit.session.login("bob")

    answer = await tab.visit(a)
    assert answer.sets_session
    assert await tab.user() == "bob"
    assert await world.tab(old).user() is None


async def test_a_login_over_an_ended_anonymous_session_begins_a_session(world: World) -> None:
    tab = world.tab()
    await tab.write(cart=[1])
    old = tab.cookie

    async def a(visit: Visit) -> None:
        look(visit)
        await tab.logout()
        visit.session.login("ada")

    answer = await tab.visit(a)
    assert answer.sets_session
    assert await tab.user() == "ada"
    assert await world.tab(old).read() == {}


async def test_expiry_wins_over_a_request_in_flight(world: World) -> None:
    tab = world.tab()
    await tab.login("ada")

    def a(visit: Visit) -> None:
        look(visit)
        world.clock.advance(40 * 86400)
        visit.session["a"] = 1

    answer = await tab.visit(a)
    assert not answer.set_cookies
    assert world.backend.live() == 0


async def test_a_save_within_the_request_does_not_revive_the_session(world: World) -> None:
    tab = world.tab()
    await tab.login("ada")

    async def a(visit: Visit) -> None:
        look(visit)
        await tab.logout()
        visit.session["a"] = 1
        await visit.save()
        visit.session["b"] = 1

    answer = await tab.visit(a)
    assert not answer.set_cookies
    assert world.backend.live() == 0


def test_a_save_before_a_renewed_login_does_not_revive_the_session() -> None:
    """After the save finds no session, the login must not use the data of the session."""
    manager = SessionManager(MemoryStore("64K"))
    for act in (Session.regenerate_id, append_to):
        session_id = manager.create({"cart": [1]}, user_id="ada")
        session = manager.load(session_id)
        manager.revoke_user("ada")
        act(session)
        session.save()
        session.login("ada")
        session.save()
        assert manager.user_sessions("ada") == []
        session.login("bob")
        session.save()
        assert [info.data for info in manager.user_sessions("bob")] == [{}], "no data of ada's"
        manager.revoke_user("bob")


def append_to(session: Session) -> None:
    session["cart"].append(2)


def test_a_logout_and_a_login_after_such_a_save_begin_a_session() -> None:
    manager = SessionManager(MemoryStore("64K"))
    session = manager.load(manager.create({"cart": [1]}, user_id="ada"))
    manager.revoke_user("ada")
    session["cart"] = []
    session.save()
    session.logout()
    session.login("ada")
    session.save()
    assert len(manager.user_sessions("ada")) == 1
