"""18. A session cannot be revoked (CVE-2024-31999): after a logout or a revocation its cookie is
stale.
"""

from __future__ import annotations

import asyncio

import pytest

from lembro import LoginRequired, MemoryStore, SessionManager
from tests.support.visits import Visit, World

pytestmark = pytest.mark.anyio


async def test_a_logout_makes_the_cookie_stale(world: World) -> None:
    tab = world.tab()
    await tab.login("ada")
    await tab.write(a=1)
    copy = world.tab(tab.cookie)
    await tab.logout()
    assert await copy.user() is None
    assert await copy.read() == {}


async def test_clear_makes_the_cookie_stale(world: World) -> None:
    tab = world.tab()
    await tab.write(a=1)
    copy = world.tab(tab.cookie)
    await tab.visit(lambda visit: visit.session.clear())
    assert await copy.read() == {}


async def test_a_logout_with_a_rotated_id_ends_the_session(world: World) -> None:
    """It ends the session that the ID was rotated to."""
    tab = world.tab()
    await tab.login("ada")
    old = world.tab(tab.cookie)
    await tab.visit(lambda visit: visit.session.regenerate_id())
    answer = await old.logout()
    assert answer.clears_session
    assert await world.tab(tab.cookie).user() is None
    assert world.backend.records() == 0


async def test_a_logout_during_a_rotation_ends_the_session(world: World) -> None:
    tab = world.tab()
    await tab.login("ada")
    old = world.tab(tab.cookie)

    async def slow(visit: Visit) -> None:
        assert visit.session.user_id == "ada"
        await tab.visit(lambda inner: inner.session.regenerate_id())
        visit.session.logout()

    await old.visit(slow)
    assert await world.tab(tab.cookie).user() is None
    assert world.backend.live() == 0


async def test_revoke_by_handle_ends_the_session(world: World) -> None:
    tab = world.tab()
    await tab.login("ada")
    handle = (await tab.visit(lambda visit: visit.session.handle)).result
    assert await world.call("revoke", handle)
    assert await tab.user() is None
    assert not await world.call("revoke", handle)


async def test_a_session_is_revoked_by_its_own_user_only(world: World) -> None:
    laptop, phone, other = world.tab(), world.tab(), world.tab()
    await laptop.login("ada")
    await phone.login("ada")
    await other.login("bob")
    handle = (await laptop.visit(lambda visit: visit.session.handle)).result

    async def revoke(visit: Visit) -> bool:
        session = visit.session
        return session.revoke(handle) if visit.sync else await session.arevoke(handle)

    assert (await other.visit(revoke)).result is False
    assert await laptop.user() == "ada"
    assert (await phone.visit(revoke)).result is True
    assert await laptop.user() is None
    assert await phone.user() == "ada"


def test_a_visitor_without_a_login_revokes_no_session() -> None:
    """Such a visitor's user ID is None, which must not mean "any user"."""
    manager = SessionManager(MemoryStore("64K"))
    session_id = manager.create({"n": 1}, user_id="ada")
    handle = manager.load(session_id).handle
    assert handle is not None
    visitor = manager.load()
    with pytest.raises(LoginRequired):
        visitor.revoke(handle)
    with pytest.raises(LoginRequired):
        asyncio.run(visitor.arevoke(handle))
    assert manager.get(session_id) == {"n": 1}
    assert manager.revoke(handle) is True
