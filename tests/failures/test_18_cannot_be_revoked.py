"""18. A session that cannot be revoked (CVE-2024-31999): after a logout, or an operator's hand, the
cookie is worth nothing."""

from __future__ import annotations

import asyncio

import pytest

from lembro import MemoryStore, SessionManager
from tests.support.visits import Visit, World

pytestmark = pytest.mark.anyio


async def test_the_cookie_after_a_logout(world: World) -> None:
    tab = world.tab()
    await tab.login("ada")
    await tab.write(a=1)
    copy = world.tab(tab.cookie)
    await tab.logout()
    assert await copy.user() is None
    assert await copy.read() == {}


async def test_the_cookie_after_clear(world: World) -> None:
    tab = world.tab()
    await tab.write(a=1)
    copy = world.tab(tab.cookie)
    await tab.visit(lambda visit: visit.session.clear())
    assert await copy.read() == {}


async def test_also_by_the_id_from_before_a_rotation(world: World) -> None:
    """A logout that comes with the old id ends the session that it leads to."""
    tab = world.tab()
    await tab.login("ada")
    old = world.tab(tab.cookie)
    await tab.visit(lambda visit: visit.session.regenerate_id())
    answer = await old.logout()
    assert answer.clears_session
    assert await world.tab(tab.cookie).user() is None
    assert world.backend.records() == 0


async def test_a_logout_while_the_id_is_rotated(world: World) -> None:
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


async def test_by_its_handle(world: World) -> None:
    tab = world.tab()
    await tab.login("ada")
    handle = (await tab.visit(lambda visit: visit.session.handle)).result
    if world.app.sync:
        assert not world.manager.end(handle, user="bob")
        assert world.manager.end(handle, user="ada")
    else:
        assert not await world.manager.aend(handle, user="bob")
        assert await world.manager.aend(handle, user="ada")
    assert await tab.user() is None


def test_whoever_is_not_logged_in_ends_nobodys_session() -> None:
    """``user=session.user_id`` is None then, which must not mean "whoever has it"."""
    manager = SessionManager(MemoryStore("64K"))
    session_id = manager.create({"n": 1}, user_id="ada")
    handle = manager.load(session_id).handle
    assert handle is not None
    visitor = manager.load()
    assert visitor.manager.end(handle, user=visitor.user) is False
    assert asyncio.run(visitor.manager.aend(handle, user=visitor.user)) is False
    assert manager.get(session_id) == {"n": 1}
    assert manager.end(handle) is True
